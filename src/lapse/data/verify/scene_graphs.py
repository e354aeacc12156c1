"""The scene graphs of Chest ImaGenome: one for each image of its split tables, each read once.

They are read inside the archive, one at a time; a scene graph beyond 16 MB counts as damaged.
"""

from __future__ import annotations

import json
import zipfile
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lapse.data.datasets.chest_imagenome import MAX_GRAPH_BYTES, SUFFIX, UNREADABLE
from lapse.data.datasets.release_counts import IMAGENOME
from lapse.data.io.compact_maps import key_of
from lapse.data.verify.boxes import graph_defects
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.image_index import UNKNOWN
from lapse.data.verify.splits import check_imagenome_splits
from lapse.data.verify.tables import id_number


def check_scene_graphs(case: VerifyContext) -> None:
    """Every scene graph, then the split tables and the images that lack one."""
    keys, is_whole = array("Q"), True
    try:
        for dicom, data in _graphs(case):
            keys.append(key_of(dicom))
            _check_graph(case, dicom, data)
            case.meter.step()
    except UNREADABLE as error:
        case.findings.add("damaged-archive", "scene_graph.zip")
        case.findings.note(f"scene graphs were not read: {error}")
        is_whole = False
    else:
        case.counts[IMAGENOME, "scene graphs"] = len(keys)
    known = np.sort(np.array(keys, np.uint64))
    for name, dicom in check_imagenome_splits(case):
        if not is_whole or name == "images_to_avoid":
            continue
        key = np.uint64(key_of(dicom))
        place = int(np.searchsorted(known, key))
        if place == known.size or known[place] != key:
            case.findings.add("graph-missing", dicom)


def _graphs(case: VerifyContext) -> Iterator[tuple[str, bytes | None]]:
    """(dicom_id in the file's name, its bytes or None where they cannot be had)."""
    silver = case.roots.chest_imagenome / "silver_dataset"
    archive = silver / "scene_graph.zip"
    if not archive.is_file():
        paths = sorted((silver / "scene_graph").glob(f"*{SUFFIX}"))
        case.meter.expect(len(paths))
        for path in paths:
            is_small = path.stat().st_size <= MAX_GRAPH_BYTES
            yield path.name.removesuffix(SUFFIX), path.read_bytes() if is_small else None
        return
    with zipfile.ZipFile(archive) as opened:
        members = [info for info in opened.infolist() if info.filename.endswith(SUFFIX)]
        case.meter.expect(len(members))
        for member in members:
            yield Path(member.filename).name.removesuffix(SUFFIX), _unpack(opened, member)


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | None:
    if max(member.file_size, member.compress_size) > MAX_GRAPH_BYTES:
        return None
    try:
        return archive.read(member)
    except UNREADABLE:
        return None


def _check_graph(case: VerifyContext, dicom: str, data: bytes | None) -> None:
    findings, images = case.findings, case.images
    row = images.find(dicom)
    if row == UNKNOWN and images.is_whole:
        findings.add("graph-unknown-image", dicom)
    if data == b"":
        findings.add("empty-file", f"{dicom}{SUFFIX}")
        return
    try:
        graph = json.loads(data or b"")
    except (ValueError, RecursionError):
        findings.add("graph-damaged", dicom)
        return
    size = None if row == UNKNOWN else images.size(row)
    for code, region in graph_defects(graph, size):
        if code == "regions-incomplete":
            findings.count(code)
        else:
            findings.add(code, f"{dicom} {region}".rstrip())
    if isinstance(graph, dict):
        if graph.get("image_id") != dicom:
            findings.add("graph-other-image", dicom)
        ids = (id_number(str(graph.get("patient_id"))), id_number(str(graph.get("study_id"))))
        if row != UNKNOWN and ids != (int(images.patients[row]), int(images.studies[row])):
            findings.add("graph-ids-disagree", dicom)
