"""The reports of MIMIC-CXR: one text file per study, or the derived table of sections.

    files/p10/p10000032/s50414267.txt     the report as written
    mimic_cxr_sectioned.csv[.gz]          study, impression, findings, last_paragraph, comparison

The table is preferred where it exists, because most published work was made from it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from lapse.data.io.csv_tables import find_table, plain_id, read_rows
from lapse.data.reports.sections import join_sections, report_text

SECTIONED = "mimic_cxr_sectioned"
SECTION_COLUMNS = ("study", "impression", "findings", "last_paragraph")
MAX_REPORT_BYTES = 1024 * 1024


def patient_folder(patient: str) -> Path:
    """The folder of a patient, relative to the root of a MIMIC-CXR tree.

    >>> patient_folder("10000032").as_posix()
    'files/p10/p10000032'
    """
    return Path("files") / f"p{patient[:2]}" / f"p{patient}"


class ReportFiles:
    """Findings and impression of each study.

    Args:
        root: the folder with `files/` or with the sectioned table; None for no reports.
    """

    def __init__(self, root: Path | None) -> None:
        self.root = root
        self.table = find_table(root, SECTIONED) if root is not None else None

    @property
    def is_table(self) -> bool:
        """Whether the sectioned table is used."""
        return self.table is not None

    def text(self, patient: str, study: str) -> str | None:
        """Findings and impression in one line, "" for a report without them, None if missing.

        Raises:
            ValueError: the sectioned table is damaged, or the file is too large for a report.
        """
        if self.table is not None:
            return self._sectioned.get(study)
        if self.root is None:
            return None
        path = self.root / patient_folder(patient) / f"s{study}.txt"
        if not path.is_file():
            return None
        size = path.stat().st_size
        if size > MAX_REPORT_BYTES:
            raise ValueError(
                f"{path} has {size} bytes and the limit for a report is {MAX_REPORT_BYTES}: fetch "
                "the file again"
            )
        return report_text(path.read_text(encoding="utf-8", errors="replace"))

    @cached_property
    def _sectioned(self) -> dict[str, str]:
        """Study -> text; the last row of a study wins."""
        assert self.table is not None
        return {
            plain_id(row[0]): join_sections(dict(zip(SECTION_COLUMNS, row, strict=True)))
            for row in read_rows(self.table, SECTION_COLUMNS)
        }
