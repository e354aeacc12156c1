"""Decode every image: truncated files, sizes, and identical images of two patients."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lapse.data.verify.context import VerifyContext
from lapse.data.verify.film_files import pixel_digest, report_identical
from lapse.data.verify.image_table import ImageRow
from lapse.data.verify.images import image_path
from lapse.images import read_image

BATCH = 64  # images that are submitted together
Decoded = tuple[tuple[int, int], bytes]  # size and digest


def check_pixels(context: VerifyContext, workers: int) -> None:
    """Decode all images of the metadata, which the context holds, that have a file."""
    findings = context.findings
    context.progress.expect(len(context.images.rows))
    by_digest: dict[bytes, list[ImageRow]] = {}
    for row, decoded in _decode_all(context, workers):
        context.progress.step()
        if isinstance(decoded, ValueError):
            findings.add("undecodable-image", row.dicom)
        elif decoded is not None:
            size, digest = decoded
            if row.size is not None and row.size != size:
                findings.add("image-size", row.dicom)
            by_digest.setdefault(digest, []).append(row)
    for rows in by_digest.values():
        report_identical(findings, [row.dicom for row in rows], {row.patient for row in rows})


def _decode_all(
    context: VerifyContext, workers: int
) -> Iterator[tuple[ImageRow, Decoded | ValueError | None]]:
    rows = context.images.rows
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            yield from zip(batch, pool.map(partial(_decode, context), batch), strict=True)


def _decode(context: VerifyContext, row: ImageRow) -> Decoded | ValueError | None:
    """The decoded image of a row, the error of decoding it, or None without a file."""
    file, path = context.image_files.get(row.dicom), image_path(context, row)
    if file is None or path is None or file.is_empty:
        return None
    try:
        image = read_image(path)
    except ValueError as error:
        return error
    height, width = image.shape
    return (height, width), pixel_digest(image)
