"""The store: records as Parquet, and pixels at the training size.

    studies.parquet   one row per Study, in the order of the pixels
    pairs.parquet     one row per Pair; its two studies as row numbers of studies.parquet
    pixels.npy        [N, S, S] uint8
    checksums.json    SHA-256 of blocks of pixels and of the other files
    store.json        StoreInfo, written last
    splits.csv, removed.jsonl    for people and other tools: the split of each image, and the texts
                      that were removed; lapse does not read them

A store is written by `lapse.data.store.writer` and never changed. Pickling a Store pickles its
path.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy as np
import numpy.typing as npt

from lapse.core.types import SPLITS, Box, Pair, Region, Study
from lapse.data.store.array_file import ArrayFile
from lapse.data.store.info import FILES, INFO, PAIRS, PIXELS, STUDIES, StoreInfo, read_info
from lapse.data.store.parquet import GroupedTable, num_rows, reading

NUM_CACHED = 4096  # studies cached for the pairs that share them
BLOCK = 512  # rows converted to records at once when a sequence is iterated

Record = TypeVar("Record", covariant=True)


class Rows(Sequence[Record], Generic[Record]):
    """A sequence of records that are built on access, from some rows of a table.

    Args:
        rows: the row numbers, in order.
        build: row numbers -> their records.
    """

    def __init__(
        self,
        rows: Sequence[int] | npt.NDArray[np.int64],
        build: Callable[[Sequence[int]], list[Record]],
    ) -> None:
        self.rows = np.asarray(rows, dtype=np.int64)
        self._build = build

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Rows[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Rows[Record]:
        if isinstance(index, slice):
            return Rows(self.rows[index], self._build)
        return self._build([int(self.rows[index])])[0]

    def __iter__(self) -> Iterator[Record]:
        for start in range(0, len(self.rows), BLOCK):
            yield from self._build(self.rows[start : start + BLOCK].tolist())


class Store:
    """An opened store. Created by `open_store`."""

    def __init__(self, path: Path, info: StoreInfo) -> None:
        self.path = path
        self.info = info
        self._cache: OrderedDict[int, Study] = OrderedDict()

    def __reduce__(self) -> tuple[Callable[[Path], Store], tuple[Path]]:
        return open_store, (self.path,)

    @property
    def studies(self) -> Rows[Study]:
        """Every study, in the order of the pixels."""
        return Rows(np.arange(self._studies.num_rows), self._build_studies)

    @property
    def pairs(self) -> Rows[Pair]:
        """Every pair, in the order of the question table."""
        return Rows(np.arange(self._pairs.num_rows), self._build_pairs)

    def studies_of(self, split: str) -> Rows[Study]:
        """The studies of one split.

        Raises:
            ValueError: unknown split.
        """
        return Rows(_rows_of(self._studies, split), self._build_studies)

    def pairs_of(self, split: str, category: str | None = None) -> Rows[Pair]:
        """The pairs of one split, of one category or of all.

        Raises:
            ValueError: unknown split.
        """
        rows = _rows_of(self._pairs, split)
        if category is not None:
            categories = np.asarray(self._pairs.column("category"), dtype=object)
            rows = rows[categories[rows] == category]
        return Rows(rows, self._build_pairs)

    def pairs_by_id(self, ids: Collection[str]) -> Rows[Pair]:
        """The pairs with these ids, in the order of the question table; others are ignored."""
        selected = set(ids)
        rows = [row for row, name in enumerate(self._pairs.column("id")) if name in selected]
        return Rows(rows, self._build_pairs)

    def pixels(self, key: str) -> npt.NDArray[np.uint8]:
        """The pixels of one image, [S, S] uint8.

        Raises:
            ValueError: the store has no such image, or its file was cut.
        """
        image: npt.NDArray[np.uint8] = self.pixel_file.read(self.row_of(key), 1)[0]
        return image

    def row_of(self, key: str) -> int:
        """The position of an image among the pixels.

        Raises:
            ValueError: the store has no such image.
        """
        row = self._row_of.get(key)
        if row is None:
            raise ValueError(f"{self.path} has no image {key!r}: it holds {len(self._row_of)}")
        return row

    def pixels_at(self, rows: slice) -> npt.NDArray[np.uint8]:
        """The pixels of consecutive images by their positions, [n, S, S] uint8."""
        first, stop, _ = rows.indices(self.pixel_file.shape[0])
        return self.pixel_file.read(first, max(0, stop - first))

    def check(self) -> None:
        """Check that the tables, the pixels and store.json are consistent.

        Raises:
            ValueError: they are not.
        """
        num_studies, size = num_rows(self.path / STUDIES), self.info.size
        expected = (num_studies, size, size)
        if self.pixel_file.shape != expected or self.pixel_file.dtype != np.uint8:
            raise ValueError(
                f"{self.path / PIXELS} is {self.pixel_file.shape} {self.pixel_file.dtype} and "
                f"{num_studies} studies need {expected} uint8: run prepare again"
            )
        counts = {"studies": num_studies, "pairs": num_rows(self.path / PAIRS)}
        for kind, count in counts.items():
            listed = sum(self.info.counts.get(f"{kind}/{split}", 0) for split in SPLITS)
            if listed != count:
                raise ValueError(
                    f"{self.path} holds {count} {kind} and its {INFO} says {listed}: run prepare "
                    "again"
                )

    @cached_property
    def pixel_file(self) -> ArrayFile:
        """The pixels by their positions."""
        with reading(self.path / PIXELS):
            return ArrayFile(self.path / PIXELS)

    @cached_property
    def _studies(self) -> GroupedTable:
        return GroupedTable(self.path / STUDIES, ["view", "split"])

    @cached_property
    def _pairs(self) -> GroupedTable:
        return GroupedTable(self.path / PAIRS, ["question", "category", "split"])

    @cached_property
    def _row_of(self) -> dict[str, int]:
        keys = self._studies.column("image")
        return {key: row for row, key in enumerate(keys)}

    def _build_studies(self, rows: Sequence[int]) -> list[Study]:
        return [study_of(row) for row in self._studies.dicts(rows)]

    def _build_pairs(self, rows: Sequence[int]) -> list[Pair]:
        records = self._pairs.dicts(rows)
        self._cache_studies({row[role] for row in records for role in ("reference", "main")})
        for row in records:
            row["reference"] = self._cache[row["reference"]]
            row["main"] = self._cache[row["main"]]
        return [Pair(**row) for row in records]

    def _cache_studies(self, rows: set[int]) -> None:
        """Load these studies into the cache; the least recently used ones are dropped."""
        missing = sorted(rows - self._cache.keys())
        for row in rows & self._cache.keys():
            self._cache.move_to_end(row)
        for row, study in zip(missing, self._build_studies(missing), strict=True):
            self._cache[row] = study
        while len(self._cache) > max(NUM_CACHED, len(rows)):
            self._cache.popitem(last=False)


def open_store(path: Path) -> Store:
    """Open a store written by `lapse prepare`.

    Raises:
        ValueError: the folder is missing, incomplete, not a store, or of another schema.
    """
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"no store {path}: make one with `lapse prepare ROOTS {path}`")
    missing = [name for name in FILES if not (path / name).is_file()]
    if missing:
        raise ValueError(
            f"{path} is not a complete store, it lacks {', '.join(missing)}: give a folder made by "
            "`lapse prepare`, or run that again (an interrupted run leaves no store)"
        )
    store = Store(path, read_info(path / INFO))
    store.check()
    return store


def _rows_of(table: GroupedTable, split: str) -> npt.NDArray[np.int64]:
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}: one of {', '.join(SPLITS)}")
    splits = np.asarray(table.column("split"), dtype=object)
    return np.flatnonzero(splits == split)


def study_of(row: dict[str, Any]) -> Study:
    """A row of studies.parquet as a Study; the row is modified."""
    names, phrases, boxes = (row.pop(f"region_{part}") for part in ("names", "phrases", "boxes"))
    findings = row.pop("region_findings", None) or [()] * len(names)
    regions = tuple(
        Region(name, tuple(texts), Box(*box) if box else None, tuple(shown))
        for name, texts, box, shown in zip(names, phrases, boxes, findings, strict=True)
    )
    return Study(**row, regions=regions)
