"""Checks of the image files of own films and of public releases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lapse.data.datasets.image_files import suffix_rank
from lapse.data.io.split_archive import Archives
from lapse.data.verify.context import VerifyRun
from lapse.data.verify.pixels import Film, check_pixels
from lapse.data.verify.results import Findings


@dataclass(frozen=True, slots=True)
class FilmFiles:
    """The images of a table.

    Attributes:
        patients: path of an image below the folder -> its patient.
    """

    folder: Path
    patients: Mapping[str, str]

    def check(self, run: VerifyRun) -> None:
        """Every image has a file that is not empty; in a subset, a missing one is noted only."""
        num_missing = 0
        archives = Archives()
        for name in self.patients:
            size = archives.size(self.folder / name)
            if size is None:
                num_missing += 1
                if not run.is_subset:
                    run.findings.add("missing-image", name)
            elif size == 0:
                run.findings.add("empty-file", name)
        if run.is_subset and num_missing:
            run.findings.note(f"subset: {num_missing} of {len(self.patients)} images have no file")

    def check_unlisted(self, findings: Findings) -> None:
        """Image files that the table lacks."""
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            is_image = suffix_rank(path.suffix) is not None and not path.name.startswith(".")
            if is_image and name not in self.patients:
                findings.add("unlisted-image", name)

    def check_pixels(self, run: VerifyRun) -> None:
        """Decode every image that exists; images of two patients must differ."""
        archives = Archives()
        films = (Film(name, self.folder / name, self.patients[name]) for name in self.patients)
        existing = (film for film in films if archives.is_file(film.path))
        check_pixels(run, existing, len(self.patients))


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
