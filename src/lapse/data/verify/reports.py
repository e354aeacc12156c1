"""The reports: one for each study, in UTF-8, with a usable section."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lapse.data.datasets.release_counts import MIMIC_CXR
from lapse.data.datasets.report_files import SECTION_COLUMNS, SECTIONED
from lapse.data.io.csv_tables import find_table
from lapse.data.reports.sections import report_text
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.tables import RawTable, id_number


def check_reports(context: VerifyContext) -> None:
    """Report files, or the derived table of sections where the folder has one."""
    table = find_table(context.roots.reports, SECTIONED)
    if table is not None:
        _check_sectioned(context, table)
        return
    root, images = context.roots.reports, context.images
    context.progress.expect(len(images.by_study))
    num_reports = 0
    for study in sorted(images.by_study):
        patient = images.by_study[study].patient
        name = f"files/p{str(patient)[:2]}/p{patient}/s{study}.txt"
        num_reports += _check_report(context, root / name, name, f"s{study}")
        context.progress.step()
    context.counts[MIMIC_CXR, "reports"] = num_reports
    if images.is_complete:
        for path in _report_files(root):
            if id_number(path.stem) not in images.by_study:
                name = path.relative_to(root).as_posix()
                context.findings.add("unlisted-report", name)


def _check_report(context: VerifyContext, path: Path, name: str, study: str) -> bool:
    """Report the defects of a report; returns whether the file exists."""
    if not path.is_file():
        context.findings.add("missing-report", study)
        return False
    data = path.read_bytes()
    if not data:
        context.findings.add("empty-file", name)
        return True
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        context.findings.add("report-not-utf8", study)
        text = data.decode("utf-8", "replace")
    if not report_text(text):
        context.findings.add("report-without-text", study)
    return True


def _check_sectioned(context: VerifyContext, path: Path) -> None:
    columns = (*SECTION_COLUMNS, "comparison")
    table = RawTable(path, context.findings, columns, allows_extra=True)
    studies: set[int] = set()
    for line, (study, *sections) in table.rows(SECTION_COLUMNS):
        number = id_number(study)
        if number is None:
            context.findings.add("unreadable-id", table.line(line))
            continue
        studies.add(number)
        if not any(text.strip() for text in sections):
            context.findings.add("report-without-text", f"s{number}")
    context.counts[MIMIC_CXR, "reports"] = table.num_rows
    if table.is_complete:
        for study_number in sorted(context.images.by_study.keys() - studies):
            context.findings.add("missing-report", f"s{study_number}")


def _report_files(root: Path) -> Iterator[Path]:
    for group in sorted(root.glob("files/p[0-9][0-9]")):
        for patient in sorted(group.glob("p*")):
            yield from sorted(patient.glob("s*.txt"))
