"""The image files of a MIMIC-CXR tree, found by reading each folder of a study once.

    files/p10/p10000032/s50414267/<dicom_id>.jpg    or .jpeg, .png, .dcm, in any case

PNG files are copies of the JPEGs. Where a study has several files of one image, the JPEG is read,
then the PNG, then the DICOM. Names that start with a dot are files of an operating system.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".dcm")  # the first of several is read


def patient_folder(patient: str) -> Path:
    """The folder of a patient, relative to the root of a MIMIC-CXR tree.

    >>> patient_folder("10000032").as_posix()
    'files/p10/p10000032'
    """
    return Path("files") / f"p{patient[:2]}" / f"p{patient}"


def suffix_rank(suffix: str) -> int | None:
    """The position of a suffix in IMAGE_SUFFIXES, in any case; None if it is not an image's."""
    plain = suffix.lower()
    return IMAGE_SUFFIXES.index(plain) if plain in IMAGE_SUFFIXES else None


def split_name(name: str) -> tuple[str, str]:
    """The name without its suffix, and the suffix.

    >>> split_name("02aa804e.JPG")
    ('02aa804e', '.JPG')
    """
    stem, dot, ending = name.rpartition(".")
    return stem, f"{dot}{ending}"


def image_roots(jpeg_root: Path, reports: Path | None) -> tuple[Path, ...]:
    """The trees that can hold images: of the JPEGs, of the reports, and of the DICOMs.

    The DICOMs are in the tree of the reports, or in its parent where the reports were unpacked
    into a folder inside it. An earlier tree is preferred.
    """
    roots = (jpeg_root,) if reports is None else (jpeg_root, reports, reports.parent)
    return tuple(root for root in dict.fromkeys(roots) if (root / "files").is_dir())


class ImageFiles:
    """The file of each image.

    Args:
        roots: from `image_roots`.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        self._roots = tuple(roots)
        # the (root, suffix) of each image, in shared tuples: paths would need much more memory
        self._forms: dict[str, tuple[Path, str]] = {}
        self._shared: dict[tuple[Path, str], tuple[Path, str]] = {}

    def find(self, patient: str, study: str, image: str) -> Path | None:
        """The file of an image, None if there is none; the folder is read at the first call."""
        folder = patient_folder(patient) / f"s{study}"
        if image not in self._forms:
            form = self._look_up(folder, image)
            if form is None:
                return None
            self._forms[image] = self._shared.setdefault(form, form)
        root, suffix = self._forms[image]
        return root / folder / f"{image}{suffix}"

    def _look_up(self, folder: Path, image: str) -> tuple[Path, str] | None:
        for root in self._roots:
            suffixes = [
                suffix
                for stem, suffix in (split_name(entry.name) for entry in _entries(root / folder))
                if stem == image and suffix_rank(suffix) is not None
            ]
            if suffixes:
                return root, min(suffixes, key=lambda suffix: suffix_rank(suffix) or 0)
        return None


def walk_images(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(folder of the study relative to the root, entry) of every image file, in order of names."""
    for group in _folders(root / "files", "p"):
        if len(group.name) != len("p10"):
            continue
        for patient in _folders(group.path, "p"):
            for study in _folders(patient.path, "s"):
                for entry in _entries(study.path):
                    if suffix_rank(split_name(entry.name)[1]) is not None:
                        yield f"files/{group.name}/{patient.name}/{study.name}", entry


def _folders(folder: Path | str, letter: str) -> list[os.DirEntry[str]]:
    return [entry for entry in _entries(folder) if entry.name[0] == letter and entry.is_dir()]


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """The visible entries in order of names; [] for a missing folder."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(visible, key=lambda entry: entry.name)
