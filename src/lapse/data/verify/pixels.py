"""Full decode of every image: truncated files, sizes, and one image under two patients.

An image is reduced to 64 bits of a hash of its decoded pixels. Images with equal bits are
decoded again and compared by 256 bits before anything is said.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from lapse.data.verify.context import VerifyContext
from lapse.data.verify.image_index import repeated
from lapse.data.verify.images import image_path
from lapse.images import read_image

BATCH = 64  # images whose results wait for each other


@dataclass(frozen=True, slots=True)
class _Decoded:
    """One image: its size, and a digest of its size and pixels."""

    height: int
    width: int
    digest: bytes


def check_pixels(case: VerifyContext, workers: int) -> None:
    """Decode all images of the metadata that have a file.

    Args:
        case: with `images` filled.
        workers: threads that decode.
    """
    images, findings = case.images, case.findings
    case.meter.expect(len(images))
    keys, rows = array("Q"), array("q")
    for row, decoded in _decode_all(case, workers):
        case.meter.step()
        if decoded is None:
            continue
        if isinstance(decoded, str):
            findings.add("undecodable-image", images.name(row))
            continue
        size = images.size(row)
        if size is not None and size != (decoded.height, decoded.width):
            findings.add("image-size", images.name(row))
        keys.append(int.from_bytes(decoded.digest[:8], "big"))
        rows.append(row)
    candidates = np.isin(np.array(keys, np.uint64), repeated(keys))
    _report_identical(case, [rows[place] for place in np.flatnonzero(candidates)])


def _report_identical(case: VerifyContext, rows: list[int]) -> None:
    """One id for each set of equal images of different patients: "first = second ..."."""
    groups: dict[bytes, list[int]] = {}
    for row in rows:
        decoded = _decode(case, row)
        if isinstance(decoded, _Decoded):
            groups.setdefault(decoded.digest, []).append(row)
    for group in groups.values():
        if len({int(case.images.patients[row]) for row in group}) > 1:
            case.findings.add("identical-pixels", " = ".join(map(case.images.name, group)))


def _decode_all(case: VerifyContext, workers: int) -> Iterator[tuple[int, _Decoded | str | None]]:
    total = len(case.images)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, total, BATCH):
            rows = range(start, min(total, start + BATCH))
            yield from zip(rows, pool.map(partial(_decode, case), rows), strict=True)


def _decode(case: VerifyContext, row: int) -> _Decoded | str | None:
    """The image of one row, the reason why it cannot be read, or None without a file."""
    path = image_path(case, row)
    if path is None or path.stat().st_size == 0:
        return None
    try:
        image = read_image(path)
    except ValueError as error:
        return str(error)
    height, width = image.shape
    digest = hashlib.sha256(f"{height} {width} ".encode())
    digest.update(np.ascontiguousarray(image).data)
    return _Decoded(height, width, digest.digest())
