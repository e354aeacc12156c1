"""The scene graphs of Chest ImaGenome: one for each image of its split tables.

They are read inside the archive, one at a time. A scene graph beyond 16 MB counts as damaged.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lapse.data.datasets.chest_imagenome import (
    ARCHIVE,
    MAX_GRAPH_BYTES,
    SUFFIX,
    UNREADABLE,
    graph_folder,
    is_graph,
)
from lapse.data.datasets.release_counts import IMAGENOME
from lapse.data.verify.boxes import graph_defects, is_described
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.splits import check_imagenome_splits
from lapse.data.verify.tables import id_number


def check_scene_graphs(context: VerifyContext) -> None:
    """Every scene graph, then the split tables and their images without a scene graph."""
    names: set[str] = set()
    num_graphs, num_described, is_complete = 0, 0, True
    images = context.images
    try:
        for dicom, data in _graphs(context):
            names.add(dicom)
            num_graphs += 1
            has_regions = _check_graph(context, dicom, data)
            row = images.by_dicom.get(dicom)
            if row is not None and images.by_study[row.study] is row and row.is_frontal:
                num_described += has_regions and context.is_in_copy(row.study)
            context.progress.step()
    except UNREADABLE as error:
        context.findings.add("damaged-archive", ARCHIVE)
        context.findings.note(f"scene graphs were not read: {error}")
        is_complete = False
    else:
        context.counts[IMAGENOME, "scene graphs"] = num_graphs
    for table, dicom in check_imagenome_splits(context):
        if is_complete and table != "images_to_avoid" and dicom not in names:
            image = images.by_dicom.get(dicom)
            if image is None or context.is_in_copy(image.study):
                context.findings.add("graph-missing", dicom)
    if is_complete and images.is_complete:
        frontals = (row for row in images.by_study.values() if row.is_frontal)
        expected = sum(context.is_in_copy(row.study) for row in frontals)
        context.check_amount("few-regions", num_described, expected)


def _graphs(context: VerifyContext) -> Iterator[tuple[str, bytes | None]]:
    """(dicom_id of the file name, its bytes or None if they cannot be read)."""
    silver = context.roots.chest_imagenome / "silver_dataset"
    archive = silver / ARCHIVE
    if not archive.is_file():
        folder = graph_folder(silver) or silver / "scene_graph"
        if folder != silver / "scene_graph":
            context.findings.add("nested-graphs", folder.relative_to(silver).as_posix())
        paths = sorted(path for path in folder.glob(f"*{SUFFIX}") if is_graph(path.name))
        context.progress.expect(len(paths))
        for path in paths:
            is_small = path.stat().st_size <= MAX_GRAPH_BYTES
            yield path.name.removesuffix(SUFFIX), path.read_bytes() if is_small else None
        return
    with zipfile.ZipFile(archive) as opened:
        members = [info for info in opened.infolist() if is_graph(info.filename)]
        context.progress.expect(len(members))
        for member in members:
            yield Path(member.filename).name.removesuffix(SUFFIX), _unpack(opened, member)


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | None:
    if max(member.file_size, member.compress_size) > MAX_GRAPH_BYTES:
        return None
    try:
        return archive.read(member)
    except UNREADABLE:
        return None


def _check_graph(context: VerifyContext, dicom: str, data: bytes | None) -> bool:
    """Report the defects of a scene graph; returns whether it has boxes and phrases."""
    findings, images = context.findings, context.images
    row = images.by_dicom.get(dicom)
    if row is None and context.has_all_images:
        findings.add("graph-unknown-image", dicom)
    if data == b"":
        findings.add("empty-file", f"{dicom}{SUFFIX}")
        return False
    try:
        graph = json.loads(data or b"")
    except (ValueError, RecursionError):
        findings.add("graph-damaged", dicom)
        return False
    for code, region in graph_defects(graph, None if row is None else row.size):
        if code == "regions-incomplete":
            findings.count(code)
        else:
            findings.add(code, f"{dicom} {region}".rstrip())
    if isinstance(graph, dict):
        if graph.get("image_id") != dicom:
            findings.add("graph-other-image", dicom)
        ids = (id_number(str(graph.get("patient_id"))), id_number(str(graph.get("study_id"))))
        if row is not None and ids != (row.patient, row.study):
            findings.add("graph-ids-disagree", dicom)
    return is_described(graph)
