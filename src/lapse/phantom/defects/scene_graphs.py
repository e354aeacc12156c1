"""Defects of scene graphs, of their archive, and of the gold annotations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from lapse.phantom.defects.records import Injector, Records
from lapse.phantom.defects.tree import DefectTree, Row, Table

Json = dict[str, Any]
BoxEdit = Callable[[DefectTree, Json, str], None]  # tree, object of a scene graph, dicom_id


def _pick_graphs(tree: DefectTree) -> list[str]:
    """Choose scene graphs of simulated images."""
    simulated = [dicom for dicom in tree.graphs if dicom in tree.sizes]
    return tree.pick(simulated, lambda dicom: [f"graph {dicom}"])


def _on_graphs(edit: Callable[[DefectTree, str, Json], object]) -> Injector:
    """An injector that replaces each chosen scene graph by what `edit` returns."""

    def inject(tree: DefectTree) -> list[str]:
        dicoms = _pick_graphs(tree)
        for dicom in dicoms:
            tree.set_graph(dicom, edit(tree, dicom, tree.graph(dicom)))
        return dicoms

    return inject


def damaged_archive(tree: DefectTree) -> list[str]:
    """An archive without its end, which contains the table of contents."""
    data = tree.archive.read_bytes()
    tree.archive.write_bytes(data[: len(data) // 2])
    return [tree.archive.name]


def graph_missing(tree: DefectTree) -> list[str]:
    dicoms = [row["dicom_id"] for row in tree.tables["train"].rows]
    chosen = tree.pick(dicoms, lambda dicom: [f"graph {dicom}"])
    for dicom in chosen:
        del tree.graphs[dicom]
    return chosen


def graph_damaged(tree: DefectTree) -> list[str]:
    dicoms = _pick_graphs(tree)
    for dicom in dicoms:
        data = tree.graphs[dicom]
        tree.graphs[dicom] = data[: len(data) // 2]
    return dicoms


@_on_graphs
def graph_shape(tree: DefectTree, dicom: str, graph: Json) -> object:
    """A list instead of an object, or an object without its list of boxes."""
    return [graph] if tree.random_int(dicom, "shape") % 2 else {**graph, "objects": None}


def graph_unknown_image(tree: DefectTree) -> list[str]:
    names = []
    for dicom in _pick_graphs(tree):
        other = tree.new_dicom(dicom)
        tree.set_graph(other, {**tree.graph(dicom), "image_id": other})
        names.append(other)
    return names


@_on_graphs
def graph_other_image(tree: DefectTree, dicom: str, graph: Json) -> object:
    return {**graph, "image_id": tree.new_dicom(dicom)}


@_on_graphs
def graph_ids_disagree(tree: DefectTree, dicom: str, graph: Json) -> object:
    key = ("patient_id", "study_id")[tree.random_int(dicom, "key") % 2]
    return {**graph, key: int(graph[key]) + 1}


def parallel_lists(tree: DefectTree) -> list[str]:
    described = [dicom for dicom in tree.graphs if tree.graph(dicom)["attributes"]]
    names = []
    for dicom in tree.pick(described, lambda dicom: [f"graph {dicom}"]):
        graph = tree.graph(dicom)
        item = graph["attributes"][tree.random_int(dicom, "item") % len(graph["attributes"])]
        key = ("phrases", "attributes", "sections")[tree.random_int(dicom, "key") % 3]
        item[key] = item[key][:-1]
        tree.set_graph(dicom, graph)
        names.append(f"{dicom} {item['bbox_name']}")
    return names


@_on_graphs
def regions_incomplete(tree: DefectTree, dicom: str, graph: Json) -> object:
    del graph["objects"][tree.random_int(dicom, "item") % len(graph["objects"])]
    return graph


def _on_one_box(edit: BoxEdit, *, is_copy: bool = False) -> Injector:
    """An injector that edits one box in each chosen scene graph, or a copy of the box.

    The box is moved to the end. Its region name after the edit is part of the id.
    """

    def inject(tree: DefectTree) -> list[str]:
        names = []
        for dicom in _pick_graphs(tree):
            graph = tree.graph(dicom)
            boxes = graph["objects"]
            number = tree.random_int(dicom, "item") % len(boxes)
            box = dict(boxes[number]) if is_copy else boxes.pop(number)
            edit(tree, box, dicom)
            boxes.append(box)
            tree.set_graph(dicom, graph)
            names.append(f"{dicom} {box['bbox_name']}")
        return names

    return inject


@partial(_on_one_box, is_copy=True)
def unknown_region(_tree: DefectTree, box: Json, _dicom: str) -> None:
    box["bbox_name"] = "right lung lobe"


@_on_one_box
def box_not_number(tree: DefectTree, box: Json, _dicom: str) -> None:
    key = ("original_x1", "original_y2", "x1", "y2")[tree.random_int(box["object_id"], "key") % 4]
    box[key] = (None, "12", float("nan"), True)[tree.random_int(box["object_id"], "value") % 4]


@_on_one_box
def box_negative(tree: DefectTree, box: Json, _dicom: str) -> None:
    box[("original_x1", "original_y1")[tree.random_int(box["object_id"]) % 2]] = -9


@_on_one_box
def box_outside(tree: DefectTree, box: Json, dicom: str) -> None:
    edge = ("x2", "y2")[tree.random_int(box["object_id"]) % 2]
    box[f"original_{edge}"] = 9 + tree.sizes[dicom][edge == "x2"]


@_on_one_box
def box_no_area(tree: DefectTree, box: Json, _dicom: str) -> None:
    axis = "xy"[tree.random_int(box["object_id"]) % 2]
    box[f"original_{axis}2"] = box[f"original_{axis}1"]


@_on_one_box
def box_frames(tree: DefectTree, box: Json, _dicom: str) -> None:
    """Frames that disagree: the 224-pixel frame is shifted by 30 pixels."""
    axis = "xy"[tree.random_int(box["object_id"]) % 2]
    for key in (f"{axis}1", f"{axis}2"):
        box[key] += 30


duplicate_region = _on_one_box(lambda *_: None, is_copy=True)
_GOLD = Records("gold", lambda table, index: [f"gold {table.line(index)}"], Table.line)


@_GOLD.edited
def gold_unknown_image(tree: DefectTree, row: Row, index: int) -> None:
    row["image_id"] = f"{tree.new_dicom(index)}.dcm"


@_GOLD.edited
def gold_unknown_region(_tree: DefectTree, row: Row, _index: int) -> None:
    row["bbox_name"] = "left lung lobe"


@_GOLD.edited
def gold_blank_box(_tree: DefectTree, row: Row, _index: int) -> None:
    for column in row:
        if column.startswith("original_") or column in ("x1", "y1", "x2", "y2"):
            row[column] = ""


@_GOLD.edited
def gold_bad_box(tree: DefectTree, row: Row, index: int) -> None:
    row["original_x1"] = ("-4", "", "left", row["original_x2"])[tree.random_int(index) % 4]
