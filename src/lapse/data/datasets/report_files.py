"""The reports of MIMIC-CXR: one text file per study, or the derived table of sections.

    files/p10/p10000032/s50414267.txt     the report as written
    mimic_cxr_sectioned.csv[.gz]          study, impression, findings, last_paragraph, comparison

The table is preferred where it exists, because most published work was made from it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from lapse.data.datasets.image_files import patient_folder
from lapse.data.io.csv_tables import find_table, plain_id, read_rows
from lapse.data.reports.sections import has_text_sections, join_sections, report_sections

SECTIONED = "mimic_cxr_sectioned"
SECTION_COLUMNS = ("study", "impression", "findings", "last_paragraph")
MAX_REPORT_BYTES = 1024 * 1024


class ReportFiles:
    """Findings and impression of each study.

    Args:
        root: the folder with `files/` or with the sectioned table; None for no reports.
    """

    def __init__(self, root: Path | None) -> None:
        self.root = root
        self.table = find_table(root, SECTIONED) if root is not None else None
        self._without_sections: set[str] = set()  # studies of the table

    @property
    def is_table(self) -> bool:
        """Whether the sectioned table is used."""
        return self.table is not None

    def text(self, patient: str, study: str) -> str | None:
        """Findings and impression in one line, "" for a report without them, None if missing.

        Raises:
            ValueError: the sectioned table is damaged, or the file is too large for a report.
        """
        parts = self._parts(patient, study)
        return None if parts is None else parts[0]

    def impression(self, patient: str, study: str) -> str:
        """The impression in one line, which ends `text`; "" where there is none."""
        parts = self._parts(patient, study)
        return "" if parts is None else parts[1]

    def _parts(self, patient: str, study: str) -> tuple[str, str] | None:
        """The text and its impression."""
        if self.table is not None:
            return self._sectioned.get(study)
        report = self._read(patient, study)
        return None if report is None else _text_parts(report_sections(report))

    def has_sections(self, patient: str, study: str) -> bool:
        """Whether the report of a study has findings or an impression."""
        if self.table is not None:
            has_text = bool(self._sectioned.get(study, ("", ""))[0])
            return has_text and study not in self._without_sections
        report = self._read(patient, study)
        return report is not None and has_text_sections(report_sections(report))

    def _read(self, patient: str, study: str) -> str | None:
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
    def _sectioned(self) -> dict[str, tuple[str, str]]:
        """Study -> text and impression; the last row of a study wins."""
        assert self.table is not None
        texts: dict[str, tuple[str, str]] = {}
        for row in read_rows(self.table, SECTION_COLUMNS):
            study, sections = plain_id(row[0]), dict(zip(SECTION_COLUMNS, row, strict=True))
            texts[study] = _text_parts(sections)
            self._without_sections.discard(study)
            if not has_text_sections(sections):
                self._without_sections.add(study)
        return texts


def _text_parts(named: dict[str, str]) -> tuple[str, str]:
    return join_sections(named), " ".join(named.get("impression", "").split())
