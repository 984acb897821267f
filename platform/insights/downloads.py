"""A figure as a file: a drawing or a picture that carries its own colours, or its figures as rows."""

import csv
import io
from collections.abc import Sequence

import resvg_py
from django.template.loader import render_to_string

from insights import charts
from insights.figures import TrendFigure
from insights.queries import Marker

SVG, PNG, CSV = FORMS = ("svg", "png", "csv")
TYPES = {SVG: "image/svg+xml", PNG: "image/png", CSV: "text/csv; charset=utf-8"}
# Room above the drawing for the title, the method and what is shown.
HEAD = 84
FOOT = 16
COLUMNS = ("figure", "series", "day", "value", "low", "high", "level", "n", "method", "reason", "waiting")


def file_of(figure: TrendFigure, markers: Sequence[Marker], form: str, *, shown: str) -> bytes:
    """The figure in this form; `shown` says which outputs and days it is about."""
    if form == CSV:
        return _rows(figure).encode()
    drawing = _drawing(figure, markers, shown)
    if form == SVG:
        return drawing.encode()
    return bytes(resvg_py.svg_to_bytes(svg_string=drawing, background="#ffffff", zoom=2))


def _drawing(figure: TrendFigure, markers: Sequence[Marker], shown: str) -> str:
    drawing = charts.draw(figure, markers, charts.WIDE)
    context = {
        "drawing": drawing,
        "figure": figure,
        "shown": shown,
        "head": HEAD,
        "height": drawing.size.height + HEAD + FOOT,
    }
    return render_to_string("components/chart_file.svg", context)


def _rows(figure: TrendFigure) -> str:
    """One row for each line and day, oldest first; a value that is undefined is empty and has its reason."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for line in figure.lines:
        for index, point in enumerate(line.points):
            found = point.figure
            numbers = ["" if number is None else repr(number) for number in (found.value, found.low, found.high)]
            waiting = figure.waiting[index] if figure.waiting else ""
            rows.writerow(
                [
                    figure.key,
                    line.name,
                    point.at.date().isoformat(),
                    *numbers,
                    found.level,
                    found.n,
                    found.method,
                    found.reason or "",
                    waiting,
                ]
            )
    return text.getvalue()
