"""SHA-256 of every block of pixels and of every other file of a store.

    STORE/checksums.json    {"block": 64, "pixels": [one sum per 64 images], "files": {name: sum}}

The pixels of a block are hashed without the header of the file, so that a store is hashed while it
is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from lapse.core.files import sha256_of
from lapse.core.json_files import read_json_object
from lapse.core.progress import Progress, no_progress
from lapse.data.store.array_file import ArrayFile

CHECKSUMS = "checksums.json"
BLOCK = 64  # images


@dataclass(frozen=True, slots=True)
class Checksums:
    """The content of checksums.json."""

    block: Annotated[int, Field(ge=1)]
    pixels: tuple[str, ...]
    files: dict[str, str]


class BlockHasher:
    """Hashes images in the order in which they are written."""

    def __init__(self) -> None:
        self._sums: list[str] = []
        self._digest, self._count = hashlib.sha256(), 0

    def add(self, pixels: bytes) -> None:
        """Add the bytes of one image."""
        self._digest.update(pixels)
        self._count += 1
        if self._count == BLOCK:
            self._close_block()

    def write(self, folder: Path, names: Sequence[str]) -> None:
        """Write checksums.json with the sums of the named files."""
        if self._count:
            self._close_block()
        files = {name: sha256_of(folder / name) for name in names}
        text = json.dumps(asdict(Checksums(BLOCK, tuple(self._sums), files)), indent=1)
        (folder / CHECKSUMS).write_text(text + "\n", encoding="utf-8")

    def _close_block(self) -> None:
        self._sums.append(self._digest.hexdigest())
        self._digest, self._count = hashlib.sha256(), 0


class PixelChecker:
    """Compares blocks of pixels with their sums.

    Args:
        pixels: its pixels.

    Attributes:
        checksums: None for a store of an earlier version, which has none.

    Raises:
        ValueError: checksums.json is damaged, or has sums of another number of images.
    """

    def __init__(self, folder: Path, pixels: ArrayFile) -> None:
        self.folder, self._pixels = folder, pixels
        self.checksums = read_checksums(folder)
        if self.checksums is not None and len(self) != len(self.checksums.pixels):
            raise ValueError(
                f"{folder / CHECKSUMS} has {len(self.checksums.pixels)} sums of pixels and the "
                f"store has {len(self)} blocks: run prepare again"
            )

    def __len__(self) -> int:
        """The number of blocks."""
        return 0 if self.checksums is None else -(-self._pixels.shape[0] // self.checksums.block)

    def check(self, index: int) -> str | None:
        """What is wrong with a block; None if its bytes are as written."""
        assert self.checksums is not None, "a store without sums has no block"
        first = index * self.checksums.block
        count = min(self.checksums.block, self._pixels.shape[0] - first)
        try:
            digest = hashlib.sha256(self._pixels.read(first, count).data).hexdigest()
        except ValueError as error:
            return str(error)
        if digest == self.checksums.pixels[index]:
            return None
        return (
            f"{self._pixels.path} has changed since prepare wrote it: the SHA-256 of images "
            f"{first} to {first + count - 1} differs; restore the file or run prepare again"
        )


def read_checksums(folder: Path) -> Checksums | None:
    """The sums of a store; None if it was written without them.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        return None
    values = read_json_object(path)
    try:
        return TypeAdapter(Checksums).validate_python(values)
    except ValidationError:
        raise ValueError(f"{path} is damaged: it lacks block, pixels or files") from None


def store_damage(
    folder: Path, pixels: ArrayFile, progress: Progress = no_progress
) -> Iterator[str]:
    """Everything in a store that differs from its checksums.

    Args:
        pixels: its pixels.
        progress: called with (checked, all) blocks and files.
    """
    checker = PixelChecker(folder, pixels)
    assert checker.checksums is not None, "the caller checks that there are sums"
    files = checker.checksums.files
    total = len(checker) + len(files)
    for number, (name, digest) in enumerate(files.items(), start=1):
        path = folder / name
        if not path.is_file():
            yield f"{path} is missing"
        elif sha256_of(path) != digest:
            yield f"{path} has changed since prepare wrote it: its SHA-256 differs"
        progress(number, total)
    for index in range(len(checker)):
        problem = checker.check(index)
        if problem is not None:
            yield problem
        progress(len(files) + index + 1, total)
