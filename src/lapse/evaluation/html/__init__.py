"""Pages about results, each one file without network: an overview of a run, and the evaluation
of a predictions file with its cases."""

from lapse.evaluation.html.elements import Pixels, Table
from lapse.evaluation.html.evaluation_page import Evaluation, render_evaluation, write_evaluation
from lapse.evaluation.html.line_chart import Chart, Curve, ticks
from lapse.evaluation.html.run_page import (
    BoxCase,
    Grounding,
    Opinion,
    Page,
    PairCase,
    render_page,
    write_page,
)
from lapse.evaluation.html.tables import read_scores

__all__ = [
    "BoxCase",
    "Chart",
    "Curve",
    "Evaluation",
    "Grounding",
    "Opinion",
    "Page",
    "PairCase",
    "Pixels",
    "Table",
    "read_scores",
    "render_evaluation",
    "render_page",
    "ticks",
    "write_evaluation",
    "write_page",
]
