"""Chest ImaGenome 1.0.0 -> the described regions of each frontal image.

    silver_dataset/scene_graph.zip        scene_graph/<dicom_id>_SceneGraph.json, read in place
    silver_dataset/scene_graph/           or the same, unpacked
    silver_dataset/splits/*.csv           train, valid, test, images_to_avoid (gold patients)

Every box stands twice in a scene graph: in pixels of the full image (`original_*`) and in a
224 x 224 letterbox. Here, and nowhere else, pixels become fractions of the original image, from
the first frame; the second is only compared with it. Source: Wu et al. 2021, arXiv:2108.00316.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from lapse.data.ledger import Ledger
from lapse.data.scene_graph import Frame, clean_phrase, original_box, original_corners
from lapse.data.tables import find_table, plain_id, read_rows
from lapse.types import Box, Region

REGIONS = (
    "right lung",
    "right upper lung zone",
    "right mid lung zone",
    "right lower lung zone",
    "right hilar structures",
    "right apical zone",
    "right costophrenic angle",
    "right hemidiaphragm",
    "left lung",
    "left upper lung zone",
    "left mid lung zone",
    "left lower lung zone",
    "left hilar structures",
    "left apical zone",
    "left costophrenic angle",
    "left hemidiaphragm",
    "trachea",
    "spine",
    "right clavicle",
    "left clavicle",
    "aortic arch",
    "mediastinum",
    "upper mediastinum",
    "svc",
    "cardiac silhouette",
    "cavoatrial junction",
    "right atrium",
    "carina",
    "abdomen",
)
FURTHER_REGIONS = (
    "right cardiophrenic angle",
    "left cardiophrenic angle",
    "left cardiac silhouette",
    "right cardiac silhouette",
    "descending aorta",
    "left upper abdomen",
    "right upper abdomen",
)
SPLIT_FILES = {"train": "train", "validate": "valid", "test": "test"}
SUFFIX = "_SceneGraph.json"
MAX_GRAPH_BYTES = 16 * 1024 * 1024


class ChestImaGenome:
    """Regions with boxes and phrases.

    Args:
        root: the folder that holds `silver_dataset`.
        sizes: dicom_id -> (height, width) in pixels, from MIMIC-CXR-JPG's metadata: a scene
            graph does not hold the size of its image.
        names: the regions to read; the 7 further names that exist are counted and left out.

    Attributes:
        skipped: boxes and phrases that were dropped, by reason.
        noted: oddities of what was read. Both grow with every call of `regions`.

    Raises:
        ValueError: there are no scene graphs, or the archive is damaged.
    """

    name = "chest_imagenome"

    def __init__(
        self,
        root: Path,
        sizes: Mapping[str, tuple[int, int]],
        names: tuple[str, ...] = REGIONS,
    ) -> None:
        self.root = root
        self.sizes = sizes
        self.names = names
        self.skipped = Ledger()
        self.noted = Ledger()
        self._silver = root / "silver_dataset"
        if not (self._silver / "scene_graph.zip").is_file() and not self._folder.is_dir():
            raise ValueError(
                f"{self._silver} holds neither scene_graph.zip nor scene_graph/: give the folder "
                "of Chest ImaGenome that holds silver_dataset"
            )

    def regions(self, dicom_id: str) -> tuple[Region, ...]:
        """The regions of one image in the order of `names`, then phrases without a box.

        A region that is not described has `phrases=()`; one that is described but not localised
        has `box=None`. An image without a scene graph has no regions, and is noted.

        Raises:
            ValueError: the scene graph cannot be read.
        """
        graph = self._graph(dicom_id)
        if graph is None:
            self.noted.add("image without a scene graph", dicom_id)
            return ()
        boxes = self._boxes(dicom_id, graph)
        phrases = self._phrases(dicom_id, graph)
        ordered = [name for name in self.names if name in boxes or name in phrases]
        known = {*REGIONS, *FURTHER_REGIONS, *self.names}
        ordered += [name for name in phrases if name not in known]
        for name in self.names:
            if name not in boxes:
                self.noted.add("region without a box", f"{dicom_id} {name}")
        return tuple(Region(name, phrases.get(name, ()), boxes.get(name)) for name in ordered)

    def patient_words(self) -> Iterator[tuple[str, str]]:
        """(patient, split) of every row of the split tables; patients to avoid are "test"."""
        for patient, _, split in self._split_rows():
            yield patient, split

    @cached_property
    def split_of(self) -> Mapping[str, str]:
        """dicom_id -> train, validate or test; images to avoid in training are "test"."""
        return {dicom: split for _, dicom, split in self._split_rows()}

    def _split_rows(self) -> Iterator[tuple[str, str, str]]:
        columns = ("subject_id", "dicom_id")
        for split, word in SPLIT_FILES.items():
            table = find_table(self._silver / "splits", word)
            if table is None:
                raise ValueError(
                    f"{self._silver / 'splits'} has no {word}.csv: Chest ImaGenome has train, "
                    "valid, test and images_to_avoid there"
                )
            for patient, dicom in read_rows(table, columns):
                yield plain_id(patient), dicom.strip(), split
        avoid = find_table(self._silver / "splits", "images_to_avoid")
        if avoid is None:
            self.noted.add("table images_to_avoid missing", str(self._silver / "splits"))
            return
        for patient, dicom in read_rows(avoid, columns):
            yield plain_id(patient), dicom.strip(), "test"

    def _boxes(self, dicom_id: str, graph: Mapping[str, Any]) -> dict[str, Box]:
        """Region -> box in fractions, of the regions asked for."""
        size = self.sizes.get(dicom_id)
        if size is None:
            self.skipped.add("boxes of an image of unknown size", dicom_id)
            return {}
        frame = Frame(*size)
        boxes: dict[str, Box] = {}
        seen: set[str] = set()
        disagreeing = 0
        for item in _dicts(graph, "objects"):
            name = str(item.get("bbox_name", ""))
            if not self._is_wanted(name, f"{dicom_id} {name}"):
                continue
            if name in seen:
                self.skipped.add("second box of one region", f"{dicom_id} {name}")
                continue
            seen.add(name)
            corners = original_corners(item)
            if corners is None:
                self.skipped.add("box without coordinates", f"{dicom_id} {name}")
                continue
            disagreeing += not frame.agrees(item, corners)
            box, is_clipped = original_box(corners, frame)
            if box is None:
                self.skipped.add("box without area", f"{dicom_id} {name}")
                continue
            if is_clipped:
                self.noted.add("box clipped to its image", f"{dicom_id} {name}")
            boxes[name] = box
        if disagreeing:
            self.noted.add("image whose two box frames disagree", dicom_id)
        return boxes

    def _is_wanted(self, name: str, example: str) -> bool:
        if name in self.names:
            return True
        if name in REGIONS or name in FURTHER_REGIONS:
            self.noted.add("box of a region that is not asked for", example)
        else:
            self.skipped.add("box with a name outside the known 36", example)
        return False

    def _phrases(self, dicom_id: str, graph: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """Region -> its phrases, cleaned, each once, in order."""
        found: dict[str, dict[str, str]] = {}
        for item in _dicts(graph, "attributes"):
            name = str(item.get("bbox_name", ""))
            raw = item.get("phrases")
            if not name or not isinstance(raw, list):
                self.skipped.add("attribute without a region or phrases", dicom_id)
                continue
            if name in {*REGIONS, *FURTHER_REGIONS} and name not in self.names:
                self.noted.add("phrases of a region that is not asked for", f"{dicom_id} {name}")
                continue
            if name not in self.names:
                self.noted.add("phrases under a name outside the known 36", f"{dicom_id} {name}")
            phrases = found.setdefault(name, {})
            for text in raw:
                cleaned = clean_phrase(str(text))
                if not cleaned:
                    self.skipped.add("phrase without words", f"{dicom_id} {name}")
                elif cleaned.lower() in phrases:
                    self.skipped.add("phrase repeated in its region", f"{dicom_id} {name}")
                else:
                    phrases[cleaned.lower()] = cleaned
        return {name: tuple(phrases.values()) for name, phrases in found.items() if phrases}

    def _graph(self, dicom_id: str) -> dict[str, Any] | None:
        data = self._bytes(f"{dicom_id}{SUFFIX}")
        if data is None:
            return None
        try:
            graph = json.loads(data)
        except ValueError as error:
            raise ValueError(f"scene graph of {dicom_id} is damaged: {error}") from error
        if not isinstance(graph, dict):
            raise ValueError(f"scene graph of {dicom_id} is a {type(graph).__name__}, no object")
        return graph

    def _bytes(self, name: str) -> bytes | None:
        if self._archive is None:
            path = self._folder / name
            return path.read_bytes() if path.is_file() else None
        member = self._members.get(name)
        if member is None:
            return None
        if member.file_size > MAX_GRAPH_BYTES:
            raise ValueError(
                f"{name} unpacks to {member.file_size} bytes and the limit is {MAX_GRAPH_BYTES}"
            )
        try:
            return self._archive.read(member)
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise ValueError(f"{name} in scene_graph.zip is damaged: {error}") from error

    @property
    def _folder(self) -> Path:
        return self._silver / "scene_graph"

    @cached_property
    def _archive(self) -> zipfile.ZipFile | None:
        path = self._silver / "scene_graph.zip"
        if not path.is_file():
            return None
        try:
            return zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path} is damaged ({error}): fetch it again") from error

    @cached_property
    def _members(self) -> dict[str, zipfile.ZipInfo]:
        archive = self._archive
        infos = archive.infolist() if archive else []
        return {info.filename.rpartition("/")[2]: info for info in infos}


def _dicts(graph: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    items = graph.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
