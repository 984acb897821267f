"""Runs the benchmarks of the rooms that have some, prints a table and writes `bench.json` into the data folder."""

import argparse
import importlib
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measurement import Measurement, Size

HERE = Path(__file__).resolve().parent
ROOMS = ("ingest", "reviews", "evals", "prompts", "insights")


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 0 when everything asked for was measured."""
    asked = _parsed(arguments)
    size: Size = asked.size
    print(f"{_machine()}, size {size}")
    measured: list[Measurement] = []
    for room in [asked.only] if asked.only else available():
        measured += importlib.import_module(f"benchmarks.{room}").measure(size)
    print(table(measured))
    path = Path(os.environ.get("RATCHET_HOME") or HERE.parent / "var") / "bench.json"
    write(path, measured, size)
    print(f"written to {path}")
    return 0 if all(measurement.value is not None for measurement in measured) else 1


def available() -> list[str]:
    """The rooms that have benchmarks."""
    return [room for room in ROOMS if (HERE / f"{room}.py").exists()]


def table(measured: Sequence[Measurement]) -> str:
    """One line per figure, in columns."""
    rows = [("figure", "value", "unit", "n", "beside")]
    rows += [(m.name, _number(m.value), m.unit, f"{m.n:,}", _beside(m)) for m in measured]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows
    )


def write(path: Path, measured: Sequence[Measurement], size: Size) -> None:
    """The figures stand in the file; those of other rooms stay."""
    known = json.loads(path.read_text()) if path.exists() else {}
    known |= {measurement.name: measurement.as_dict(size) for measurement in measured}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=available(), help="the benchmarks of one room")
    parser.add_argument("--size", choices=("small", "full"), default="small", help="small ends within minutes")
    return parser.parse_args(arguments)


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _beside(measurement: Measurement) -> str:
    return "" if measurement.beside is None else f"{_number(measurement.beside)} {measurement.beside_unit}"
