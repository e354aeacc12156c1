"""The gold annotations of Chest ImaGenome, where the folder has them.

    gold_bbox_coordinate_annotations_1000images.csv   manually drawn boxes, 26 regions, some blank
    gold_object_attribute_with_coordinates.txt        findings by region, tab-separated

Their image_id ends in `.dcm`. Other files of the folder are not read.
"""

from __future__ import annotations

import math

from lapse.data.datasets.chest_imagenome_gold import BOXES, FOLDER, PHRASES
from lapse.data.datasets.release_counts import IMAGENOME
from lapse.data.verify.boxes import ALL_REGIONS, corners_defect
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.image_table import ImageRow
from lapse.data.verify.tables import RawTable

CORNERS = ("original_x1", "original_y1", "original_x2", "original_y2")
BOX_COLUMNS = ("image_id", "bbox_name", *CORNERS)
PHRASE_COLUMNS = ("image_id", "bbox")


def check_gold(context: VerifyContext) -> None:
    """Unknown images and regions, blank and impossible boxes."""
    folder = context.roots.chest_imagenome / FOLDER
    if not folder.is_dir():
        context.findings.note(f"no {FOLDER}: the manual annotations were not checked")
        return
    boxes, phrases = folder / BOXES, folder / PHRASES
    if boxes.is_file():
        _check_boxes(context, RawTable(boxes, context.findings, BOX_COLUMNS, allows_extra=True))
    else:
        context.findings.add("missing-side-table", BOXES)
    if phrases.is_file():
        table = RawTable(
            phrases, context.findings, PHRASE_COLUMNS, delimiter="\t", allows_extra=True
        )
        for row_id, (image, _) in table.rows(PHRASE_COLUMNS):
            _find_image(context, image, row_id)


def _check_boxes(context: VerifyContext, table: RawTable) -> None:
    for row_id, (image, region, *corners) in table.rows(BOX_COLUMNS):
        row = _find_image(context, image, row_id)
        if region not in ALL_REGIONS:
            context.findings.add("gold-unknown-region", row_id)
        if not any(corner.strip() for corner in corners):
            context.findings.add("gold-blank-box", row_id)
        elif _is_bad(corners, None if row is None else row.size):
            context.findings.add("gold-bad-box", row_id)
    context.counts[IMAGENOME, "gold boxes"] = table.num_rows


def _find_image(context: VerifyContext, image: str, row_id: str) -> ImageRow | None:
    """The row of a gold image in the metadata; an unknown image is reported."""
    row = context.images.by_dicom.get(image.strip().removesuffix(".dcm"))
    if row is None and context.has_all_images:
        context.findings.add("gold-unknown-image", row_id)
    return row


def _is_bad(corners: list[str], size: tuple[int, int] | None) -> bool:
    try:
        x1, y1, x2, y2 = map(float, corners)
    except ValueError:
        return True
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        return True
    return corners_defect((x1, y1, x2, y2), size) is not None
