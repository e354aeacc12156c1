"""A finished simulated tree that defects are put into: tables and scene graphs in memory.

Changes are written by `flush`. What a defect uses up is claimed, so that no two defects meet in
one row, file or scene graph and each stays findable. Which objects are hit follows by counting
from (seed, kind of defect, object).
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
from lapse.phantom.dataset.ms_cxr_t import FOLDER, TABLE
from lapse.phantom.patients.identity import study_folder

T = TypeVar("T")

_EPOCH = (1980, 1, 1, 0, 0, 0)
_FOLDERS = {
    "metadata": "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz",
    "split": "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz",
    "chexpert": "mimic-cxr-jpg/mimic-cxr-2.0.0-chexpert.csv.gz",
    "negbio": "mimic-cxr-jpg/mimic-cxr-2.0.0-negbio.csv.gz",
    "train": "chest-imagenome/silver_dataset/splits/train.csv",
    "valid": "chest-imagenome/silver_dataset/splits/valid.csv",
    "test": "chest-imagenome/silver_dataset/splits/test.csv",
    "images_to_avoid": "chest-imagenome/silver_dataset/splits/images_to_avoid.csv",
    "gold": "chest-imagenome/gold_dataset/gold_bbox_coordinate_annotations_1000images.csv",
    "questions": "medical-diff-vqa/mimic_pair_questions.csv",
    "mimic_all": "medical-diff-vqa/mimic_all.csv",
    "progressions": f"{FOLDER}/{TABLE}",
}
SUFFIX = "_SceneGraph.json"


@dataclass(slots=True)
class Table:
    """One CSV table. `mark` stands before its first byte, `ending` after each line."""

    path: Path
    header: list[str]
    rows: list[list[str]]
    mark: bytes = b""
    ending: str = "\n"

    def place(self, column: str) -> int:
        """The column's place in every row."""
        return self.header.index(column)

    def cell(self, row: list[str], column: str) -> str:
        """One field of a row."""
        return row[self.place(column)]

    def set(self, row: list[str], column: str, value: str) -> None:
        """Change one field of a row."""
        row[self.place(column)] = value

    def line(self, place: int) -> str:
        """How a report names the line of the row at a place, counted from 0."""
        return f"{self.path.name} line {place + 2}"

    def write(self) -> None:
        """Write the table where it says something new; the same content gives the same bytes."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator=self.ending)
        writer.writerow(self.header)
        writer.writerows(self.rows)
        data = self.mark + text.getvalue().encode("utf-8", "surrogateescape")
        if self.path.is_file() and _unpack(self.path) == data:
            return
        is_packed = self.path.suffix == ".gz"
        self.path.write_bytes(gzip.compress(data, mtime=0) if is_packed else data)


class QuirkTree:
    """The trees below a folder that `simulate` wrote.

    Args:
        out: the folder, with its SIMULATED.txt.
        rate: share of the objects of each kind that get a defect, at least one.
        seed: root of all choices.

    Attributes:
        kind: the defect that is being put in.
        tables: by name; changes are kept in memory until `flush`.
        sizes: dicom_id -> rows and columns of the image, as they were simulated.

    Raises:
        ValueError: `out` is no finished simulated tree, or the rate is not in (0, 1].
    """

    def __init__(self, out: Path, rate: float, seed: int) -> None:
        if not (out / "SIMULATED.txt").is_file():
            raise ValueError(f"{out} is no simulated tree: defects are put into phantoms alone")
        if not 0.0 < rate <= 1.0:
            raise ValueError(f"rate {rate} of defects: choose above 0 and at most 1")
        self.out = out
        self.rate = rate
        self.seed = seed
        self.kind = ""
        self.tables = {name: _read(out / path) for name, path in _FOLDERS.items()}
        self.sizes = _sizes(self.tables["metadata"])
        self._claimed: set[str] = set()

    def pick(
        self,
        candidates: Sequence[T],
        keys: Callable[[T], Iterable[str]],
        most: int | None = None,
    ) -> list[T]:
        """The candidates that get the present kind of defect, in their order.

        Args:
            candidates: what could get it.
            keys: what a candidate uses up; the first key is also its name.
            most: never more than this.
        """
        owned = [tuple(keys(candidate)) for candidate in candidates]
        order = sorted(range(len(owned)), key=lambda place: self.count(owned[place][0]))
        wanted = max(1, round(self.rate * len(owned)))
        wanted = wanted if most is None else min(wanted, most)
        chosen: list[int] = []
        for place in order:
            if len(chosen) < wanted and not self._claimed.intersection(owned[place]):
                self._claimed.update(owned[place])
                chosen.append(place)
        return [candidates[place] for place in sorted(chosen)]

    def pick_table(self, *names: str, whole: bool = False) -> Table | None:
        """One of these tables; `whole` ones are given to no other kind of defect.

        None where all of them are used up.
        """
        free = [
            name for name in names if name in self.tables and f"all {name}" not in self._claimed
        ]
        if whole:
            free = [name for name in free if f"some {name}" not in self._claimed]
        if not free:
            return None
        name = free[derive_index(len(free), self.seed, "quirks", self.kind, "table")]
        self._claimed.add(f"{'all' if whole else 'some'} {name}")
        return self.tables[name]

    def count(self, *parts: str | int) -> int:
        """A number that depends on the seed, the present kind and these parts."""
        return derive_seed(self.seed, "quirks", self.kind, *parts)

    def drop(self, table: Table) -> None:
        """Forget a table: it was deleted or destroyed on disk and must not be written again."""
        self.tables = {name: other for name, other in self.tables.items() if other is not table}

    def image_file(self, row: list[str]) -> Path:
        """The file that shows a row of the metadata: its JPEG, else its DICOM."""
        jpeg, dicom = self._image_places(row)
        return dicom if dicom.is_file() and not jpeg.is_file() else jpeg

    def image_files(self, row: list[str]) -> list[Path]:
        """Every file of the image of a row of the metadata."""
        return [path for path in self._image_places(row) if path.is_file()]

    def root_of(self, path: Path) -> Path:
        """The tree that a file lies in."""
        return self.out / path.relative_to(self.out).parts[0]

    def _image_places(self, row: list[str]) -> tuple[Path, Path]:
        """Where JPEG and DICOM of a row of the metadata lie, whether they exist or not."""
        table = self.tables["metadata"]
        patient, study = table.cell(row, "subject_id"), table.cell(row, "study_id")
        folder, name = study_folder(int(patient), int(study)), table.cell(row, "dicom_id")
        return (
            self.out / "mimic-cxr-jpg" / folder / f"{name}.jpg",
            self.out / "mimic-cxr" / folder / f"{name}.dcm",
        )

    def report_file(self, row: list[str]) -> Path:
        """The report of the study of a row of the metadata."""
        table = self.tables["metadata"]
        patient, study = table.cell(row, "subject_id"), table.cell(row, "study_id")
        return self.out / "mimic-cxr" / f"{study_folder(int(patient), int(study))}.txt"

    def new_dicom(self, *parts: str | int) -> str:
        """A dicom_id that no image has."""
        groups = (self.count("dicom", *parts, group) & 0xFFFFFFFF for group in range(5))
        return "-".join(f"{group:08x}" for group in groups)

    def add_lateral(self, row: list[str], patient: str, code: tuple[str, str]) -> str:
        """Give the study of a metadata row a second, lateral image, of this patient.

        Args:
            row: the study's own row.
            patient: who the new image is filed under.
            code: ViewPosition and the view code's meaning.

        Returns:
            Its dicom_id.
        """
        metadata, split = self.tables["metadata"], self.tables["split"]
        study = metadata.cell(row, "study_id")
        dicom = self.new_dicom(study)
        new = list(row)
        metadata.set(new, "dicom_id", dicom)
        metadata.set(new, "subject_id", patient)
        metadata.set(new, "ViewPosition", code[0])
        metadata.set(new, "ViewCodeSequence_CodeMeaning", code[1])
        metadata.rows.append(new)
        known = next(item for item in split.rows if split.cell(item, "subject_id") == patient)
        other = list(known)
        split.set(other, "dicom_id", dicom)
        split.set(other, "study_id", study)
        split.rows.append(other)
        height, width = self.sizes[metadata.cell(row, "dicom_id")]
        noise = hashlib.shake_256(dicom.encode()).digest(height * width)
        path = self.image_file(new)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.frombytes("L", (width, height), noise).save(path, quality=95)
        return dicom

    @cached_property
    def graphs(self) -> dict[str, bytes]:
        """dicom_id -> the bytes of its scene graph, as they will be written."""
        return dict(self._simulated_graphs)

    @cached_property
    def _simulated_graphs(self) -> dict[str, bytes]:
        with zipfile.ZipFile(self.archive) as archive:
            return {
                Path(name).name.removesuffix(SUFFIX): archive.read(name)
                for name in archive.namelist()
            }

    def graph(self, dicom: str) -> dict[str, Any]:
        """One scene graph, to be changed and given back with `set_graph`."""
        graph: dict[str, Any] = json.loads(self.graphs[dicom])
        return graph

    def set_graph(self, dicom: str, graph: object) -> None:
        """Put a changed scene graph in its place."""
        self.graphs[dicom] = json.dumps(graph).encode()

    @property
    def archive(self) -> Path:
        """The archive of scene graphs."""
        return self.out / "chest-imagenome" / "silver_dataset" / "scene_graph.zip"

    def flush(self) -> None:
        """Write the tables and scene graphs that were changed."""
        for table in self.tables.values():
            table.write()
        if self.graphs == self._simulated_graphs:
            return
        with zipfile.ZipFile(self.archive, "w", zipfile.ZIP_DEFLATED) as archive:
            for dicom, data in self.graphs.items():
                entry = zipfile.ZipInfo(f"scene_graph/{dicom}{SUFFIX}", _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = 3
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, data)


def _read(path: Path) -> Table:
    if not path.is_file():
        raise ValueError(f"no table {path}: simulate the tree again, into a new folder")
    text = _unpack(path).decode("utf-8")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    return Table(path, header, rows)


def _unpack(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def _sizes(metadata: Table) -> dict[str, tuple[int, int]]:
    columns = ("dicom_id", "Rows", "Columns")
    cells = (tuple(metadata.cell(row, column) for column in columns) for row in metadata.rows)
    return {dicom: (int(rows), int(width)) for dicom, rows, width in cells}
