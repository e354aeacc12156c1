"""The reports of MIMIC-CXR: one text file per study, or the derived table of sections.

    files/p10/p10000032/s50414267.txt     the report as written
    mimic_cxr_sectioned.csv[.gz]          study, impression, findings, last_paragraph, comparison

The table is preferred where it exists, because most published work was made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from lapse.data.datasets.image_files import patient_folder
from lapse.data.io.csv_tables import find_table, plain_id, read_rows
from lapse.data.reports.sections import has_text_sections, join_sections, report_sections

SECTIONED = "mimic_cxr_sectioned"
SECTION_COLUMNS = ("study", "impression", "findings", "last_paragraph")
MAX_REPORT_BYTES = 1024 * 1024


class StudyReport(NamedTuple):
    """Findings and impression of one study.

    Attributes:
        text: both in one line, "" for a report without them.
        impression: in one line, as `text` ends; "" where there is none.
        has_sections: whether there are findings or an impression; else `text` is the last
            paragraph.
    """

    text: str
    impression: str
    has_sections: bool


class ReportFiles:
    """The reports of the studies.

    Args:
        root: the folder with `files/` or with the sectioned table; None for no reports.

    Attributes:
        table: the sectioned table, None if there is none and the files are read.
    """

    def __init__(self, root: Path | None) -> None:
        self.root = root
        self.table = find_table(root, SECTIONED) if root is not None else None

    def read(self, patient: str, study: str) -> StudyReport | None:
        """The report of a study, None if it is missing.

        Raises:
            ValueError: the sectioned table is damaged, or the file is too large for a report.
        """
        if self.table is not None:
            return self._sectioned.get(study)
        text = self._text(patient, study)
        return None if text is None else _study_report(report_sections(text))

    def _text(self, patient: str, study: str) -> str | None:
        if self.root is None:
            return None
        path = self.root / patient_folder(patient) / f"s{study}.txt"
        try:
            size = path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        if size > MAX_REPORT_BYTES:
            raise ValueError(
                f"{path} has {size} bytes and the limit for a report is {MAX_REPORT_BYTES}: fetch "
                "the file again"
            )
        return path.read_text(encoding="utf-8", errors="replace")

    @cached_property
    def _sectioned(self) -> dict[str, StudyReport]:
        """Study -> its report; the last row of a study wins."""
        assert self.table is not None
        rows = read_rows(self.table, SECTION_COLUMNS)
        return {
            plain_id(row[0]): _study_report(dict(zip(SECTION_COLUMNS, row, strict=True)))
            for row in rows
        }


def _study_report(named: Mapping[str, str]) -> StudyReport:
    impression = " ".join(named.get("impression", "").split())
    return StudyReport(join_sections(named), impression, has_text_sections(named))
