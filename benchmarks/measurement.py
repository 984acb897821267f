"""What one benchmark says."""

from dataclasses import dataclass
from typing import Any, Literal

Size = Literal["small", "full"]


@dataclass(frozen=True)
class Measurement:
    """One figure.

    Args:
        name: as in the contract, `room.figure`.
        value: None where it could not be measured.
        unit: of the value.
        n: how many things it rests on.
        beside: the limit measured in the same run, in the words of `beside_unit`; None where there is none.
        beside_unit: what `beside` counts.
    """

    name: str
    value: float | None
    unit: str
    n: int
    beside: float | None = None
    beside_unit: str = ""

    def as_dict(self, size: Size) -> dict[str, Any]:
        """As it stands in `bench.json`."""
        return {"value": self.value, "unit": self.unit, "n": self.n, "beside": self.beside, "size": size}
