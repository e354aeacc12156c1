"""The rows of the metadata table, with access by image and by study."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, eq=False)
class ImageRow:
    """One row of the metadata table. An unreadable size or time is None."""

    dicom: str
    patient: int
    study: int
    size: tuple[int, int] | None
    taken_at: datetime | None
    is_frontal: bool


class ImageTable:
    """The images of the metadata table.

    Attributes:
        rows: all rows, in the order of the table.
        by_dicom: dicom_id -> its first row.
        by_study: study -> the row that represents it: its first PA or AP image, else its first.
        repeated: rows whose image has an earlier row.
        is_complete: the table was read to its end, so an absent image is not in the release.
    """

    def __init__(self) -> None:
        self.rows: list[ImageRow] = []
        self.by_dicom: dict[str, ImageRow] = {}
        self.by_study: dict[int, ImageRow] = {}
        self.repeated: list[ImageRow] = []
        self.is_complete = False

    def add(self, row: ImageRow) -> None:
        """Append a row."""
        self.rows.append(row)
        if self.by_dicom.setdefault(row.dicom, row) is not row:
            self.repeated.append(row)
        representative = self.by_study.setdefault(row.study, row)
        if row.is_frontal and not representative.is_frontal:
            self.by_study[row.study] = row
