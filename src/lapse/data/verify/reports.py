"""The reports: one for each study, in UTF-8, with a usable section."""

from __future__ import annotations

from pathlib import Path

from lapse.data.datasets.release_counts import MIMIC_CXR
from lapse.data.datasets.report_files import SECTION_COLUMNS, SECTIONED
from lapse.data.reports.sections import (
    has_text_sections,
    has_unusual_headers,
    join_sections,
    report_sections,
)
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.tables import RawTable, id_number


def check_reports(context: VerifyContext) -> None:
    """Report files, or the derived table of sections where the folder has one."""
    columns = (*SECTION_COLUMNS, "comparison")
    table = context.table(context.roots.reports, SECTIONED, columns, allows_extra=True)
    if table is not None:
        _check_sectioned(context, table)
        return
    root, images = context.roots.reports, context.images
    studies = [study for study in sorted(images.by_study) if context.is_in_copy(study)]
    context.progress.expect(len(studies))
    num_reports = num_complete = 0
    for study in studies:
        patient = images.by_study[study].patient
        name = f"files/p{str(patient)[:2]}/p{patient}/s{study}.txt"
        has_sections = _check_report(context, root / name, name, f"s{study}")
        num_reports += has_sections is not None
        num_complete += bool(has_sections)
        context.progress.step()
    context.counts[MIMIC_CXR, "reports"] = num_reports
    context.check_amount("few-sections", num_complete, len(studies))
    if images.is_complete:
        paths = root.glob("files/p[0-9][0-9]/p*/s*.txt")
        for path in sorted(p for p in paths if id_number(p.stem) not in images.by_study):
            context.findings.add("unlisted-report", path.relative_to(root).as_posix())


def _check_report(context: VerifyContext, path: Path, name: str, study: str) -> bool | None:
    """Report the defects of a report; returns whether it has sections, None without a file."""
    if not path.is_file():
        context.findings.add("missing-report", study)
        return None
    data = path.read_bytes()
    if not data:
        context.findings.add("empty-file", name)
        return False
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        context.findings.add("report-not-utf8", study)
        text = data.decode("utf-8", "replace")
    sections = report_sections(text)
    if not join_sections(sections):
        context.findings.add("report-without-text", study)
    if has_unusual_headers(text):
        context.findings.add("report-headers", study)
    return has_text_sections(sections)


def _check_sectioned(context: VerifyContext, table: RawTable) -> None:
    studies: set[int] = set()
    num_complete = 0
    for row_id, (study, *sections) in table.rows(SECTION_COLUMNS):
        number = id_number(study)
        if number is None:
            context.findings.add("unreadable-id", row_id)
            continue
        studies.add(number)
        num_complete += any(text.strip() for text in sections[:2])  # impression, findings
        if not any(text.strip() for text in sections):
            context.findings.add("report-without-text", f"s{number}")
    context.counts[MIMIC_CXR, "reports"] = table.num_rows
    if table.is_complete:
        for study_number in sorted(context.images.by_study.keys() - studies):
            if context.is_in_copy(study_number):
                context.findings.add("missing-report", f"s{study_number}")
        context.check_amount("few-sections", num_complete, len(context.images.by_study))
