"""HTML reports, each one file that needs no network: of a run, of a predictions file with its
cases, of the validation of raw data."""

from lapse.evaluation.html.elements import Pixels, Table
from lapse.evaluation.html.evaluation_page import (
    EvaluationReport,
    render_evaluation_report,
    write_evaluation_report,
)
from lapse.evaluation.html.line_chart import Chart, Curve
from lapse.evaluation.html.run_page import (
    BoxExample,
    GroundingExample,
    ModelAnswer,
    PairExample,
    RunReport,
    render_run_report,
    write_run_report,
)
from lapse.evaluation.html.verify_page import render_verify_page, write_verify_page

__all__ = [
    "BoxExample",
    "Chart",
    "Curve",
    "EvaluationReport",
    "GroundingExample",
    "ModelAnswer",
    "PairExample",
    "Pixels",
    "RunReport",
    "Table",
    "render_evaluation_report",
    "render_run_report",
    "render_verify_page",
    "write_evaluation_report",
    "write_run_report",
    "write_verify_page",
]
