"""The rows of CheXmask against the images of a data set."""

from __future__ import annotations

from lapse.data.datasets.chexmask import MIN_QUALITY, mask_ids, read_masks
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.verify.results import Findings
from lapse.images import ImageError, image_size


def check_masks(table: PlainTable, findings: Findings) -> None:
    """Landmarks, sides, boxes, sizes, and how many images have a row, if there are masks.

    The size of an image is read from its header; it is not decoded.
    """
    masks = table.roots.masks
    if masks is None:
        return
    num_usable = num_rows = 0
    for row in read_masks(masks, mask_ids(table.rows), findings.add):
        num_rows += 1
        num_usable += row.quality >= MIN_QUALITY
        try:
            size = image_size(table.roots.images / row.image)
        except ImageError:
            continue  # missing, a DICOM or unreadable: reported by other checks
        if size != row.size:
            findings.add("mask-size", f"{row.image} is {size}, CheXmask says {row.size}")
    num_images = len(table.rows)
    counts = f"CheXmask: {num_rows} of {num_images} images have a row"
    findings.note(f"{counts}, {num_rows - num_usable} of quality below {MIN_QUALITY}")
    if 2 * num_usable < num_images:
        findings.add("few-masks", f"{masks.name}: {num_usable} of {num_images}")
