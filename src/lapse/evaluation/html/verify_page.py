"""The HTML report of `lapse verify`: defects by severity, row counts, notes and folders."""

from __future__ import annotations

from lapse.data.verify.defect_types import DEFECT_TYPES
from lapse.data.verify.results import VerifyReport
from lapse.evaluation.html.elements import Table
from lapse.evaluation.html.render import render


def render_verify_page(report: VerifyReport) -> str:
    """The page as HTML text."""
    return render(
        "verify_page",
        title="Raw data: defects found",
        report=report,
        num_types=sum(report.has_pixels or not entry.needs_pixels for entry in DEFECT_TYPES),
        rows=Table("", ("dataset", "table", "rows", "published", "verdict"), report.row_cells),
        roots=Table("", ("dataset", "folder"), report.roots),
    )
