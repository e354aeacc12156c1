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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from lapse.data.ledger import Ledger
from lapse.data.report_files import ReportFiles, patient_folder
from lapse.data.tables import find_table, plain_id, read_rows, split_word
from lapse.types import SPLITS, Study, nearest

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
    named: Mapping[str, str] = field(default_factory=dict)
    also: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.how not in FRONTALS:
            raise ValueError(
                f"no choice of frontal images {self.how!r}; {nearest(self.how, FRONTALS)}"
            )


@dataclass(frozen=True, slots=True)
class _Frontal:
    """A PA or AP image: one row of the metadata table, `row` counted from 0."""

    row: int
    dicom: str
    patient: str
    study: str
    view: str
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class _Metadata:
    """The metadata table, read once: images to read in its order, and study -> its image."""

    frontals: Sequence[_Frontal]
    standing: Mapping[str, str]
    num_rows: int


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
        self.skipped = Ledger()
        self.noted = Ledger()
        self.sizes: dict[str, tuple[int, int]] = {}
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
        for frontal in self._rows.frontals:
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
                    report="",
                    regions=(),
                )

    @property
    def num_studies(self) -> int:
        """Frontal images to read, in all splits; with "first", studies."""
        return len(self._rows.frontals)

    @property
    def num_images(self) -> int:
        """Rows of the metadata table."""
        return self._rows.num_rows

    def stands_for(self, study: Study) -> bool:
        """Whether this image is the one that questions about its study mean."""
        return self._rows.standing.get(study.study) == study.id

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
    def split_of(self) -> Mapping[str, str]:
        """dicom_id -> train, validate or test, every image of the split table."""
        columns = ("dicom_id", "split")
        rows = read_rows(self._splits, columns)
        return {dicom.strip(): split_word(word, self._splits) for dicom, word in rows}

    def patient_words(self) -> Iterator[tuple[str, str]]:
        """(patient, split) of every row of the split table."""
        for patient, word in read_rows(self._splits, ("subject_id", "split")):
            yield plain_id(patient), split_word(word, self._splits)

    @cached_property
    def _rows(self) -> _Metadata:
        standing: dict[str, _Frontal] = {}
        further: list[_Frontal] = []
        without: dict[str, str] = {}
        number = -1
        for number, row in enumerate(read_rows(self._metadata, METADATA_COLUMNS)):
            dicom, study = row[0].strip(), plain_id(row[2])
            view = self._view(dicom, row[3], row[8])
            if view not in ("PA", "AP"):
                self.skipped.add("image that is neither PA nor AP", dicom)
                without.setdefault(study, dicom)
                continue
            frontal = self._frontal(number, view, row)
            if frontal is None:
                continue
            loser = standing.setdefault(study, frontal)
            if loser is not frontal:
                if self.choice.named.get(study) == dicom:
                    standing[study], frontal = frontal, loser
                further.append(frontal)
        for study in without:
            if study not in standing:
                self.noted.add("study without a frontal image", f"s{study}")
        self._note_ties(standing)
        kept = [item for item in further if self._is_kept(item)]
        return _Metadata(
            frontals=sorted([*standing.values(), *kept], key=lambda item: item.row),
            standing={study: frontal.dicom for study, frontal in standing.items()},
            num_rows=number + 1,
        )

    def _is_kept(self, further: _Frontal) -> bool:
        is_kept = self.choice.how == "all" or further.dicom in self.choice.also
        if not is_kept:
            reason = "further image of a study that is shown by another"
            self.skipped.add(reason, further.dicom)
        return is_kept

    def _note_ties(self, standing: Mapping[str, _Frontal]) -> None:
        """Studies of one patient at the very same time: neither is the earlier one."""
        at: dict[tuple[str, datetime], str] = {}
        for study, frontal in standing.items():
            first = at.setdefault((frontal.patient, frontal.taken_at), study)
            if first != study:
                self.noted.add("two studies of one patient at one time", f"s{first} s{study}")

    def _frontal(self, number: int, view: str, row: tuple[str, ...]) -> _Frontal | None:
        dicom = row[0].strip()
        taken_at = parse_time(row[6], row[7])
        if taken_at is None:
            shown = f"{dicom} {row[6]!r} {row[7]!r}"
            self.skipped.add("image with an unreadable StudyDate or StudyTime", shown)
            return None
        height, width = row[4].removesuffix(".0"), row[5].removesuffix(".0")
        if height.isdecimal() and width.isdecimal() and int(height) and int(width):
            self.sizes[dicom] = (int(height), int(width))
        else:
            self.noted.add("Rows or Columns unreadable", dicom)
        return _Frontal(number, dicom, plain_id(row[1]), plain_id(row[2]), view, taken_at)

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


def note_report(text: str | None, study: str, noted: Ledger) -> None:
    """Count a study whose report is missing or says nothing."""
    if text is None:
        noted.add("report missing (study kept without text)", f"s{study}")
    elif not text:
        noted.add("report without findings, impression or last paragraph", f"s{study}")


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
