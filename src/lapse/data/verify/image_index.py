"""The metadata table in flat arrays: one row an image, found by name in logarithmic time.

    row        0 1 2 ...     in the order of the table
    keys       64 bits of a hash of the dicom_id, with its sorted order beside it
    study ...  numbers; times in microseconds; names end to end in one buffer

An image costs about 140 bytes with its search order: the 377,110 of the release take 51 MB.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapse.data.io.compact_maps import Ints, key_of

NO_TIME = -(1 << 62)
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One row of the metadata table. Size 0 and time `NO_TIME` stand for "unreadable"."""

    dicom: str
    patient: int
    study: int
    height: int
    width: int
    time: int
    is_frontal: bool


@dataclass(slots=True)
class _Buffers:
    keys: array[int] = field(default_factory=lambda: array("Q"))
    patients: array[int] = field(default_factory=lambda: array("q"))
    studies: array[int] = field(default_factory=lambda: array("q"))
    heights: array[int] = field(default_factory=lambda: array("i"))
    widths: array[int] = field(default_factory=lambda: array("i"))
    times: array[int] = field(default_factory=lambda: array("q"))
    frontals: array[int] = field(default_factory=lambda: array("b"))
    ends: array[int] = field(default_factory=lambda: array("q", [0]))
    names: bytearray = field(default_factory=bytearray)


class ImageIndex:
    """The images of the metadata table.

    Attributes:
        is_whole: the table was read to its end, so that an absent image is really absent.
    """

    def __init__(self) -> None:
        self.is_whole = False
        self._raw = _Buffers()

    def add(self, row: ImageRow) -> None:
        """Append one row; only before the first search."""
        raw = self._raw
        raw.keys.append(key_of(row.dicom))
        raw.patients.append(row.patient)
        raw.studies.append(row.study)
        raw.heights.append(row.height)
        raw.widths.append(row.width)
        raw.times.append(row.time)
        raw.frontals.append(row.is_frontal)
        raw.names += row.dicom.encode("utf-8", "surrogateescape")
        raw.ends.append(len(raw.names))

    def __len__(self) -> int:
        return len(self._raw.keys)

    def name(self, row: int) -> str:
        """The dicom_id of a row."""
        start, end = self._raw.ends[row], self._raw.ends[row + 1]
        return self._raw.names[start:end].decode("utf-8", "surrogateescape")

    def find(self, dicom: str) -> int:
        """The first row of an image, `UNKNOWN` where there is none."""
        key = np.uint64(key_of(dicom))
        place = int(np.searchsorted(self._sorted_keys, key))
        while place < len(self) and self._sorted_keys[place] == key:
            row = int(self._order[place])
            if self.name(row) == dicom:
                return row
            place += 1
        return UNKNOWN

    def size(self, row: int) -> tuple[int, int] | None:
        """Height and width of the image of a row, None where the table does not tell."""
        height, width = self._raw.heights[row], self._raw.widths[row]
        return (height, width) if height and width else None

    @property
    def patients(self) -> Ints:
        """[N] patient of each row."""
        return _flat(self._raw.patients, np.int64)

    @property
    def studies(self) -> Ints:
        """[N] study of each row."""
        return _flat(self._raw.studies, np.int64)

    @property
    def times(self) -> Ints:
        """[N] microseconds of each row, or `NO_TIME`."""
        return _flat(self._raw.times, np.int64)

    @cached_property
    def repeated_rows(self) -> list[int]:
        """Rows that name an image which stands in an earlier row."""
        same = np.flatnonzero(self._sorted_keys[1:] == self._sorted_keys[:-1])
        rows = sorted(int(row) for row in self._order[same + 1])
        return [row for row in rows if self.find(self.name(row)) != row]

    @cached_property
    def study_numbers(self) -> Ints:
        """[K] the different studies, ascending."""
        return np.unique(self.studies)

    @cached_property
    def study_rows(self) -> Ints:
        """[K] the row that shows each study: its first PA or AP image, else its first."""
        frontals = _flat(self._raw.frontals, np.int8)
        order = np.lexsort((np.arange(len(self)), 1 - frontals, self.studies))
        _, first = np.unique(self.studies[order], return_index=True)
        return order[first].astype(np.int64)

    def rows_of_studies(self, studies: Ints) -> Ints:
        """[n] study numbers -> [n] the row that shows each, `UNKNOWN` where there is none."""
        known = self.study_numbers
        if not known.size:
            return np.full(studies.shape, UNKNOWN, np.int64)
        places = np.minimum(np.searchsorted(known, studies), known.size - 1)
        return np.where(known[places] == studies, self.study_rows[places], UNKNOWN)

    @cached_property
    def _order(self) -> Ints:
        return np.argsort(_flat(self._raw.keys, np.uint64), kind="stable").astype(np.int64)

    @cached_property
    def _sorted_keys(self) -> NDArray[np.uint64]:
        keys: NDArray[np.uint64] = _flat(self._raw.keys, np.uint64)[self._order]
        return keys


def repeated(keys: array[int]) -> NDArray[np.uint64]:
    """The different keys that stand more than once, ascending."""
    ordered = np.sort(_flat(keys, np.uint64))
    twice: NDArray[np.uint64] = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return twice


def _flat(values: array[int], kind: Any) -> NDArray[Any]:
    return np.frombuffer(values, dtype=kind) if len(values) else np.zeros(0, kind)
