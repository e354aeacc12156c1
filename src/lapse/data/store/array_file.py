"""The rows of an .npy file, read with `pread`: a file that gets shorter is an error.

A memory map of such a file would end the process with SIGBUS. Reading one image of 448 px copies
200 KB from the page cache, as a batch does anyway. The file descriptor has no position, so forked
worker processes share it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class ArrayFile:
    """An array on disk, of which some rows are read at a time.

    Args:
        path: an .npy file in C order.

    Raises:
        ValueError: the file is damaged, or shorter or longer than its header says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"version {version} of the npy format, expected (1, 0)")
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
            self._start = file.tell()
        if is_fortran or dtype.hasobject or not shape:
            raise ValueError(f"an array {shape} of {dtype}, expected rows of numbers in C order")
        self.shape: tuple[int, ...] = shape
        self.dtype: np.dtype[Any] = dtype
        self._row = int(np.prod(shape[1:])) * dtype.itemsize
        expected, size = self._start + shape[0] * self._row, path.stat().st_size
        if size != expected:
            raise ValueError(f"{size} bytes, and its header says {expected}")
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def read(self, first: int, count: int) -> npt.NDArray[Any]:
        """Consecutive rows, [count, ...], read-only.

        Raises:
            ValueError: the file was cut or cannot be read.
        """
        size, position = count * self._row, self._start + first * self._row
        parts: list[bytes] = []
        done = 0
        while done < size:
            try:
                part = _read_at(self._descriptor, size - done, position + done)
            except OSError as error:
                raise ValueError(f"{self.path} cannot be read: {error.strerror}") from error
            if not part:
                raise ValueError(
                    f"{self.path} ends before byte {position + done}, which belongs to row "
                    f"{first + done // self._row}: the file was cut while it was open; restore it "
                    "or write it again"
                )
            parts.append(part)
            done += len(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        return np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


def _read_at(descriptor: int, size: int, position: int) -> bytes:
    """At most `size` bytes from a position; Windows has no `pread` and no forked processes."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, position)
    os.lseek(descriptor, position, os.SEEK_SET)
    return os.read(descriptor, size)
