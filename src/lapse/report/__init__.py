"""Pages about results, each one file without network: an overview of a run, and the evaluation
of a predictions file with its cases."""

from lapse.report.chart import Chart, Curve, ticks
from lapse.report.page import (
    BoxCase,
    Grounding,
    Page,
    PairCase,
    render_page,
    write_page,
)
from lapse.report.pieces import Pixels, Table

__all__ = [
    "BoxCase",
    "Chart",
    "Curve",
    "Grounding",
    "Page",
    "PairCase",
    "Pixels",
    "Table",
    "render_page",
    "ticks",
    "write_page",
]
