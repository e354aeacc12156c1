"""A zip file that was cut into parts by bytes, read as one stream without joining the parts.

    NAME.zip.001, NAME.zip.002, ...    or the joined NAME.zip

A member has the path FOLDER/NAME.zip/<member>, although NAME.zip may not exist as a file.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_MEMBER = 1 << 30  # bytes that a member may unpack to
_PART = re.compile(r"(?P<name>.+\.zip)\.(?P<number>\d{3})", re.IGNORECASE)


class JoinedParts(io.RawIOBase):
    """Files in order as one seekable stream. Only one of them is open at a time.

    Raises:
        OSError: a part cannot be read.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__()
        self._paths = tuple(paths)
        self._starts = [0, *accumulate(path.stat().st_size for path in self._paths)]
        self._position = 0
        self._open: tuple[int, io.BufferedReader] | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position in the joined stream."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position of the joined stream."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._starts[-1]}
        self._position = max(0, base[whence] + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer as far as one part goes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        size = min(len(view), max(0, self._starts[-1] - self._position))
        if not size:
            return 0
        index = bisect_right(self._starts, self._position) - 1
        stream = self._part(index)
        stream.seek(self._position - self._starts[index])
        data = stream.read(min(size, self._starts[index + 1] - self._position))
        if not data:
            raise OSError(f"{self._paths[index]} became shorter")
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Close the open part."""
        if self._open is not None:
            self._open[1].close()
            self._open = None
        super().close()

    def _part(self, index: int) -> io.BufferedReader:
        if self._open is None or self._open[0] != index:
            if self._open is not None:
                self._open[1].close()
            self._open = index, self._paths[index].open("rb")
        return self._open[1]


class SplitArchive:
    """The members of one archive.

    Args:
        path: the joined name, FOLDER/NAME.zip.

    Attributes:
        parts: the files that it consists of, in order.
        missing: the numbers that are absent between the first and the last part.

    Raises:
        ValueError: there is no part, a part is missing, or the parts are not a zip file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts, self.missing = archive_parts(path)
        if not self.parts:
            raise ValueError(f"no archive {path} and no {path.name}.001: download its parts")
        if self.missing:
            listed = ", ".join(f"{path.name}.{number:03d}" for number in self.missing[:5])
            raise ValueError(f"{path.parent} lacks {listed}: download the missing parts")
        try:
            self._zip = zipfile.ZipFile(io.BufferedReader(JoinedParts(self.parts)))
        except (zipfile.BadZipFile, OSError) as error:
            raise ValueError(
                f"{path} cannot be read from its {len(self.parts)} parts ({error}): the last parts "
                "may be missing, or one is incomplete; compare their sizes with the download page"
            ) from error
        self.sizes = {
            info.filename: info.file_size for info in self._zip.infolist() if not info.is_dir()
        }

    def read(self, member: str) -> bytes:
        """The bytes of a member.

        Raises:
            ValueError: there is no such member, it is damaged, or it is too large for an image.
        """
        if self.sizes.get(member, 0) > MAX_MEMBER:
            raise ValueError(
                f"{self.path}/{member} unpacks to more than {MAX_MEMBER} bytes: not an image"
            )
        try:
            return self._zip.read(member)
        except (KeyError, zipfile.BadZipFile, OSError, EOFError, zlib.error) as error:
            raise ValueError(
                f"{self.path}/{member} cannot be read ({error}): download the parts again"
            ) from error

    def close(self) -> None:
        """Close the files."""
        self._zip.close()


def archive_parts(path: Path) -> tuple[tuple[Path, ...], tuple[int, ...]]:
    """The files of an archive in order, and the numbers that are absent between them.

    Args:
        path: the joined name, FOLDER/NAME.zip; a file of that name is the whole archive.
    """
    if path.is_file():
        return (path,), ()
    parts: dict[int, Path] = {}
    for file in path.parent.iterdir() if path.parent.is_dir() else ():
        match = _PART.fullmatch(file.name)
        if match and match["name"] == path.name:
            parts[int(match["number"])] = file
    missing = sorted(set(range(1, max(parts, default=0) + 1)) - set(parts))
    return tuple(parts[number] for number in sorted(parts)), tuple(missing)


def split_archives(folder: Path) -> list[Path]:
    """The joined names of the archives in a folder, whole or in parts."""
    names = set()
    for file in folder.iterdir() if folder.is_dir() else ():
        match = _PART.fullmatch(file.name)
        name = match["name"] if match else file.name
        if name.lower().endswith(".zip") and not name.startswith("."):
            names.add(folder / name)
    return sorted(names)


def archive_of(path: Path) -> tuple[Path, str] | None:
    """The archive and the member that a path names, None for a path of an ordinary file.

    >>> archive, member = archive_of(Path("gr/PadChest_GR.zip/a/1.png"))
    >>> archive.name, member
    ('PadChest_GR.zip', 'a/1.png')
    """
    for parent in path.parents:
        if parent.suffix.lower() == ".zip":
            return None if parent.is_dir() else (parent, path.relative_to(parent).as_posix())
    return None


class Archives:
    """The archives that paths name, each opened at its first use and kept open."""

    def __init__(self) -> None:
        self._archives: dict[Path, SplitArchive] = {}

    def is_file(self, path: Path) -> bool:
        """Whether a path is a file, or a member of an archive that can be opened."""
        return self.size(path) is not None

    def size(self, path: Path) -> int | None:
        """The bytes of a file or of an unpacked member, None if there is none."""
        named = archive_of(path)
        if named is None:
            return path.stat().st_size if path.is_file() else None
        try:
            return self._open(named[0]).sizes.get(named[1])
        except ValueError:
            return None

    def read(self, path: Path) -> bytes | None:
        """The bytes of a member, None for the path of an ordinary file.

        Raises:
            ValueError: the archive or the member cannot be read.
        """
        named = archive_of(path)
        return None if named is None else self._open(named[0]).read(named[1])

    def _open(self, path: Path) -> SplitArchive:
        if path not in self._archives:
            self._archives[path] = SplitArchive(path)
        return self._archives[path]
