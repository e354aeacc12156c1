"""MIMIC-CXR-JPG 2.0.0 and 2.1.0 with the reports of MIMIC-CXR -> one Study per frontal image.

Files (the original DICOM tree has the same layout, with `.dcm`):

    files/p10/p10000032/s50414267/<dicom_id>.jpg       the image, or a PNG copy of it
    mimic-cxr-2.0.0-{metadata,split}.csv[.gz]          one row per image, columns found by name
    files/p10/p10000032/s50414267.txt                  the report, in the tree of MIMIC-CXR
    mimic_cxr_sectioned.csv[.gz]                       accepted instead of the report files

A study is represented by its first metadata row that is PA or AP, as in Medical-Diff-VQA. Its
other images are counted, or kept where all frontal images are requested. `ViewPosition` decides
the view, and where it is empty (or "nan") the meaning of the view code. Time is (StudyDate,
StudyTime), never the study number. Source: Johnson et al. 2019, arXiv:1901.07042.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from lapse.core.types import Study
from lapse.data.datasets.image_files import ImageFiles, image_roots
from lapse.data.datasets.report_files import ReportFiles
from lapse.data.io.csv_tables import find_table, is_empty, parse_split, plain_id, read_rows
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
FRONTAL_VIEWS = {"pa": "PA", "ap": "AP", "postero-anterior": "PA", "antero-posterior": "AP"}
FRONTALS = ("first", "all")


@dataclass(frozen=True, slots=True)
class ImageSelection:
    """Which frontal images are read.

    Attributes:
        frontals: "first" (one image per study) or "all" (every PA and AP image).
        preferred: study number -> dicom_id that represents it, where the metadata list it as PA
            or AP, as in Medical-Diff-VQA's `mimic_all.csv`; other studies use their first.
        extra: dicom_ids to read in addition, whatever represents their study.
    """

    frontals: str = "first"
    preferred: Mapping[str, str] = field(default_factory=dict)
    extra: frozenset[str] = frozenset()


@dataclass(slots=True)
class FrontalImages:
    """The selected rows of the metadata table.

    Attributes:
        studies: the images to read without their reports, in the order of the table.
        by_study: study number -> the image that represents it.
        sizes: dicom_id -> (height, width) of every frontal image with a readable size.
        num_rows: rows of the metadata table, of any view.
        num_studies: studies of the metadata table.
    """

    studies: list[Study] = field(default_factory=list)
    by_study: dict[str, Study] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    num_rows: int = 0
    num_studies: int = 0


class MimicCxr:
    """The frontal images and reports of MIMIC-CXR.

    Args:
        root: folder of MIMIC-CXR-JPG, with `files` and the metadata and split tables.
        reports: folder of the reports (`files/.../s<study>.txt`) or of the sectioned table;
            None for studies without text. Its DICOMs are used where `root` has no JPEG.
        selection: which frontal images are read.

    Attributes:
        skipped: images and studies that are not read, by reason.
        noted: anomalies of the images that are read. Reports are added by every call of `read`.

    Raises:
        ValueError: a table is missing, damaged, or lacks a column.
    """

    name = "mimic_cxr"

    def __init__(
        self, root: Path, reports: Path | None = None, *, selection: ImageSelection | None = None
    ) -> None:
        self.root = root
        self.reports = ReportFiles(reports)
        self.selection = selection or ImageSelection()
        self.skipped = SkipLog()
        self.noted = SkipLog()
        self._files = ImageFiles(image_roots(root, reports))
        self._metadata = self._table("metadata")
        self._splits = self._table("split")

    @property
    def release(self) -> str:
        """The release, such as "2.0.0"; 2.1.0 kept the table names of 2.0.0 and added a table."""
        is_newer = self.root.name == "2.1.0" or any(self.root.glob("mimic-cxr-2.1.0-*"))
        return "2.1.0" if is_newer else self._metadata.name.split("-")[2]

    def read(self) -> Iterator[Study]:
        """The studies in the order of the metadata.

        Their report is findings and impression; `regions` is empty (Chest ImaGenome has them).

        Raises:
            ValueError: unknown split.
        """
        for study in self.images.studies:
            yield replace(study, report=self.report(study.patient, study.study))

    def image_path(self, study: Study) -> Path | None:
        """The JPEG of a study, else its PNG or DICOM; None if there is none.

        The folder of the study is read at the first call only.
        """
        return self._files.find(study.patient, study.study, study.image)

    def report(self, patient: str, study: str) -> str:
        """Findings and impression of a study, "" (and noted) where there are none."""
        if self.reports.root is None:
            return ""
        report = self.reports.read(patient, study)
        text = None if report is None else report.text
        note_report(text, study, self.noted)
        return text or ""

    def patient_splits(self) -> Iterator[tuple[str, str]]:
        """(patient, split) of every row of the split table."""
        for patient, split in read_rows(self._splits, ("subject_id", "split")):
            yield plain_id(patient), parse_split(split, self._splits)

    @cached_property
    def images(self) -> FrontalImages:
        """The selected images; the tables are read once."""
        images = FrontalImages()
        candidates: dict[str, Study] = {}
        other_views: dict[str, None] = {}  # studies with images that are neither PA nor AP
        rows = read_rows(self._splits, ("dicom_id", "split"))
        split_of = {dicom.strip(): parse_split(split, self._splits) for dicom, split in rows}
        numbers: dict[str, str] = {}  # equal numbers share one text
        for row in read_rows(self._metadata, METADATA_COLUMNS):
            images.num_rows += 1
            dicom, number = row[0].strip(), plain_id(row[2])
            number = numbers.setdefault(number, number)
            view = self._view(dicom, row[3], row[8])
            if view is None:
                self.skipped.add("image that is neither PA nor AP", dicom)
                other_views[number] = None
                continue
            study = self._study(row, view, split_of.get(dicom))
            if study is None:
                continue
            if dicom in candidates:
                self.skipped.add("image with an earlier row in the metadata", dicom)
                continue
            candidates[dicom] = study
            size = parse_size(row[4], row[5])
            if size is None:
                self.noted.add("Rows or Columns unreadable", dicom)
            else:
                images.sizes[dicom] = size
            if number not in images.by_study or self.selection.preferred.get(number) == dicom:
                images.by_study[number] = study
        has_all = self.selection.frontals == "all"
        for study in candidates.values():
            is_extra = has_all or study.id in self.selection.extra
            if is_extra or images.by_study[study.study] is study:
                images.studies.append(study)
            else:
                self.skipped.add("further frontal image of a study", study.id)
        for number in other_views:
            if number not in images.by_study:
                self.noted.add("study without a frontal image", f"s{number}")
        self._note_ties(images.by_study.values())
        images.num_studies = len(numbers)
        return images

    def _study(self, row: tuple[str, ...], view: str, split: str | None) -> Study | None:
        """The study of a row of the metadata, without its report; None if it is not usable."""
        dicom, taken_at = row[0].strip(), parse_time(row[6], row[7])
        if taken_at is None:
            example = f"{dicom} {row[6]!r} {row[7]!r}"
            self.skipped.add("image with an unreadable StudyDate or StudyTime", example)
            return None
        if split is None:
            self.skipped.add("image without a row in the split table", dicom)
            return None
        return Study(
            id=dicom,
            study=plain_id(row[2]),
            patient=plain_id(row[1]),
            image=dicom,
            view=view,
            split=split,
            taken_at=taken_at,
            report="",
            regions=(),
        )

    def _note_ties(self, studies: Iterable[Study]) -> None:
        first: dict[tuple[str, datetime | None], str] = {}
        for study in studies:
            earlier = first.setdefault((study.patient, study.taken_at), study.study)
            if earlier != study.study:
                example = f"s{earlier} s{study.study}"
                self.noted.add("two studies of one patient at one time", example)

    def _view(self, dicom: str, position: str, meaning: str) -> str | None:
        """PA or AP, None for any other view."""
        by_position = FRONTAL_VIEWS.get(position.strip().lower())
        by_code = FRONTAL_VIEWS.get(meaning.strip().lower())
        if by_position is not None and by_code is not None and by_code != by_position:
            self.noted.add("view tables disagree (ViewPosition is used)", dicom)
        return by_code if is_empty(position) else by_position

    def _table(self, kind: str) -> Path:
        table = find_table(self.root, f"mimic-cxr-2.*-{kind}")
        if table is None:
            raise ValueError(
                f"{self.root} holds no mimic-cxr-2.0.0-{kind}.csv.gz (or .csv, or 2.1.0): give "
                "the folder of MIMIC-CXR-JPG that holds the tables"
            )
        return table


def note_report(text: str | None, study: str, noted: SkipLog) -> None:
    """Count a study whose report is missing or has no usable section."""
    if text is None:
        noted.add("report missing (study kept without text)", f"s{study}")
    elif not text:
        noted.add("report without findings, impression or last paragraph", f"s{study}")


def parse_size(rows: str, columns: str) -> tuple[int, int] | None:
    """(height, width) in pixels, None unless both are positive integers below 10^9.

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
    seconds, _, fraction = time.strip().partition(".")
    digits = f"{date.strip().removesuffix('.0')}{seconds.zfill(6)}"
    if not seconds or not digits.isdecimal() or len(digits) != 14:
        return None
    if fraction and not fraction.isdecimal():
        return None
    try:
        taken_at = datetime.strptime(digits, "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return taken_at.replace(microsecond=int(fraction[:6].ljust(6, "0") or "0"))
