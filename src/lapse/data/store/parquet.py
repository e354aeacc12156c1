"""A Parquet table of a store in memory, kept as the row groups that it was written in.

One group is decoded after another, straight into plain memory: what one needs while it is read
is given back before the next. Arrow's own pool would keep it, and one piece for the whole table
would need its size twice.
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
        path: the file.
        repeated: columns of few different words, kept as numbers.

    Raises:
        ValueError: the file is missing or damaged.
    """

    def __init__(self, path: Path, repeated: Sequence[str]) -> None:
        with reading(path), _plain_memory():
            facts = pq.read_metadata(path)
            held = [name for name in repeated if name in facts.schema.names]
            with pq.ParquetFile(
                path, metadata=facts, read_dictionary=held, pre_buffer=False
            ) as opened:
                self._groups: list[pa.Table] = [
                    opened.read_row_group(number, use_threads=False)
                    for number in range(opened.num_row_groups)
                ]
        # the row after each group's last
        self._ends = np.array([*accumulate(group.num_rows for group in self._groups)], np.int64)

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def column(self, name: str) -> list[Any]:
        """The values of one column, in order."""
        return [value for group in self._groups for value in group.column(name).to_pylist()]

    def dicts(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Some rows, as one dict a row, in the order in which they are asked for."""
        if not rows:
            return []
        wanted = np.asarray(rows, np.int64)
        numbers = np.searchsorted(self._ends, wanted, side="right")
        found: list[dict[str, Any]] = [{}] * len(rows)
        for number in np.unique(numbers).tolist():
            places = np.flatnonzero(numbers == number)
            group = self._groups[number]
            inside = wanted[places] - (self._ends[number] - group.num_rows)
            is_run_folder = bool((np.diff(inside) == 1).all())
            some = group.slice(int(inside[0]), len(inside)) if is_run_folder else group.take(inside)
            for place, row in zip(places.tolist(), some.to_pylist(), strict=True):
                found[place] = row
        return found


def num_rows(path: Path) -> int:
    """Rows of a table as its footer tells them; the table itself is not read.

    Raises:
        ValueError: the file is missing or damaged.
    """
    with reading(path):
        return int(pq.read_metadata(path).num_rows)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What goes wrong here is told as damage of this file."""
    try:
        yield
    except (OSError, EOFError, ValueError, pa.ArrowException) as error:
        raise ValueError(f"{path} is damaged ({error}): run prepare again") from error


@contextmanager
def _plain_memory() -> Iterator[None]:
    """What Arrow allocates meanwhile comes from malloc, which gives back what is freed."""
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)
