"""MIMIC-CXR-JPG 2.0.0 and 2.1.0 with the reports of MIMIC-CXR -> one Study per frontal image.

Files (the original DICOM tree works the same, with `.dcm`):

    files/p10/p10000032/s50414267/<dicom_id>.jpg       the image
    mimic-cxr-2.0.0-{metadata,split}.csv[.gz]          one row an image, columns found by name
    files/p10/p10000032/s50414267.txt                  the report, in the tree of MIMIC-CXR
    mimic_cxr_sectioned.csv[.gz]                       accepted instead of the report files

A study is shown by its first metadata row that is PA or AP; its other images are counted.
`ViewPosition` decides, and where it is empty the view code's meaning. Time is
(StudyDate, StudyTime), never the study number. Source: Johnson et al. 2019, arXiv:1901.07042.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from lapse.data.ledger import Ledger
from lapse.data.reports import join_sections, report_text
from lapse.data.tables import find_table, plain_id, read_rows, split_word
from lapse.types import SPLITS, Study

METADATA_COLUMNS = (
    "dicom_id",
    "subject_id",
    "study_id",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ViewCodeSequence_CodeMeaning",
)
FRONTAL_CODES = {"postero-anterior": "PA", "antero-posterior": "AP"}
SECTIONED = "mimic_cxr_sectioned"
SECTION_COLUMNS = ("study", "impression", "findings", "last_paragraph")


@dataclass(frozen=True, slots=True)
class _Frontal:
    """The chosen image of one study: one row of the metadata table."""

    dicom: str
    patient: str
    study: str
    view: str
    taken_at: datetime


class MimicCxr:
    """The frontal images and reports of MIMIC-CXR.

    Args:
        root: folder of MIMIC-CXR-JPG, holding `files` and the metadata and split tables.
        reports: folder of the reports (`files/.../s<study>.txt`) or of the sectioned table;
            None for studies without text.

    Attributes:
        skipped: images and studies that are not read, by reason.
        noted: oddities of what is read. Both grow with every call of `read`.

    Raises:
        ValueError: a table is missing, damaged, or lacks a column.
    """

    name = "mimic_cxr"

    def __init__(self, root: Path, reports: Path | None = None) -> None:
        self.root = root
        self.reports = reports
        self.skipped = Ledger()
        self.noted = Ledger()
        self.sizes: dict[str, tuple[int, int]] = {}
        self._metadata = self._table("metadata")
        self._splits = self._table("split")

    @property
    def release(self) -> str:
        """The version in the metadata table's name, such as "2.0.0"."""
        return self._metadata.name.split("-")[2]

    def read(self, split: str | None = None) -> Iterator[Study]:
        """Studies of one of the data set's own splits, or of all, in the metadata's order.

        Their report is findings and impression; `regions` is empty (Chest ImaGenome has them).

        Raises:
            ValueError: no such split.
        """
        if split is not None and split not in SPLITS:
            raise ValueError(f"no split {split!r}: one of {', '.join(SPLITS)}")
        for frontal in self._frontals.values():
            own = self.split_of.get(frontal.dicom)
            if own is None:
                if split is None or split == SPLITS[0]:
                    self.skipped.add("image without a row in the split table", frontal.dicom)
                continue
            if split in (None, own):
                yield Study(
                    id=frontal.dicom,
                    study=frontal.study,
                    patient=frontal.patient,
                    image=frontal.dicom,
                    view=frontal.view,
                    split=own,
                    taken_at=frontal.taken_at,
                    report=self.report(frontal.patient, frontal.study),
                    regions=(),
                )

    @property
    def num_studies(self) -> int:
        """Studies with a frontal image, in all splits."""
        return len(self._frontals)

    @property
    def num_images(self) -> int:
        """Rows of the metadata table."""
        return len(self._frontals) + self._num_passed_over

    def image_path(self, study: Study) -> Path:
        """Where the image of a study lies: the JPEG, else the DICOM, whether it exists or not."""
        folder = self._folder(study.patient) / f"s{study.study}"
        dicom = self.root / folder / f"{study.image}.dcm"
        return dicom if dicom.is_file() else dicom.with_suffix(".jpg")

    def report(self, patient: str, study: str) -> str:
        """Findings and impression of one study, "" (and noted) where there are none."""
        if self.reports is None:
            return ""
        if self._sectioned is not None:
            text = self._sectioned.get(study)
        else:
            path = self.reports / self._folder(patient) / f"s{study}.txt"
            text = report_text(_read_text(path)) if path.is_file() else None
        if text is None:
            self.noted.add("report missing (study kept without text)", f"s{study}")
        elif not text:
            self.noted.add("report without findings, impression or last paragraph", f"s{study}")
        return text or ""

    @cached_property
    def split_of(self) -> Mapping[str, str]:
        """dicom_id -> train, validate or test, every image of the split table."""
        columns = ("dicom_id", "split")
        rows = read_rows(self._splits, columns)
        return {dicom: split_word(word, self._splits) for dicom, word in rows}

    def patient_words(self) -> Iterator[tuple[str, str]]:
        """(patient, split) of every row of the split table."""
        for patient, word in read_rows(self._splits, ("subject_id", "split")):
            yield plain_id(patient), split_word(word, self._splits)

    @cached_property
    def _frontals(self) -> dict[str, _Frontal]:
        """Study -> its first PA or AP image."""
        chosen: dict[str, _Frontal] = {}
        without: dict[str, str] = {}
        passed_over = 0
        for row in read_rows(self._metadata, METADATA_COLUMNS):
            dicom, patient, study = row[0].strip(), plain_id(row[1]), plain_id(row[2])
            view = self._view(dicom, row[3], row[8])
            frontal = None
            if study in chosen:
                self.skipped.add("further image of a study that is shown by another", dicom)
            elif view not in ("PA", "AP"):
                self.skipped.add("image that is neither PA nor AP", dicom)
                without.setdefault(study, dicom)
            else:
                frontal = self._frontal(dicom, patient, study, view, row)
            if frontal is None:
                passed_over += 1
            else:
                chosen[study] = frontal
        for study in without:
            if study not in chosen:
                self.noted.add("study without a frontal image", f"s{study}")
        self._num_passed_over = passed_over
        return chosen

    def _frontal(
        self, dicom: str, patient: str, study: str, view: str, row: tuple[str, ...]
    ) -> _Frontal | None:
        taken_at = parse_time(row[6], row[7])
        if taken_at is None:
            shown = f"{dicom} {row[6]!r} {row[7]!r}"
            self.skipped.add("image with an unreadable StudyDate or StudyTime", shown)
            return None
        height, width = row[4].removesuffix(".0"), row[5].removesuffix(".0")
        if height.isdigit() and width.isdigit() and int(height) and int(width):
            self.sizes[dicom] = (int(height), int(width))
        else:
            self.noted.add("Rows or Columns unreadable", dicom)
        return _Frontal(dicom, patient, study, view, taken_at)

    def _view(self, dicom: str, position: str, meaning: str) -> str:
        """PA, AP, or whatever else the tables say."""
        position = position.strip().upper()
        by_code = FRONTAL_CODES.get(meaning.strip().lower(), meaning.strip())
        if not position:
            return by_code
        if by_code in ("PA", "AP") and position in ("PA", "AP") and by_code != position:
            self.noted.add("view tables disagree (ViewPosition is used)", dicom)
        return position

    @cached_property
    def _sectioned(self) -> dict[str, str] | None:
        """Study -> text from the derived table, or None where the table does not exist."""
        table = find_table(self.reports, SECTIONED) if self.reports else None
        if table is None:
            return None
        return {
            plain_id(row[0]): join_sections(dict(zip(SECTION_COLUMNS, row, strict=True)))
            for row in read_rows(table, SECTION_COLUMNS)
        }

    def _folder(self, patient: str) -> Path:
        return Path("files") / f"p{patient[:2]}" / f"p{patient}"

    def _table(self, kind: str) -> Path:
        table = find_table(self.root, f"mimic-cxr-2.*-{kind}")
        if table is None:
            raise ValueError(
                f"{self.root} holds no mimic-cxr-2.0.0-{kind}.csv.gz (or .csv, or 2.1.0): give "
                "the folder of MIMIC-CXR-JPG that holds the tables"
            )
        return table


def parse_time(date: str, time: str) -> datetime | None:
    """StudyDate yyyymmdd and StudyTime HHMMSS.fff, whose leading zeros are lost.

    >>> parse_time("21800506", "5014.5")
    datetime.datetime(2180, 5, 6, 0, 50, 14, 500000)
    """
    whole, _, fraction = time.strip().partition(".")
    digits = f"{date.strip().removesuffix('.0')}{whole.zfill(6)}"
    if not whole or not digits.isdigit() or len(digits) != 14:
        return None
    if fraction and not fraction.isdigit():
        return None
    try:
        taken_at = datetime.strptime(digits, "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return taken_at.replace(microsecond=int(fraction[:6].ljust(6, "0") or "0"))


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
