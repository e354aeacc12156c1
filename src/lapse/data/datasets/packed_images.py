"""The image files of a release, which can stay in their zip files, whole or cut by bytes.

FOLDER/PadChest_GR/<image>.png                     unpacked
FOLDER/PadChest_GR.zip.001, PadChest_GR.zip.002    member PadChest_GR/<image>.png
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from lapse.data.datasets.image_files import split_name, suffix_rank
from lapse.data.io.skip_log import SkipLog
from lapse.data.io.split_archive import SplitArchive, split_archives

MAC_FOLDER = "__MACOSX"


class ImageIndex:
    """The image files of a release, found by reading each folder once.

    Args:
        patterns: of the folders with images, relative to it; the folder itself is the last.
        noted: counts names that are in two folders, of which the first is used.
    """

    def __init__(self, folder: Path, patterns: Sequence[str], noted: SkipLog) -> None:
        self._paths: dict[str, str] = {}  # name without ending -> path
        for name, path in _image_files(folder, _folders(folder, patterns)):
            if self._paths.setdefault(split_name(name)[0], path) != path:
                noted.add("image in two folders or formats (the first is used)", name)

    def path(self, image: str, expected: str) -> str:
        """The path of an image below the folder, or where it is expected.

        Args:
            image: its file name; the file may have another ending.
            expected: the path in messages where there is no file.
        """
        return self._paths.get(split_name(image)[0], expected)


class PackedImages:
    """File name of an image -> its path below the folder of the release.

    Args:
        patterns: of the folders with images or archives, relative to it.
        noted: counts archives that cannot be opened.

    Attributes:
        problems: the errors of archives that cannot be opened.
    """

    def __init__(self, folder: Path, patterns: Sequence[str], noted: SkipLog) -> None:
        self.problems: list[str] = []
        self._paths: dict[str, str] = {}
        folders = _folders(folder, patterns)
        for name, image in _image_files(folder, folders):
            self._paths.setdefault(name, image)
        for path in folders:
            for archive in split_archives(path):
                self._add_archive(archive, folder, noted)

    def path(self, image: str) -> str | None:
        """The path of an image, unpacked before packed; None if there is none."""
        return self._paths.get(image)

    def _add_archive(self, path: Path, folder: Path, noted: SkipLog) -> None:
        if path.stem.endswith(".csv"):  # a packed table
            return
        try:
            archive = SplitArchive(path)
        except ValueError as error:
            self.problems.append(str(error))
            noted.add("archive that cannot be opened", path.name)
            return
        for member in archive.sizes:
            parts = PurePosixPath(member).parts
            if MAC_FOLDER not in parts and ".." not in parts and _is_image(parts[-1]):
                name = f"{path.relative_to(folder).as_posix()}/{member}"
                self._paths.setdefault(parts[-1], name)
        archive.close()


def _folders(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """The folders of the patterns, then the folder itself."""
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return [path for path in dict.fromkeys([*paths, folder]) if path.is_dir()]


def _image_files(folder: Path, folders: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """(name, path below the folder) of each image file."""
    for path in folders:
        prefix = path.relative_to(folder)
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries)
        for name in filter(_is_image, names):
            yield name, f"{prefix.as_posix()}/{name}".removeprefix("./")


def _is_image(name: str) -> bool:
    return suffix_rank(split_name(name)[1]) is not None and not name.startswith(".")
