"""The metadata of ReXGradient-160K: reports of 160,000 studies, one typed entry per study.

    metadata/{train,valid,test}_metadata_view_position.json    study id -> an object with PatientID,
        StudyDate, Findings, Impression, Comparison, ImagePath and the parallel ImageViewPosition
    deid_png/<patient>/...                                     the unpacked images

Views are free text, and their list may be shorter than that of the images. "None" and "NaN" are
texts. It is unknown whether the dates keep intervals, so they give the order only. There are no
labels: pairs of its studies have no answers. Source: Zhang et al. 2025, arXiv:2505.00228.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from lapse.data.datasets.plain_cells import Cells, raise_error, readable
from lapse.data.datasets.release_tables import read_release_json
from lapse.data.io.csv_tables import is_empty

PARTS = {"train": "train", "valid": "validate", "test": "test"}  # in the name of a file -> split
FILES = {f"{part}_metadata_view_position.json": split for part, split in PARTS.items()}
FOLDER, IMAGES = "metadata", "deid_png"
# the words of the release; any other word is unknown, and its image is not used
VIEWS = {
    "PA": "PA",
    "POSTERO_ANTERIOR": "PA",
    "AP": "AP",
    "ANTERO_POSTERIOR": "AP",
    "LATERAL": "lateral",
    "LL": "lateral",
    "LAT": "lateral",
    "RL": "lateral",
    "LAO": "lateral",
    "RAO": "lateral",
    "LPO": "lateral",
    "RPO": "lateral",
    "OBLIQUE": "lateral",
}
_EMPTY_VIEWS = {"", "UNKNOWN", "N/A", "NONE", "NAN"}
MAX_JSON = 2 * 1024**3
_DATE = re.compile(r"\d{8}")


@dataclass(frozen=True, slots=True)
class ReXStudy:
    """One study.

    Attributes:
        images: (path below deid_png, view) in the order of the file; the view is "PA", "AP",
            "lateral", "" where the file gives none, or "?" and the unknown word.
        date: None where it is empty; used as an order only.
        report: findings and impression in one line, "" where both are empty.
    """

    study: str
    patient: str
    split: str
    date: datetime | None
    images: tuple[tuple[str, str], ...]
    num_views: int
    report: str

    @property
    def frontal(self) -> tuple[str, str] | None:
        """Path and view of the first PA or AP image, None if there is none."""
        return next((image for image in self.images if image[1] in ("PA", "AP")), None)


def metadata_files(root: Path) -> tuple[Path, ...]:
    """The files of the parts that exist in ROOT/metadata."""
    return tuple(path for name in FILES if (path := root / FOLDER / name).is_file())


def read_rexgradient(
    path: Path, split: str, *, on_error: Callable[[ValueError], None] = raise_error
) -> list[ReXStudy]:
    """The studies of one part, in the order of the file.

    Args:
        path: the JSON file; the `.csv` of the same name lacks the images.
        split: "train", "validate" or "test".
        on_error: called with the error of a study, which is then left out.

    Raises:
        ValueError: the file is not such an object, or a study cannot be read.
    """
    content = read_release_json(path, MAX_JSON)
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not an object of studies: download it again")
    items = (
        (Cells(path.name, number, {"id": name}, "study"), item)
        for number, (name, item) in enumerate(content.items(), start=1)
    )
    return list(readable(items, lambda named: _study(*named, split), on_error))


def _study(cells: Cells, item: object, split: str) -> ReXStudy:
    name = cells["id"]
    if not isinstance(item, dict) or not name or "/" in name:
        raise ValueError(f"{cells.name}: {name!r} is not an object: download the file again")
    texts = {"id": name}
    for key in ("PatientID", "StudyDate", "Findings", "Impression"):
        value = item.get(key)
        is_nothing = value is None or value != value or is_empty(str(value))
        texts[key] = "" if is_nothing else " ".join(str(value).split())
    cells = Cells(cells.table, cells.row, texts, "study")
    if not cells["PatientID"]:
        raise cells.error("PatientID", "is empty: download the file again")
    paths, views = item.get("ImagePath") or [], item.get("ImageViewPosition") or []
    if not isinstance(paths, list) or not isinstance(views, list):
        raise ValueError(f"{cells.name}: ImagePath and ImageViewPosition are not lists")
    padded = [*views, *[""] * len(paths)]  # the list of views may be shorter
    return ReXStudy(
        study=name,
        patient=cells["PatientID"],
        split=split,
        date=_date(cells),
        images=tuple(
            (_image(cells, path), view_of(view)) for path, view in zip(paths, padded, strict=False)
        ),
        num_views=len(views),
        report=" ".join(filter(None, (cells["Findings"], cells["Impression"]))),
    )


def view_of(word: object) -> str:
    """PA, AP, lateral, "" without a word, or "?" and the unknown word.

    >>> view_of("Postero_Anterior"), view_of(None), view_of("AP (KUB)")
    ('PA', '', '?AP (KUB)')
    """
    text = str(word if word is not None else "").strip()
    if text.upper() in _EMPTY_VIEWS:
        return ""
    return VIEWS.get(text.upper().replace("-", "_"), f"?{text}")


def _image(cells: Cells, path: object) -> str:
    """The path below deid_png."""
    parts = PurePosixPath(str(path)).parts
    if IMAGES in parts:
        parts = parts[parts.index(IMAGES) + 1 :]
    if not parts or ".." in parts or PurePosixPath(*parts).is_absolute():
        raise ValueError(f"{cells.name}: ImagePath {path!r} is not below {IMAGES}: download again")
    return PurePosixPath(*parts).as_posix()


def _date(cells: Cells) -> datetime | None:
    text = cells["StudyDate"].removesuffix(".0").replace("-", "")
    if not text:
        return None
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        return datetime.strptime(text, "%Y%m%d")
    except ValueError:
        raise cells.error("StudyDate", "is not a date yyyymmdd: download the file again") from None
