"""Write a store to a temporary folder, which is checked, synced and renamed.

An interrupted run leaves `.<name>.partial`, which the next run replaces. A folder with the final
name is always a complete store.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lapse.core.files import rename_folder
from lapse.core.types import Pair, Study
from lapse.core.version import __version__
from lapse.data.store.checksums import CHECKSUMS, BlockHasher
from lapse.data.store.info import (
    EXTRAS,
    FILES,
    FORMAT,
    INFO,
    PAIRS,
    PIXELS,
    SCHEMA,
    STUDIES,
    Origin,
    StoreInfo,
)
from lapse.data.store.store import Store, open_store

ROW_GROUP = 4096  # rows that are written together
STUDY_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "study", "patient", "image", "view", "split")),
        ("taken_at", pa.timestamp("us")),
        ("report", pa.string()),
        ("impression", pa.string()),
        ("region_names", pa.list_(pa.string())),
        ("region_phrases", pa.list_(pa.list_(pa.string()))),
        ("region_boxes", pa.list_(pa.list_(pa.float64()))),
        ("region_findings", pa.list_(pa.list_(pa.string()))),
    ]
)
PAIR_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("reference", pa.int32()),
        ("main", pa.int32()),
        *((name, pa.string()) for name in ("question", "answer", "category", "split")),
    ]
)


class StoreWriter:
    """Writes studies with their pixels, then pairs, then `finish`; use it as a context manager.

    Without `finish` the context removes what was written.

    Args:
        out: the new store; it must not exist, or be an empty folder.
        size: side of the stored images in pixels.

    Raises:
        ValueError: `out` exists, or its temporary folder holds unknown files.
    """

    def __init__(self, out: Path, size: int) -> None:
        if size < 1:
            raise ValueError(f"images of {size} pixels: the size is at least 1")
        check_free(out)
        self.out = out
        self.size = size
        self.counts: Counter[str] = Counter()
        self._rows: dict[str, int] = {}  # image -> row of its study
        self._pair_ids: set[str] = set()
        self._patients: set[str] = set()
        self._digest = hashlib.sha256()
        self._blocks = BlockHasher()
        self._folder = _fresh_folder(out)
        self._studies = _Table(self._folder / STUDIES, STUDY_SCHEMA)
        self._pairs = _Table(self._folder / PAIRS, PAIR_SCHEMA)
        self._pixels = (self._folder / PIXELS).open("w+b")
        self._write_header(0)
        self._is_open = True

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_open:
            self.abort()

    def add_study(self, study: Study, pixels: npt.NDArray[np.uint8]) -> None:
        """Add a study and its image.

        Raises:
            ValueError: the image is stored already, or the pixels are not [size, size] uint8.
        """
        if pixels.shape != (self.size, self.size) or pixels.dtype != np.uint8:
            raise ValueError(
                f"image {study.image} is {pixels.shape} {pixels.dtype}: "
                f"({self.size}, {self.size}) uint8 is needed; resize it first"
            )
        if study.image in self._rows:
            raise ValueError(f"image {study.image} is given twice: a study is stored once")
        self._rows[study.image] = len(self._rows)
        self._patients.add(study.patient)
        self.counts[f"studies/{study.split}"] += 1
        data, row = np.ascontiguousarray(pixels).tobytes(), study_row(study)
        self._digest.update(data)
        self._digest.update(_canonical(row))
        self._blocks.add(data)
        self._pixels.write(data)
        self._studies.add(row)

    def add_pair(self, pair: Pair) -> None:
        """Add a pair, whose two studies were added before.

        Raises:
            ValueError: a study was not added, or the id is not unique.
        """
        row = {name: getattr(pair, name) for name in PAIR_SCHEMA.names}
        for role in ("reference", "main"):
            image = row[role].image
            row[role] = self._rows.get(image)
            if row[role] is None:
                raise ValueError(f"pair {pair.id} needs image {image}: add its study first")
        if pair.id in self._pair_ids:
            raise ValueError(f"pair {pair.id} is given twice: ids are unique")
        self._pair_ids.add(pair.id)
        self.counts[f"pairs/{pair.split}"] += 1
        self._digest.update(_canonical(row))
        self._pairs.add(row)

    def add_file(self, name: str, lines: Iterable[str]) -> None:
        """Add a text file; `name` is one of `store.EXTRAS`."""
        if name not in EXTRAS:
            raise ValueError(f"a store has no file {name!r}: one of {', '.join(EXTRAS)}")
        with (self._folder / name).open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(lines)

    def finish(self, origin: Origin, check: Callable[[Store], None] | None = None) -> StoreInfo:
        """Close the files, check them, and give the store its name.

        Args:
            check: called with the written store; if it raises an error, the store is removed.
        """
        self._studies.close()
        self._pairs.close()
        self._write_header(len(self._rows))
        self._pixels.close()
        extras = [name for name in EXTRAS if (self._folder / name).is_file()]
        self._blocks.write(self._folder, [STUDIES, PAIRS, *extras])
        info = StoreInfo(
            schema=SCHEMA,
            size=self.size,
            counts={**dict(sorted(self.counts.items())), "patients": len(self._patients)},
            fingerprint=self._digest.hexdigest(),
            created_by=f"lapse {__version__}",
            **{**asdict(origin), "labels": origin.labels},
        )
        text = json.dumps({"format": FORMAT, **asdict(info)}, indent=2)
        (self._folder / INFO).write_text(text + "\n", encoding="utf-8")
        try:
            written = open_store(self._folder)
            if check is not None:
                check(written)
        except BaseException:
            self.abort()
            raise
        rename_folder(self._folder, self.out)
        self._is_open = False
        return info

    def abort(self) -> None:
        """Remove what was written."""
        self._is_open = False
        for handle in (self._studies, self._pairs, self._pixels):
            with contextlib.suppress(OSError, ValueError):
                handle.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write_header(self, num_images: int) -> None:
        """The header has a constant length: numpy reserves space for a larger first dimension."""
        end = self._pixels.seek(0, os.SEEK_END)
        self._pixels.seek(0)
        shape = (num_images, self.size, self.size)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._pixels, header)
        expected = self._pixels.tell() + num_images * self.size**2
        assert end in (0, expected), "the header of pixels.npy changed its length"


def write_store(
    out: Path,
    studies: Iterable[tuple[Study, npt.NDArray[np.uint8]]],
    pairs: Iterable[Pair],
    *,
    size: int,
    origin: Origin,
) -> StoreInfo:
    """Write studies with their pixels and pairs as a store, in one call."""
    with StoreWriter(out, size) as writer:
        for study, pixels in studies:
            writer.add_study(study, pixels)
        for pair in pairs:
            writer.add_pair(pair)
        return writer.finish(origin)


def check_free(out: Path) -> None:
    """Refuse an output path that exists, before any work is done.

    Raises:
        ValueError: `out` is a file or a folder that is not empty.
    """
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists():
        raise ValueError(f"{out} exists: give another folder, or remove this one first")


class _Table:
    """A Parquet file that is written in row groups."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def study_row(study: Study) -> dict[str, Any]:
    """A Study as a row of studies.parquet."""
    row = {name: getattr(study, name) for name in STUDY_SCHEMA.names if "region" not in name}
    boxes = [region.box for region in study.regions]
    row["region_names"] = [region.name for region in study.regions]
    row["region_phrases"] = [list(region.phrases) for region in study.regions]
    row["region_findings"] = [list(region.findings) for region in study.regions]
    row["region_boxes"] = [
        None if box is None else [box.x_min, box.y_min, box.x_max, box.y_max] for box in boxes
    ]
    return row


def _canonical(row: dict[str, Any]) -> bytes:
    return json.dumps(row, default=str, sort_keys=True).encode()


def _fresh_folder(out: Path) -> Path:
    folder = out.with_name(f".{out.name}.partial")
    if folder.exists():
        unknown = [
            item.name for item in folder.iterdir() if item.name not in {*FILES, *EXTRAS, CHECKSUMS}
        ]
        if unknown:
            raise ValueError(
                f"{folder} holds {unknown[0]!r}, which no store contains: move it away"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder
