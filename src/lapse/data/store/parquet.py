"""A Parquet table of a store in memory, as the row groups of the file.

The groups are decoded one after another into memory from malloc, which returns the temporary
memory of one group before the next. Arrow's own pool would keep it, and a single chunk for the
table would need its size twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


class GroupedTable:
    """The rows of a Parquet file by their numbers.

    Args:
        repeated: columns with few different values, stored as a dictionary and indices.

    Raises:
        ValueError: the file is missing or damaged.
    """

    def __init__(self, path: Path, repeated: Sequence[str]) -> None:
        with reading(path), _plain_memory():
            metadata = pq.read_metadata(path)
            present = [name for name in repeated if name in metadata.schema.names]
            with pq.ParquetFile(
                path, metadata=metadata, read_dictionary=present, pre_buffer=False
            ) as opened:
                self._groups: list[pa.Table] = [
                    opened.read_row_group(number, use_threads=False)
                    for number in range(opened.num_row_groups)
                ]
        # the first row after each group
        self._ends = np.array([*accumulate(group.num_rows for group in self._groups)], np.int64)

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def column(self, name: str) -> list[Any]:
        """The values of one column, in order."""
        return [value for group in self._groups for value in group.column(name).to_pylist()]

    def dicts(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Rows as dictionaries, in the given order."""
        if not rows:
            return []
        indices = np.asarray(rows, np.int64)
        groups = np.searchsorted(self._ends, indices, side="right")
        result: list[dict[str, Any]] = [{}] * len(rows)
        for number in np.unique(groups).tolist():
            positions = np.flatnonzero(groups == number)
            group = self._groups[number]
            local = indices[positions] - (self._ends[number] - group.num_rows)
            is_slice = bool((np.diff(local) == 1).all())
            part = group.slice(int(local[0]), len(local)) if is_slice else group.take(local)
            for position, row in zip(positions.tolist(), part.to_pylist(), strict=True):
                result[position] = row
        return result


def num_rows(path: Path) -> int:
    """The number of rows in the footer of a table; the table itself is not read.

    Raises:
        ValueError: the file is missing or damaged.
    """
    with reading(path):
        return int(pq.read_metadata(path).num_rows)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Report any reading error as damage of this file."""
    try:
        yield
    except (OSError, EOFError, ValueError, pa.ArrowException) as error:
        raise ValueError(f"{path} is damaged ({error}): run prepare again") from error


@contextmanager
def _plain_memory() -> Iterator[None]:
    """Let Arrow allocate from malloc, which returns freed memory."""
    previous = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(previous)
