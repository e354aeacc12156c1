"""Where the reports of MIMIC-CXR lie: one text file a study, or the ready-made sectioned table.

    files/p10/p10000032/s50414267.txt     the report as written
    mimic_cxr_sectioned.csv[.gz]          study, impression, findings, last_paragraph, comparison

The table is preferred where it exists, because it is what most published work was made from.
"""

from __future__ import annotations

import tempfile
import weakref
from array import array
from functools import cached_property
from pathlib import Path

from lapse.data.io.compact_maps import CompactIntMap
from lapse.data.io.csv_tables import find_table, plain_id, read_rows
from lapse.data.reports.sections import join_sections, report_text

SECTIONED = "mimic_cxr_sectioned"
SECTION_COLUMNS = ("study", "impression", "findings", "last_paragraph")
MAX_REPORT_BYTES = 1024 * 1024


def patient_folder(patient: str) -> Path:
    """The folder of one patient below the root of a MIMIC-CXR tree.

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
        """Findings and impression in one line, "" where the report has none, None without one.

        Raises:
            ValueError: the sectioned table is damaged, or the report is far too long for one.
        """
        if self.table is not None:
            return self._sectioned.get(study)
        if self.root is None:
            return None
        path = self.root / patient_folder(patient) / f"s{study}.txt"
        if not path.is_file():
            return None
        if path.stat().st_size > MAX_REPORT_BYTES:
            raise ValueError(
                f"{path} weighs {path.stat().st_size} bytes and a report at most "
                f"{MAX_REPORT_BYTES}: fetch the file again"
            )
        return report_text(path.read_text(encoding="utf-8", errors="replace"))

    @cached_property
    def _sectioned(self) -> _Spool:
        assert self.table is not None
        found = _Spool()
        for row in read_rows(self.table, SECTION_COLUMNS):
            found.add(plain_id(row[0]), join_sections(dict(zip(SECTION_COLUMNS, row, strict=True))))
        return found


class _Spool:
    """Study -> text, the texts end to end in an unnamed file on the disk."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the spool
        weakref.finalize(self, self._file.close)
        self._numbers = CompactIntMap()
        self._ends = array("q", [0])

    def add(self, study: str, text: str) -> None:
        """The text of a study; a later one replaces it."""
        self._numbers[study] = len(self._ends) - 1
        self._ends.append(self._ends[-1] + self._file.write(text.encode("utf-8")))

    def get(self, study: str) -> str | None:
        """The text of a study, None where there is none."""
        number = self._numbers.get(study)
        if number is None:
            return None
        start, end = self._ends[number], self._ends[number + 1]
        self._file.seek(start)
        return self._file.read(end - start).decode("utf-8")
