"""The HTML report of `lapse verify`: defects by severity, row counts, notes and folders."""

from __future__ import annotations

from pathlib import Path

from lapse.data.verify.defect_kinds import KINDS
from lapse.data.verify.results import VerifyReport, number
from lapse.evaluation.html.elements import Table
from lapse.evaluation.html.render import render, write_html


def write_verify_page(path: Path, report: VerifyReport) -> Path:
    """Write the page; returns its path."""
    return write_html(path, render_verify_page(report))


def render_verify_page(report: VerifyReport) -> str:
    """The page as HTML text."""
    rows = tuple(
        (row.data_set, row.what, number(row.found), number(row.published), row.verdict)
        for row in report.rows
    )
    return render(
        "verify_page",
        title="Raw data: defects found",
        report=report,
        num_kinds=sum(report.has_pixels or not kind.needs_pixels for kind in KINDS),
        rows=Table("", ("data set", "rows of", "found", "published", "verdict"), rows),
        roots=Table("", ("data set", "folder"), report.roots),
    )
