"""A simulated tree during the injection of defects: tables and scene graphs in memory.

Changes are written by `flush`. Each defect claims the rows, files or scene graphs that it changes,
so no two defects change the same one and each remains detectable. The choice of objects is derived
from (seed, defect type, object).
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from lapse.core.seeding import derive_index, derive_seed
from lapse.phantom.dataset.scene_graph import GRAPH_SUFFIX, graph_entry
from lapse.phantom.dataset.tables import TABLES
from lapse.phantom.patients.identity import study_folder

T = TypeVar("T")
Row = dict[str, str]  # column -> cell, in the order of the file

# the others have another delimiter, or are not read by any loader
TABLE_NAMES = tuple(name for name in TABLES if name not in ("gold_phrases", "pairs"))


@dataclass(slots=True)
class Table:
    """One CSV table with its byte order mark and line ending."""

    path: Path
    header: list[str]
    rows: list[Row]
    byte_order_mark: bytes = b""
    line_ending: str = "\n"

    def line(self, index: int) -> str:
        """The name of the row with this index (from 0) in a validation report."""
        return f"{self.path.name} line {index + 2}"

    def write(self) -> None:
        """Write the table if its content differs from the file."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator=self.line_ending)
        writer.writerow(self.header)
        writer.writerows(row.values() for row in self.rows)
        data = self.byte_order_mark + text.getvalue().encode("utf-8", "surrogateescape")
        if self.path.is_file() and _read_bytes(self.path) == data:
            return
        is_compressed = self.path.suffix == ".gz"
        self.path.write_bytes(gzip.compress(data, mtime=0) if is_compressed else data)


class DefectTree:
    """The data sets below a folder that `simulate` wrote.

    Args:
        out: the folder, with its SIMULATED.txt.
        rate: fraction of the objects that get each defect; at least one object does.
        seed: root of all random choices.

    Attributes:
        defect: the type of defect that is being injected.
        tables: name -> table; changes stay in memory until `flush`.
        sizes: dicom_id -> (rows, columns) of the simulated images.

    Raises:
        ValueError: `out` is not a complete simulated tree, or the rate is not in (0, 1].
    """

    def __init__(self, out: Path, rate: float, seed: int) -> None:
        if not (out / "SIMULATED.txt").is_file():
            raise ValueError(f"{out} is not a simulated tree: defects need one of `lapse simulate`")
        if not 0.0 < rate <= 1.0:
            raise ValueError(f"rate {rate} of defects: choose above 0 and at most 1")
        self.out = out
        self.rate = rate
        self.seed = seed
        self.defect = ""
        self.tables = {name: _read_table(out / TABLES[name].path) for name in TABLE_NAMES}
        rows = self.tables["metadata"].rows
        self.sizes = {row["dicom_id"]: (int(row["Rows"]), int(row["Columns"])) for row in rows}
        self._claimed: set[str] = set()

    def pick(
        self,
        candidates: Sequence[T],
        keys: Callable[[T], Iterable[str]],
        most: int | None = None,
    ) -> list[T]:
        """Choose the candidates that get the current defect, in their order.

        Args:
            candidates: objects that can get the defect.
            keys: what a candidate claims; the first key also identifies the candidate.
            most: the largest number of choices.
        """
        claims = [tuple(keys(candidate)) for candidate in candidates]
        order = sorted(range(len(claims)), key=lambda index: self.random_int(claims[index][0]))
        limit = max(1, round(self.rate * len(claims)))
        limit = limit if most is None else min(limit, most)
        chosen: list[int] = []
        for index in order:
            if len(chosen) < limit and not self._claimed.intersection(claims[index]):
                self._claimed.update(claims[index])
                chosen.append(index)
        return [candidates[index] for index in sorted(chosen)]

    def pick_table(self, *names: str, exclusive: bool = False) -> Table | None:
        """Choose one of these tables, None if no table is left.

        An `exclusive` table gets no other defect.
        """
        free = [
            name for name in names if name in self.tables and f"all {name}" not in self._claimed
        ]
        if exclusive:
            free = [name for name in free if f"some {name}" not in self._claimed]
        if not free:
            return None
        name = free[derive_index(len(free), self.seed, "quirks", self.defect, "table")]
        self._claimed.add(f"{'all' if exclusive else 'some'} {name}")
        return self.tables[name]

    def random_int(self, *parts: str | int) -> int:
        """A random integer that is derived from the seed, the current defect and these parts."""
        return derive_seed(self.seed, "quirks", self.defect, *parts)

    def drop(self, table: Table) -> None:
        """Remove a table that was deleted or damaged on disk, so that `flush` does not write it."""
        self.tables = {name: other for name, other in self.tables.items() if other is not table}

    def image_file(self, row: Row) -> Path:
        """The image file of a metadata row: its JPEG, otherwise its DICOM."""
        jpeg, dicom = self._image_paths(row)
        return dicom if dicom.is_file() and not jpeg.is_file() else jpeg

    def image_files(self, row: Row) -> list[Path]:
        """All existing image files of a metadata row."""
        return [path for path in self._image_paths(row) if path.is_file()]

    def root_of(self, path: Path) -> Path:
        """The root folder of the data set that contains a file."""
        return self.out / path.relative_to(self.out).parts[0]

    def report_file(self, row: Row) -> Path:
        """The report of the study of a metadata row."""
        return self.out / "mimic-cxr" / f"{self._study_folder(row)}.txt"

    def new_dicom(self, *parts: str | int) -> str:
        """A dicom_id that no image has."""
        groups = (self.random_int("dicom", *parts, group) & 0xFFFFFFFF for group in range(5))
        return "-".join(f"{group:08x}" for group in groups)

    def add_lateral(self, row: Row, patient: str, code: tuple[str, str]) -> str:
        """Add a second, lateral image to a study.

        Args:
            row: the metadata row of the study.
            patient: subject_id of the new image.
            code: its ViewPosition and view code meaning.

        Returns:
            Its dicom_id.
        """
        dicom = self.new_dicom(row["study_id"])
        new_row = row | {"dicom_id": dicom, "subject_id": patient}
        new_row["ViewPosition"], new_row["ViewCodeSequence_CodeMeaning"] = code
        self.tables["metadata"].rows.append(new_row)
        split = self.tables["split"].rows
        split_row = next(item for item in split if item["subject_id"] == patient)
        split.append(split_row | {"dicom_id": dicom, "study_id": row["study_id"]})
        height, width = self.sizes[row["dicom_id"]]
        noise = hashlib.shake_256(dicom.encode()).digest(height * width)
        path = self.image_file(new_row)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.frombytes("L", (width, height), noise).save(path, quality=95)
        return dicom

    def row_of_another_patient(self, row: Row, number: int) -> Row:
        """A metadata row of another patient than that of a row; `number` selects it."""
        rows = self.tables["metadata"].rows
        others = [other for other in rows if other["subject_id"] != row["subject_id"]]
        return others[number % len(others)]

    @cached_property
    def graphs(self) -> dict[str, bytes]:
        """dicom_id -> the bytes of its scene graph; changes stay in memory until `flush`."""
        return dict(self._simulated_graphs)

    def graph(self, dicom: str) -> dict[str, Any]:
        """A copy of one scene graph; write changes with `set_graph`."""
        graph: dict[str, Any] = json.loads(self.graphs[dicom])
        return graph

    def set_graph(self, dicom: str, graph: object) -> None:
        """Replace one scene graph."""
        self.graphs[dicom] = json.dumps(graph).encode()

    @property
    def archive(self) -> Path:
        """The archive of scene graphs."""
        return self.out / "chest-imagenome" / "silver_dataset" / "scene_graph.zip"

    def flush(self) -> None:
        """Write the changed tables and scene graphs."""
        for table in self.tables.values():
            table.write()
        if self.graphs == self._simulated_graphs:
            return
        with zipfile.ZipFile(self.archive, "w", zipfile.ZIP_DEFLATED) as archive:
            for dicom, data in self.graphs.items():
                archive.writestr(graph_entry(dicom), data)

    @cached_property
    def _simulated_graphs(self) -> dict[str, bytes]:
        with zipfile.ZipFile(self.archive) as archive:
            return {
                Path(name).name.removesuffix(GRAPH_SUFFIX): archive.read(name)
                for name in archive.namelist()
            }

    def _study_folder(self, row: Row) -> str:
        return study_folder(int(row["subject_id"]), int(row["study_id"]))

    def _image_paths(self, row: Row) -> tuple[Path, Path]:
        """The paths of JPEG and DICOM of a metadata row; they need not exist."""
        folder, name = self._study_folder(row), row["dicom_id"]
        return (
            self.out / "mimic-cxr-jpg" / folder / f"{name}.jpg",
            self.out / "mimic-cxr" / folder / f"{name}.dcm",
        )


def _read_table(path: Path) -> Table:
    if not path.is_file():
        raise ValueError(f"no table {path}: simulate the tree again, into a new folder")
    header, *rows = csv.reader(io.StringIO(_read_bytes(path).decode("utf-8"), newline=""))
    return Table(path, header, [dict(zip(header, row, strict=True)) for row in rows])


def _read_bytes(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data
