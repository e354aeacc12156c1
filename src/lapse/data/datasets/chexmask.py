"""CheXmask: lungs and heart of the films of five data sets -> boxes of three regions.

    OriginalResolution/{ChestX-Ray8,CheXpert,MIMIC-CXR-JPG,Padchest,VinDr-CXR}.csv

A row is an image: its id (the first column, named differently in each file), a quality, 120
landmarks in pixels of the original image (44 right lung, 50 left lung, 26 heart; the patient's
sides), three masks, height and width. The box of a region is that of its landmarks, so the masks
are not decoded. Files are gigabytes: they are streamed. The masks were computed, not drawn, and are
too small where the lung is opaque: the boxes are silver.

The format is that of release 1.0.1 (Gaggion et al. 2024), `OriginalResolution`; `Preprocessed` is
padded to 1024 x 1024 and is refused by the size of the images.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from lapse.data.datasets.plain_boxes import BoxRow
from lapse.data.datasets.plain_cells import Cells
from lapse.data.datasets.plain_rows import FilmRow
from lapse.data.io.csv_tables import read_header, read_rows
from lapse.data.io.skip_log import SkipLog

QUALITY, LANDMARKS, SIZE = "Dice RCA (Mean)", "Landmarks", ("Height", "Width")
COLUMNS = (QUALITY, LANDMARKS, *SIZE)
REGIONS = {"right lung": 44, "left lung": 50, "cardiac silhouette": 26}  # name -> points
NUM_NUMBERS = 2 * sum(REGIONS.values())
MIN_QUALITY = 0.7  # below it, the authors advise to leave a mask out
_NUMBER = re.compile(r"-?\d+\.?\d*(?:[eE][+-]?\d+)?")
_PROBLEMS = {
    "mask-landmarks": f"row without {NUM_NUMBERS} landmark coordinates or without a size",
    "sides-swapped": "row whose right lung is right of the left one",
    "mask-box": "region without area or outside the image",
}
OnProblem = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class MaskRow:
    """One row: corners of each region in pixels, and the size of the image."""

    line: int
    image: str
    quality: float
    corners: Mapping[str, tuple[float, float, float, float]]
    size: tuple[int, int]


def read_masks(path: Path, images: Mapping[str, str], on_problem: OnProblem) -> Iterator[MaskRow]:
    """The rows of known images, of any quality.

    Args:
        path: a `.csv` or `.csv.gz` of CheXmask.
        images: id of an image in the file -> its path below the folder of images.
        on_problem: called with (code of a defect type, id) of rows and regions that are left out.

    Raises:
        ValueError: the file is missing or damaged, or a column is missing.
    """
    header = read_header(path)
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ValueError(
            f"{path} has no column {missing[0]!r}: give a CSV of the folder OriginalResolution of "
            "CheXmask"
        )
    process_limit = csv.field_size_limit(2**24)  # masks of large images are long
    try:
        rows = read_rows(path, (header[0], *COLUMNS))
        for line, (name, quality, landmarks, height, width) in enumerate(rows, start=2):
            image = images.get(name.strip())
            if image is None:
                continue
            try:
                size = int(float(height)), int(float(width))
                row = _row(line, image, float(quality), landmarks, size)
            except ValueError:
                on_problem("mask-landmarks", f"{path.name} line {line}")
                continue
            yield _checked(row, on_problem)
    finally:
        csv.field_size_limit(process_limit)


def mask_boxes(
    path: Path, rows: Iterable[FilmRow], skipped: SkipLog, noted: SkipLog
) -> Iterator[BoxRow]:
    """The boxes of the regions of films, of the rows with enough quality.

    Args:
        path: as in `read_masks`.
        skipped: counts what is left out.
        noted: counts the films without a row.

    Raises:
        ValueError: as in `read_masks`.
    """

    def on_problem(code: str, name: str) -> None:
        skipped.add(f"CheXmask: {_PROBLEMS[code]}", name)

    images = mask_ids(rows)
    without = dict.fromkeys(images.values())
    for row in read_masks(path, images, on_problem):
        without.pop(row.image, None)
        if row.quality < MIN_QUALITY:
            skipped.add(f"CheXmask: quality below {MIN_QUALITY}", row.image)
            continue
        cells = Cells(path.name, row.line, {}, "line")
        for name, corners in row.corners.items():
            yield BoxRow(cells, row.image, name, "", corners, row.size)
    for image in without:
        noted.add("CheXmask: image without a row", image)


def mask_ids(rows: Iterable[FilmRow]) -> dict[str, str]:
    """What a row of CheXmask may call an image -> its path below the folder of images.

    The files name an image by its id, its path, or its file name with or without the ending.
    Names that several images share are left out.
    """
    paths: dict[str, set[str]] = {}
    for row in rows:
        path = PurePosixPath(row.image)
        for name in {row.id, row.image, row.cells["image"], path.name, path.stem} - {""}:
            paths.setdefault(name, set()).add(row.image)
    return {name: next(iter(images)) for name, images in paths.items() if len(images) == 1}


def _row(line: int, image: str, quality: float, landmarks: str, size: tuple[int, int]) -> MaskRow:
    """Landmarks are "x,y,..." or a printed array "[[x y] ...]": all numbers are taken."""
    numbers = [float(text) for text in _NUMBER.findall(landmarks)]
    if len(numbers) != NUM_NUMBERS or min(size) <= 0:
        raise ValueError("the row has another number of landmarks")
    corners, start = {}, 0
    for name, count in REGIONS.items():
        part = numbers[2 * start : 2 * (start + count)]
        corners[name] = (min(part[::2]), min(part[1::2]), max(part[::2]), max(part[1::2]))
        start += count
    return MaskRow(line, image, quality, corners, size)


def _checked(row: MaskRow, on_problem: OnProblem) -> MaskRow:
    """The row without regions that cannot be used."""
    right, left = row.corners["right lung"], row.corners["left lung"]
    if right[0] + right[2] > left[0] + left[2]:
        on_problem("sides-swapped", f"{row.image} right lung")
        return replace(row, corners={})
    height, width = row.size
    usable = {}
    for name, corners in row.corners.items():
        x_min, y_min, x_max, y_max = corners
        if 0 <= x_min < x_max <= width and 0 <= y_min < y_max <= height:
            usable[name] = corners
        else:
            on_problem("mask-box", f"{row.image} {name}")
    return replace(row, corners=usable)
