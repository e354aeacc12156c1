"""The images of a release that can stay in its zip files, whole or cut by bytes.

FOLDER/PadChest_GR/<image>.png                     unpacked
FOLDER/PadChest_GR.zip.001, PadChest_GR.zip.002    member PadChest_GR/<image>.png
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from lapse.data.datasets.image_files import suffix_rank
from lapse.data.io.skip_log import SkipLog
from lapse.data.io.split_archive import SplitArchive, split_archives

MAC_FOLDER = "__MACOSX"


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
        folders = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
        folders = [path for path in dict.fromkeys([folder, *folders]) if path.is_dir()]
        for path in folders:
            for file in sorted(path.iterdir()):
                if not file.name.startswith("."):
                    self._add(file.name, file.relative_to(folder).as_posix())
        for path in folders:
            for archive in split_archives(path):
                self._add_archive(archive, folder, noted)

    def path(self, image: str) -> str | None:
        """The path of an image, unpacked before packed; None if there is none."""
        return self._paths.get(image)

    def _add(self, name: str, path: str) -> None:
        if suffix_rank(PurePosixPath(name).suffix) is not None:
            self._paths.setdefault(name, path)

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
            if MAC_FOLDER not in parts and ".." not in parts and not parts[-1].startswith("."):
                self._add(parts[-1], f"{path.relative_to(folder).as_posix()}/{member}")
        archive.close()
