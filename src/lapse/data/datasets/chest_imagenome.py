"""Chest ImaGenome 1.0.0 -> the described regions of each frontal image.

    silver_dataset/scene_graph.zip        scene_graph/<dicom_id>_SceneGraph.json, read in place
    silver_dataset/scene_graph/           or the same, unpacked, at most one folder deeper
    silver_dataset/splits/*.csv           train, valid, test, images_to_avoid (gold patients)

A scene graph gives every box twice: in pixels of the full image (`original_*`) and in a
224 x 224 letterbox. `lapse.data.datasets.region_reader` converts the first to fractions of the
image and compares the second with it. An object's `original_width` is that of its box, and is not
used. Source: Wu et al. 2021, arXiv:2108.00316.
"""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lapse.core.annotation_names import REGION_SETS, REGIONS
from lapse.core.types import Region
from lapse.data.datasets.region_reader import RegionReader
from lapse.data.datasets.scene_graph import PHRASES, has_parallel_lists, stated_findings
from lapse.data.io.csv_tables import find_table, plain_id, read_rows
from lapse.data.reports.prior_removal import PriorRemover

AVOID = "images_to_avoid"
SPLIT_TABLES = {"train": "train", "valid": "validate", "test": "test", AVOID: "test"}
ARCHIVE = "scene_graph.zip"
SUFFIX = "_SceneGraph.json"
MAC_FOLDER = "__MACOSX"  # macOS adds it to the archives that it makes
MAX_GRAPH_BYTES = 16 * 1024 * 1024
# The exceptions of zipfile for a damaged, encrypted or unsupported archive or member.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    MemoryError,  # a damaged directory can claim any size
    RuntimeError,  # includes encrypted members and unsupported compression
    ValueError,
)


class ChestImaGenome(RegionReader):
    """Regions with boxes and phrases.

    Args:
        root: the folder of Chest ImaGenome.
        names: the regions to read, such as one of REGION_SETS.
        remover: removes references to earlier examinations from the phrases.

    Raises:
        ValueError: there are no scene graphs, or the archive is damaged.
    """

    name = "chest_imagenome"

    def __init__(
        self,
        root: Path,
        names: tuple[str, ...] = REGIONS,
        remover: PriorRemover | None = None,
    ) -> None:
        super().__init__(names, REGION_SETS["36"], remover)
        self._silver = root / "silver_dataset"
        self._folder = self._silver / "scene_graph"
        if (self._silver / ARCHIVE).is_file():
            return
        if not self._folder.is_dir():
            raise ValueError(
                f"{self._silver} holds neither {ARCHIVE} nor scene_graph/: give the folder "
                "of Chest ImaGenome that holds silver_dataset"
            )
        folder = graph_folder(self._silver)
        if folder is None:
            content = ", ".join(sorted(path.name for path in self._folder.iterdir())[:3])
            raise ValueError(
                f"{self._folder} holds no *{SUFFIX}, but {content or 'nothing'}: put {ARCHIVE} or "
                f"the unpacked scene graphs into {self._silver}"
            )
        if folder != self._folder:
            self.noted.add("scene graphs one folder too deep (read)", str(folder))
        self._folder = folder

    def regions(self, dicom_id: str, size: tuple[int, int] | None) -> tuple[Region, ...]:
        """The regions of one image in the order of `names`, then phrases without a box.

        A region without a description has `phrases=()`; one without a location has `box=None`. An
        image without a scene graph has no regions, and is noted.

        Args:
            size: its (height, width) in pixels, which a scene graph does not hold; boxes need it.

        Raises:
            ValueError: the scene graph cannot be read.
        """
        graph = self._graph(dicom_id)
        if graph is None:
            self.noted.add("image without a scene graph", dicom_id)
            return ()
        boxes = self.boxes(dicom_id, self._items(dicom_id, graph, "objects"), size)
        phrases = self.phrases(dicom_id, self._described(dicom_id, graph))
        regions = self.joined(dicom_id, boxes, phrases)
        attributes = graph.get("attributes")
        findings = {
            str(item.get("bbox_name")): stated_findings(item)
            for item in (attributes if isinstance(attributes, list) else ())
            if isinstance(item, dict)
        }
        return tuple(replace(region, findings=findings.get(region.name, ())) for region in regions)

    def patient_splits(self) -> Iterator[tuple[str, str]]:
        """(patient, split) of every row of the split tables; patients to avoid are "test"."""
        for patient, _, split in self._split_rows():
            yield patient, split

    @cached_property
    def split_of(self) -> dict[str, str]:
        """dicom_id -> train, validate or test; images to avoid in training are "test"."""
        return {dicom: split for _, dicom, split in self._split_rows()}

    def _split_rows(self) -> Iterator[tuple[str, str, str]]:
        folder = self._silver / "splits"
        for name, split in SPLIT_TABLES.items():
            table = find_table(folder, name)
            if table is not None:
                for patient, dicom in read_rows(table, ("subject_id", "dicom_id")):
                    yield plain_id(patient), dicom.strip(), split
            elif name == AVOID:
                self.noted.add("table images_to_avoid missing", str(folder))
            else:
                raise ValueError(
                    f"{folder} has no {name}.csv: Chest ImaGenome has train, valid, test and "
                    "images_to_avoid there"
                )

    def _described(
        self, dicom_id: str, graph: Mapping[str, Any]
    ) -> Iterator[tuple[str, Sequence[object]]]:
        """(region, raw phrases) of every attribute that has both."""
        for item in self._items(dicom_id, graph, "attributes"):
            name, phrases = item.get("bbox_name"), item.get(PHRASES)
            if not isinstance(name, str) or not name or not isinstance(phrases, list):
                self.skipped.add("attribute without a region or phrases", dicom_id)
                continue
            if not has_parallel_lists(item):
                self.noted.add("attribute whose lists differ in length", f"{dicom_id} {name}")
            yield name, phrases

    def _items(self, dicom_id: str, graph: Mapping[str, Any], key: str) -> Iterator[dict[str, Any]]:
        """The JSON objects of one list of a scene graph."""
        items = graph.get(key)
        if not isinstance(items, list):
            self.skipped.add(f"scene graph whose {key} are not a list", dicom_id)
            return
        for item in items:
            if isinstance(item, dict):
                yield item
            else:
                self.skipped.add(f"entry of {key} that is not a JSON object", dicom_id)

    def _graph(self, dicom_id: str) -> dict[str, Any] | None:
        data = self._bytes(f"{dicom_id}{SUFFIX}")
        if data is None:
            return None
        try:
            graph = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"scene graph of {dicom_id} is damaged: {error}") from error
        if not isinstance(graph, dict):
            raise ValueError(
                f"scene graph of {dicom_id} is a {type(graph).__name__}, not a JSON object"
            )
        return graph

    def _bytes(self, name: str) -> bytes | None:
        if self._archive is None:
            path = self._folder / name
            try:
                size = path.stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None
            _check_size(name, size)
            return path.read_bytes()
        member = self._members.get(name)
        if member is None:
            return None
        _check_size(name, max(member.file_size, member.compress_size))
        try:
            return self._archive.read(member)
        except UNREADABLE as error:
            raise ValueError(f"{name} in scene_graph.zip is damaged: {error}") from error

    @cached_property
    def _archive(self) -> zipfile.ZipFile | None:
        path = self._silver / ARCHIVE
        if not path.is_file():
            return None
        try:
            return zipfile.ZipFile(path)
        except UNREADABLE as error:
            raise ValueError(f"{path} is damaged ({error}): fetch it again") from error

    @cached_property
    def _members(self) -> dict[str, zipfile.ZipInfo]:
        archive = self._archive
        infos = archive.infolist() if archive else []
        return {info.filename.rpartition("/")[2]: info for info in infos if is_graph(info.filename)}


def is_graph(name: str) -> bool:
    """Whether a file or a member of an archive is a scene graph; macOS adds hidden copies.

    >>> is_graph("scene_graph/a_SceneGraph.json"), is_graph("__MACOSX/._a_SceneGraph.json")
    (True, False)
    """
    last = name.rpartition("/")[2]
    return last.endswith(SUFFIX) and not last.startswith(".")


def graph_folder(silver: Path) -> Path | None:
    """The folder of unpacked scene graphs: `scene_graph`, or one inside it; None if none."""
    folder = silver / "scene_graph"
    if not folder.is_dir():
        return None
    if _has_graph(folder):
        return folder
    children = [path for path in sorted(folder.iterdir()) if path.name != MAC_FOLDER]
    return next((path for path in children if path.is_dir() and _has_graph(path)), None)


def _has_graph(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(is_graph(entry.name) for entry in entries)


def _check_size(name: str, num_bytes: int) -> None:
    if num_bytes > MAX_GRAPH_BYTES:
        raise ValueError(f"{name} unpacks to {num_bytes} bytes and the limit is {MAX_GRAPH_BYTES}")
