"""Decode every image: truncated files, sizes, and identical images of two patients."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lapse.data.io.split_archive import Archives
from lapse.data.verify.context import VerifyRun
from lapse.images import read_image

BATCH = 64  # images that are submitted together


class Film(NamedTuple):
    """An image file; `size` is its (height, width) in the tables, None if unknown."""

    name: str
    path: Path
    patient: str | int
    size: tuple[int, int] | None = None


def check_pixels(run: VerifyRun, films: Iterable[Film], num_films: int) -> None:
    """Decode the images of a run that checks pixels; another run notes that it does not."""
    findings = run.findings
    if not run.has_pixels:
        findings.note("image files were not decoded: --check-pixels finds truncated ones")
        return
    run.progress.expect(num_films)
    by_digest: dict[bytes, list[tuple[str, str | int]]] = {}
    remaining, decode = iter(films), partial(_decode, Archives())
    with ThreadPoolExecutor(run.workers) as pool:
        while batch := list(islice(remaining, BATCH)):
            for film, decoded in zip(batch, pool.map(decode, batch), strict=True):
                run.progress.step()
                if decoded is None:
                    findings.add("undecodable-image", film.name)
                    continue
                size, digest = decoded
                if film.size is not None and film.size != size:
                    findings.add("image-size", film.name)
                by_digest.setdefault(digest, []).append((film.name, film.patient))
    for same in by_digest.values():
        names, patients = zip(*same, strict=True)
        if len(set(patients)) > 1:
            findings.add("identical-pixels", " = ".join(names))


def _decode(archives: Archives, film: Film) -> tuple[tuple[int, int], bytes] | None:
    """Height, width and a digest of the pixels; None if the file cannot be decoded."""
    try:
        image = read_image(film.path, data=archives.read(film.path))
    except ValueError:
        return None
    height, width = image.shape
    digest = hashlib.sha256(f"{image.shape} ".encode())
    digest.update(np.ascontiguousarray(image).data)
    return (height, width), digest.digest()
