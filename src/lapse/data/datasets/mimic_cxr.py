"""MIMIC-CXR-JPG 2.0.0 and 2.1.0 with the reports of MIMIC-CXR -> one Study per frontal image.

Files (the original DICOM tree works the same, with `.dcm`):

    files/p10/p10000032/s50414267/<dicom_id>.jpg       the image
    mimic-cxr-2.0.0-{metadata,split}.csv[.gz]          one row an image, columns found by name
    files/p10/p10000032/s50414267.txt                  the report, in the tree of MIMIC-CXR
    mimic_cxr_sectioned.csv[.gz]                       accepted instead of the report files

A study is shown by its first metadata row that is PA or AP, as in Medical-Diff-VQA; its other
images are counted, or kept where all frontal images are asked for. `ViewPosition` decides, and
where it is empty the view code's meaning. Time is (StudyDate, StudyTime), never the study
number. Source: Johnson et al. 2019, arXiv:1901.07042.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Protocol

from lapse.core.types import SPLITS, Study, nearest
from lapse.data.datasets.frontal_images import VIEWS, Frontal, Frontals, Sizes
from lapse.data.datasets.report_files import ReportFiles, patient_folder
from lapse.data.io.compact_maps import CompactEnumMap, CompactStrMap
from lapse.data.io.csv_tables import find_table, plain_id, read_rows, split_word
from lapse.data.io.skip_log import SkipLog

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
FRONTALS = ("first", "all")


class Lookup(Protocol):
    """Something that a text can be looked up in."""

    def get(self, key: str, /) -> str | None:
        """What stands for the text, None where nothing does."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which frontal images stand for a study.

    Attributes:
        how: "first" (one image a study) or "all" (every PA and AP image).
        named: study number -> dicom_id that stands for it where the metadata have it as PA or
            AP, as Medical-Diff-VQA's `mimic_all.csv` says; other studies take their first.
        also: further dicom_ids to keep, whatever stands for their study.
    """

    how: str = "first"
    named: Lookup = field(default_factory=CompactStrMap)
    also: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.how not in FRONTALS:
            raise ValueError(
                f"no choice of frontal images {self.how!r}; {nearest(self.how, FRONTALS)}"
            )


class MimicCxr:
    """The frontal images and reports of MIMIC-CXR.

    Args:
        root: folder of MIMIC-CXR-JPG, holding `files` and the metadata and split tables.
        reports: folder of the reports (`files/.../s<study>.txt`) or of the sectioned table;
            None for studies without text. Its DICOMs are used where `root` has no JPEG.
        choice: which frontal images stand for a study.

    Attributes:
        skipped: images and studies that are not read, by reason.
        noted: oddities of what is read. Both grow with every call of `read`.

    Raises:
        ValueError: a table is missing, damaged, or lacks a column.
    """

    name = "mimic_cxr"

    def __init__(
        self, root: Path, reports: Path | None = None, *, choice: Choice | None = None
    ) -> None:
        self.root = root
        self.reports = ReportFiles(reports)
        self.choice = choice or Choice()
        self.skipped = SkipLog()
        self.noted = SkipLog()
        self._image_roots = [root, *([reports] if reports not in (None, root) else [])]
        self._metadata = self._table("metadata")
        self._splits = self._table("split")

    @property
    def release(self) -> str:
        """The release, such as "2.0.0"; 2.1.0 kept the table names of 2.0.0 and added one."""
        is_newer = self.root.name == "2.1.0" or any(self.root.glob("mimic-cxr-2.1.0-*"))
        return "2.1.0" if is_newer else self._metadata.name.split("-")[2]

    def read(self, split: str | None = None) -> Iterator[Study]:
        """Studies of one of the data set's own splits, or of all, in the metadata's order.

        Their report is findings and impression; `regions` is empty (Chest ImaGenome has them).

        Raises:
            ValueError: no such split.
        """
        for study in self.plan(split):
            report = self.report(study.patient, study.study)
            yield replace(study, report=report)

    def plan(self, split: str | None = None) -> Iterator[Study]:
        """As `read`, without opening a report."""
        if split is not None and split not in SPLITS:
            raise ValueError(f"no split {split!r}: one of {', '.join(SPLITS)}")
        for number in self.frontals.kept():
            dicom = self.frontals.dicoms[number]
            own = self.split_of.get(dicom)
            if own is None:
                if split is None or split == SPLITS[0]:
                    self.skipped.add("image without a row in the split table", dicom)
            elif split in (None, own):
                yield self.frontals.study(number, own)

    @property
    def num_studies(self) -> int:
        """Frontal images to read, in all splits; with "first", studies."""
        return self.frontals.num_kept

    @property
    def num_images(self) -> int:
        """Rows of the metadata table."""
        return self.frontals.num_rows

    def stands_for(self, study: Study) -> bool:
        """Whether this image is the one that questions about its study mean."""
        number = self.frontals.standing(study.study)
        return number is not None and self.frontals.dicoms[number] == study.id

    @property
    def sizes(self) -> Mapping[str, tuple[int, int]]:
        """dicom_id -> (height, width) of every frontal image whose size the table tells."""
        return Sizes(self.frontals)

    def image_path(self, study: Study) -> Path:
        """Where the image of a study lies: the JPEG, else the DICOM, whether it exists or not."""
        folder = patient_folder(study.patient) / f"s{study.study}"
        first = self.root / folder / f"{study.image}.jpg"
        places = (
            root / folder / f"{study.image}{suffix}"
            for root in self._image_roots
            for suffix in (".jpg", ".dcm")
        )
        return next((path for path in places if path.is_file()), first)

    def report(self, patient: str, study: str) -> str:
        """Findings and impression of one study, "" (and noted) where there are none."""
        if self.reports.root is None:
            return ""
        text = self.reports.text(patient, study)
        note_report(text, study, self.noted)
        return text or ""

    @cached_property
    def split_of(self) -> CompactEnumMap:
        """dicom_id -> train, validate or test, every image of the split table."""
        found = CompactEnumMap()
        for dicom, word in read_rows(self._splits, ("dicom_id", "split")):
            found[dicom.strip()] = split_word(word, self._splits)
        return found

    def patient_words(self) -> Iterator[tuple[str, str]]:
        """(patient, split) of every row of the split table."""
        for patient, word in read_rows(self._splits, ("subject_id", "split")):
            yield plain_id(patient), split_word(word, self._splits)

    @cached_property
    def frontals(self) -> Frontals:
        """The metadata table, read once."""
        found = Frontals()
        for row in read_rows(self._metadata, METADATA_COLUMNS):
            found.num_rows += 1
            dicom, study = row[0].strip(), plain_id(row[2])
            view = self._view(dicom, row[3], row[8])
            if view not in VIEWS:
                self.skipped.add("image that is neither PA nor AP", dicom)
                found.note_other(study)
                continue
            frontal = self._frontal(view, row)
            if frontal is not None:
                found.add(frontal, self.choice.named.get(study) == dicom)
        for study in found.without_frontal():
            self.noted.add("study without a frontal image", f"s{study}")
        for first, other in found.ties():
            self.noted.add("two studies of one patient at one time", f"s{first} s{other}")
        self._keep_further(found)
        return found

    def _keep_further(self, found: Frontals) -> None:
        reason = "further image of a study that is shown by another"
        for number in list(found.further()):
            dicom = found.dicoms[number]
            if self.choice.how == "all" or dicom in self.choice.also:
                found.keep(number)
            else:
                self.skipped.add(reason, dicom)

    def _frontal(self, view: str, row: tuple[str, ...]) -> Frontal | None:
        dicom = row[0].strip()
        taken_at = parse_time(row[6], row[7])
        if taken_at is None:
            shown = f"{dicom} {row[6]!r} {row[7]!r}"
            self.skipped.add("image with an unreadable StudyDate or StudyTime", shown)
            return None
        size = parse_size(row[4], row[5])
        if size is None:
            self.noted.add("Rows or Columns unreadable", dicom)
        return Frontal(dicom, plain_id(row[1]), plain_id(row[2]), view, taken_at, size)

    def _view(self, dicom: str, position: str, meaning: str) -> str:
        """PA, AP, or whatever else the tables say."""
        position = position.strip().upper()
        by_code = FRONTAL_CODES.get(meaning.strip().lower(), meaning.strip())
        if not position:
            return by_code
        if by_code in ("PA", "AP") and position in ("PA", "AP") and by_code != position:
            self.noted.add("view tables disagree (ViewPosition is used)", dicom)
        return position

    def _table(self, kind: str) -> Path:
        table = find_table(self.root, f"mimic-cxr-2.*-{kind}")
        if table is None:
            raise ValueError(
                f"{self.root} holds no mimic-cxr-2.0.0-{kind}.csv.gz (or .csv, or 2.1.0): give "
                "the folder of MIMIC-CXR-JPG that holds the tables"
            )
        return table


def note_report(text: str | None, study: str, noted: SkipLog) -> None:
    """Count a study whose report is missing or says nothing."""
    if text is None:
        noted.add("report missing (study kept without text)", f"s{study}")
    elif not text:
        noted.add("report without findings, impression or last paragraph", f"s{study}")


def parse_size(rows: str, columns: str) -> tuple[int, int] | None:
    """(height, width) in pixels, None where one is no positive number below a thousand million.

    >>> parse_size("3056", "2544.0"), parse_size("3056", "")
    ((3056, 2544), None)
    """
    height, width = rows.removesuffix(".0"), columns.removesuffix(".0")
    if not height.isdecimal() or not width.isdecimal() or max(len(height), len(width)) > 9:
        return None
    return (int(height), int(width)) if int(height) and int(width) else None


def parse_time(date: str, time: str) -> datetime | None:
    """StudyDate yyyymmdd and StudyTime HHMMSS.fff, whose leading zeros are lost.

    >>> parse_time("21800506", "5014.5")
    datetime.datetime(2180, 5, 6, 0, 50, 14, 500000)
    """
    whole, _, fraction = time.strip().partition(".")
    digits = f"{date.strip().removesuffix('.0')}{whole.zfill(6)}"
    if not whole or not digits.isdecimal() or len(digits) != 14:
        return None
    if fraction and not fraction.isdecimal():
        return None
    try:
        taken_at = datetime.strptime(digits, "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return taken_at.replace(microsecond=int(fraction[:6].ljust(6, "0") or "0"))
