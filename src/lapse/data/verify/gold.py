"""The gold annotations of Chest ImaGenome, where the folder has them.

    gold_bbox_coordinate_annotations_1000images.csv   boxes drawn by people, 26 regions, some blank
    gold_object_attribute_with_coordinates.txt        findings by region, separated by tabs

Their image_id ends in `.dcm`. Other files of the folder are not read.
"""

from __future__ import annotations

import math

from lapse.data.datasets.release_counts import IMAGENOME
from lapse.data.verify.boxes import ALL_REGIONS, corners_defect
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.image_index import UNKNOWN
from lapse.data.verify.tables import RawTable

BOXES = "gold_bbox_coordinate_annotations_1000images.csv"
ATTRIBUTES = "gold_object_attribute_with_coordinates.txt"
CORNERS = ("original_x1", "original_y1", "original_x2", "original_y2")
BOX_COLUMNS = ("image_id", "bbox_name", *CORNERS)


def check_gold(case: VerifyContext) -> None:
    """Unknown images and regions, blank and impossible boxes."""
    folder = case.roots.chest_imagenome / "gold_dataset"
    if not folder.is_dir():
        case.findings.note("no gold_dataset: the annotations drawn by people were not looked at")
        return
    boxes, attributes = folder / BOXES, folder / ATTRIBUTES
    if boxes.is_file():
        _check_boxes(case, RawTable(boxes, case.findings, BOX_COLUMNS, is_open=True))
    else:
        case.findings.add("missing-side-table", BOXES)
    if attributes.is_file():
        columns = ("image_id", "bbox")
        table = RawTable(attributes, case.findings, columns, delimiter="\t", is_open=True)
        for line, (image, _) in table.rows(columns):
            _find(case, image, table.line(line))


def _check_boxes(case: VerifyContext, table: RawTable) -> None:
    for line, (image, region, *corners) in table.rows(BOX_COLUMNS):
        place = table.line(line)
        row = _find(case, image, place)
        if region not in ALL_REGIONS:
            case.findings.add("gold-unknown-region", place)
        if not any(corner.strip() for corner in corners):
            case.findings.add("gold-blank-box", place)
        elif _is_bad(corners, None if row == UNKNOWN else case.images.size(row)):
            case.findings.add("gold-bad-box", place)
    case.counts[IMAGENOME, "gold boxes"] = table.num_rows


def _find(case: VerifyContext, image: str, place: str) -> int:
    """The metadata's row of a gold image; one that the metadata lacks is reported."""
    row = case.images.find(image.strip().removesuffix(".dcm"))
    if row == UNKNOWN and case.images.is_whole:
        case.findings.add("gold-unknown-image", place)
    return row


def _is_bad(corners: list[str], size: tuple[int, int] | None) -> bool:
    try:
        x1, y1, x2, y2 = map(float, corners)
    except ValueError:
        return True
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        return True
    return corners_defect((x1, y1, x2, y2), size) is not None
