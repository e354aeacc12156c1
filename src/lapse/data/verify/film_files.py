"""Checks of the image files of own films and of public releases."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapse.core.progress import Progress
from lapse.data.datasets.image_files import suffix_rank
from lapse.data.io.split_archive import Archives
from lapse.data.verify.results import Findings
from lapse.images import read_image


@dataclass(frozen=True, slots=True)
class FilmFiles:
    """The images of a table.

    Attributes:
        patients: path of an image below the folder -> its patient.
    """

    folder: Path
    patients: Mapping[str, str]

    def check(self, findings: Findings, *, subset: bool) -> None:
        """Every image has a file that is not empty; with `subset`, a missing one is noted only."""
        num_missing = 0
        archives = Archives()
        for name in self.patients:
            size = archives.size(self.folder / name)
            if size is None:
                num_missing += 1
                if not subset:
                    findings.add("missing-image", name)
            elif size == 0:
                findings.add("empty-file", name)
        if subset and num_missing:
            findings.note(f"subset: {num_missing} of {len(self.patients)} images have no file")

    def check_unlisted(self, findings: Findings) -> None:
        """Image files that the table lacks."""
        for name in _image_names(self.folder):
            if name not in self.patients:
                findings.add("unlisted-image", name)

    def check_pixels(self, findings: Findings, workers: int, progress: Progress) -> None:
        """Decode every image that exists; images of two patients must differ."""
        by_digest: dict[bytes, list[str]] = {}
        archives = Archives()
        names = [name for name in self.patients if archives.is_file(self.folder / name)]
        with ThreadPoolExecutor(workers) as pool:
            digests = pool.map(partial(_digest, archives, self.folder), names)
            for number, (name, digest) in enumerate(zip(names, digests, strict=True), start=1):
                progress(number, len(names))
                if digest is None:
                    findings.add("undecodable-image", name)
                else:
                    by_digest.setdefault(digest, []).append(name)
        for same in by_digest.values():
            report_identical(findings, same, {self.patients[name] for name in same})


def check_sides(boxes: Iterable[tuple[str, str, float]], findings: Findings) -> None:
    """The patient's right is left in the image.

    Args:
        boxes: (image, region, horizontal center) of each box.
        findings: collects the images whose sides are swapped.
    """
    centers: dict[str, dict[str, float]] = {}
    for image, region, center in boxes:
        centers.setdefault(image, {}).setdefault(region, center)
    for image, by_region in centers.items():
        for region, center in by_region.items():
            other = by_region.get(f"left {region.removeprefix('right ')}")
            if region.startswith("right ") and other is not None and center > other:
                findings.add("sides-swapped", f"{image} {region}")


def _digest(archives: Archives, folder: Path, name: str) -> bytes | None:
    path = folder / name
    try:
        image = read_image(path, data=archives.read(path))
    except ValueError:
        return None
    return pixel_digest(image)


def pixel_digest(image: NDArray[np.float32]) -> bytes:
    """Equal for images of equal size and pixels."""
    digest = hashlib.sha256(f"{image.shape} ".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def report_identical(
    findings: Findings, names: Iterable[str], patients: Collection[object]
) -> None:
    """Report images with the same pixels if they are of several patients."""
    if len(patients) > 1:
        findings.add("identical-pixels", " = ".join(names))


def _image_names(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if suffix_rank(path.suffix) is not None and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix()
