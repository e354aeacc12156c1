"""The reports: one for each study, readable, with something to learn from."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lapse.data.datasets.release_counts import MIMIC_CXR
from lapse.data.io.csv_tables import find_table
from lapse.data.reports.sections import report_text
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.image_index import UNKNOWN
from lapse.data.verify.tables import RawTable, id_number

SECTIONED = "mimic_cxr_sectioned"
SECTIONS = ("impression", "findings", "last_paragraph")


def check_reports(case: VerifyContext) -> None:
    """Report files, or the derived table of sections where the folder has one."""
    table = find_table(case.roots.reports, SECTIONED)
    if table is not None:
        _check_sectioned(case, table)
        return
    images = case.images
    case.meter.expect(images.study_numbers.size)
    num_found = 0
    for study, row in zip(images.study_numbers, images.study_rows, strict=True):
        patient = int(images.patients[row])
        name = f"files/p{str(patient)[:2]}/p{patient}/s{study}.txt"
        num_found += _check_report(case, case.roots.reports / name, name, f"s{study}")
        case.meter.step()
    case.counts[MIMIC_CXR, "reports"] = num_found
    if images.is_whole:
        for path in _report_files(case.roots.reports):
            number = id_number(path.stem)
            if number is None or _is_unknown(case, number):
                name = path.relative_to(case.roots.reports).as_posix()
                case.findings.add("unlisted-report", name)


def _check_report(case: VerifyContext, path: Path, name: str, study: str) -> bool:
    """Whether the report is there; what is wrong with it is reported."""
    if not path.is_file():
        case.findings.add("missing-report", study)
        return False
    data = path.read_bytes()
    if not data:
        case.findings.add("empty-file", name)
        return True
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        case.findings.add("report-not-utf8", study)
        text = data.decode("utf-8", "replace")
    if not report_text(text):
        case.findings.add("report-without-text", study)
    return True


def _check_sectioned(case: VerifyContext, path: Path) -> None:
    columns = ("study", "impression", "findings", "last_paragraph", "comparison")
    table = RawTable(path, case.findings, columns, is_open=True)
    found = array("q")
    for line, (study, *sections) in table.rows(("study", *SECTIONS)):
        number = id_number(study)
        if number is None:
            case.findings.add("unreadable-id", table.line(line))
            continue
        found.append(number)
        if not any(text.strip() for text in sections):
            case.findings.add("report-without-text", f"s{number}")
    case.counts[MIMIC_CXR, "reports"] = table.num_rows
    if table.is_whole:
        missing = np.setdiff1d(case.images.study_numbers, np.array(found, np.int64))
        for study in missing:
            case.findings.add("missing-report", f"s{study}")


def _report_files(root: Path) -> Iterator[Path]:
    for group in sorted(root.glob("files/p[0-9][0-9]")):
        for patient in sorted(group.glob("p*")):
            yield from sorted(patient.glob("s*.txt"))


def _is_unknown(case: VerifyContext, study: int) -> bool:
    return int(case.images.rows_of_studies(np.array([study]))[0]) == UNKNOWN
