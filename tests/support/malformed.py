"""Malformed files and random mutations of valid files, deterministic by seed.

Each kind declares the expected outcome of a reader: "refused" (with one of its codes), "counted"
in a skip log, "value" if the file can be read, or "any" if the damage cannot be distinguished from
other pixels or words.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

import small_files as small
from lapse.core.seeding import derive_seed

Reader = Literal["image", "table", "packed table", "graph", "archive", "report", "answer"]
Expected = Literal["refused", "counted", "value", "any"]
Make = Callable[[np.random.Generator], bytes]


@dataclass(frozen=True)
class Kind:
    """One way to be malformed."""

    name: str
    reader: Reader
    make: Make
    expected: Expected = "refused"
    codes: tuple[str, ...] = ()

    def case(self, seed: int) -> bytes:
        """The file of this kind with this seed."""
        return self.make(np.random.default_rng(derive_seed(self.name, seed)))

    def is_right(self, outcome: str) -> bool:
        """Whether an outcome of a reader is the expected one."""
        word, _, code = outcome.partition(" ")
        if self.expected == "any":
            return word in {"value", "refused", "counted"}
        return word == self.expected and (not self.codes or code in self.codes)


def kinds() -> list[Kind]:
    """Every kind, by name."""
    from malformed_dicom import DICOM
    from malformed_images import JPEG, OTHER, PNG
    from malformed_texts import ANSWERS, GRAPHS, REPORTS, TABLES

    all_kinds = [*JPEG, *PNG, *OTHER, *DICOM, *TABLES, *GRAPHS, *REPORTS, *ANSWERS]
    assert len({kind.name for kind in all_kinds}) == len(all_kinds)
    return all_kinds


@cache
def valid_files() -> dict[str, tuple[Reader, bytes]]:
    """A valid file of every format; mutations start from these."""
    coloured = np.stack([small.picture(bits=8)] * 3, axis=-1)
    pictures = {
        "jpeg": small.jpeg(),
        "progressive jpeg": small.jpeg(progressive=True),
        "colour jpeg": small.jpeg(coloured),
        "png": small.png(),
        "png of 16 bits": small.png(bits=16),
        "colour png": small.png(coloured),
    }
    syntaxes = [*small.NATIVE, *small.COMPRESSED, "jpeg-extended"]
    pictures |= {f"dicom {name}": small.in_syntax(name) for name in syntaxes}
    files: dict[str, tuple[Reader, bytes]] = {
        name: ("image", data) for name, data in pictures.items()
    }
    files["table"] = ("table", small.table())
    files["packed table"] = ("packed table", small.table(is_packed=True))
    files["graph"] = ("graph", small.graph_bytes())
    files["archive"] = ("archive", small.archive())
    files["report"] = ("report", small.report())
    files["answer"] = ("answer", small.answer())
    return files


# These need a GDCM process each; the quick run uses them less often.
SLOW = ("dicom jpeg-lossless-57", "dicom jpeg-lossless-70", "dicom jpeg-ls", "dicom jpeg-extended")


def mutation(number: int, slow_fraction: float = 1.0) -> tuple[str, Reader, bytes]:
    """One mutation: the name of the valid file, its reader, and the damaged bytes."""
    rng = np.random.default_rng(derive_seed("mutation", number))
    names = [name for name in valid_files() if name not in SLOW or rng.random() < slow_fraction]
    name = names[int(rng.integers(len(names)))]
    reader, data = valid_files()[name]
    for _ in range(int(rng.integers(1, 4))):
        data = _DAMAGES[int(rng.integers(len(_DAMAGES)))](data, rng)
    return name, reader, data


def _place(data: bytes, rng: np.random.Generator) -> int:
    """Anywhere, or (half of the time) among the first 400 bytes, where the headers are."""
    reach = len(data) if rng.random() < 0.5 else min(len(data), 400)
    return int(rng.integers(max(1, reach)))


def _flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        if damaged:
            damaged[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def _splice(data: bytes, rng: np.random.Generator) -> bytes:
    start, length, target = _place(data, rng), int(rng.integers(1, 64)), _place(data, rng)
    piece = data[start : start + length]
    return data[:target] + piece + data[target + len(piece) :]


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: _place(data, rng)]


def _duplicate(data: bytes, rng: np.random.Generator) -> bytes:
    start, length = _place(data, rng), int(rng.integers(1, 400))
    piece = data[start : start + length] * int(rng.integers(1, 20))
    return data[:start] + piece + data[start:]


def _drop(data: bytes, rng: np.random.Generator) -> bytes:
    start = _place(data, rng)
    return data[:start] + data[start + int(rng.integers(1, 64)) :]


def _edit_length(data: bytes, rng: np.random.Generator) -> bytes:
    """Replace two or four bytes by a value that is critical for lengths and sizes."""
    size = (2, 4)[int(rng.integers(2))]
    top = 256**size - 1
    values = (0, 1, top, top // 2, top // 2 + 1, 64, 65500, 20000)
    value = min(top, values[int(rng.integers(len(values)))])
    position = _place(data, rng)
    order: Literal["little", "big"] = "little" if rng.random() < 0.5 else "big"
    return data[:position] + value.to_bytes(size, order) + data[position + size :]


_DAMAGES = (_flip_bits, _splice, _cut, _duplicate, _drop, _edit_length)


def pick(rng: np.random.Generator, options: Sequence[Any]) -> Any:
    """One of several."""
    return options[int(rng.integers(len(options)))]


def bomb(rng: np.random.Generator, megabytes: int = 40) -> bytes:
    """A zlib stream of a few kilobytes that decompresses to this number of megabytes."""
    packer = zlib.compressobj(9)
    block = bytes([int(rng.integers(65, 91))]) * (1 << 20)
    return b"".join(packer.compress(block) for _ in range(megabytes)) + packer.flush()
