"""Several tests shown at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.figures import PValue


def adjust(p_values: Sequence[PValue]) -> list[PValue]:
    """Return the p values adjusted so that, shown together, a false alarm stays as rare as for one test.

    Order is kept; an undefined p value stays undefined and does not count as a test. The method's name
    gains "Holm-adjusted over m", so a reader sees what was adjusted; one test alone is returned as it is.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal
        of Statistics 6, 65-70.
    """
    defined = [at for at, p in enumerate(p_values) if p.value is not None]
    adjusted = list(p_values)
    if len(defined) < 2:
        return adjusted
    largest = 0.0
    for rank, at in enumerate(sorted(defined, key=lambda at: p_values[at].value or 0.0)):
        one = p_values[at]
        largest = max(largest, min(1.0, (len(defined) - rank) * (one.value or 0.0)))
        adjusted[at] = replace(one, value=largest, method=f"{one.method}, Holm-adjusted over {len(defined)}")
    return adjusted
