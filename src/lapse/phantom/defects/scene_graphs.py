"""Defects of scene graphs, of their archive, and of the gold annotations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lapse.phantom.defects.files import Injector
from lapse.phantom.defects.tree import DefectTree, Table

Edit = Callable[[DefectTree, dict[str, Any], dict[str, Any]], None]


def _pick_graphs(tree: DefectTree) -> list[str]:
    """Choose scene graphs of simulated images."""
    simulated = [dicom for dicom in tree.graphs if dicom in tree.sizes]
    return tree.pick(simulated, lambda dicom: [f"graph {dicom}"])


def damaged_archive(tree: DefectTree) -> list[str]:
    """An archive without its end, which contains the table of contents."""
    data = tree.archive.read_bytes()
    tree.archive.write_bytes(data[: len(data) // 2])
    return [tree.archive.name]


def graph_missing(tree: DefectTree) -> list[str]:
    table = tree.tables["train"]
    rows = tree.pick(table.rows, lambda row: [f"graph {table.cell(row, 'dicom_id')}"])
    for row in rows:
        del tree.graphs[table.cell(row, "dicom_id")]
    return [table.cell(row, "dicom_id") for row in rows]


def graph_damaged(tree: DefectTree) -> list[str]:
    dicoms = _pick_graphs(tree)
    for dicom in dicoms:
        data = tree.graphs[dicom]
        tree.graphs[dicom] = data[: len(data) // 2]
    return dicoms


def graph_shape(tree: DefectTree) -> list[str]:
    """A list instead of an object, or an object without its list of boxes."""
    dicoms = _pick_graphs(tree)
    for dicom in dicoms:
        graph = tree.graph(dicom)
        if tree.random_int(dicom, "shape") % 2:
            tree.set_graph(dicom, [graph])
        else:
            tree.set_graph(dicom, {**graph, "objects": None})
    return dicoms


def graph_unknown_image(tree: DefectTree) -> list[str]:
    names = []
    for dicom in _pick_graphs(tree):
        other = tree.new_dicom(dicom)
        tree.set_graph(other, {**tree.graph(dicom), "image_id": other})
        names.append(other)
    return names


def graph_other_image(tree: DefectTree) -> list[str]:
    dicoms = _pick_graphs(tree)
    for dicom in dicoms:
        tree.set_graph(dicom, {**tree.graph(dicom), "image_id": tree.new_dicom(dicom)})
    return dicoms


def graph_ids_disagree(tree: DefectTree) -> list[str]:
    dicoms = _pick_graphs(tree)
    for dicom in dicoms:
        graph = tree.graph(dicom)
        key = ("patient_id", "study_id")[tree.random_int(dicom, "key") % 2]
        tree.set_graph(dicom, {**graph, key: int(graph[key]) + 1})
    return dicoms


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


def regions_incomplete(tree: DefectTree) -> list[str]:
    dicoms = _pick_graphs(tree)
    for dicom in dicoms:
        graph = tree.graph(dicom)
        del graph["objects"][tree.random_int(dicom, "item") % len(graph["objects"])]
        tree.set_graph(dicom, graph)
    return dicoms


def _on_one_box(edit: Edit) -> Injector:
    """An injector that edits one box in each chosen scene graph.

    `edit` receives the tree, the scene graph and one of its objects, and moves the object to the
    end. Its region name after the edit is part of the id.
    """

    def inject(tree: DefectTree) -> list[str]:
        names = []
        for dicom in _pick_graphs(tree):
            graph = tree.graph(dicom)
            item = graph["objects"][tree.random_int(dicom, "item") % len(graph["objects"])]
            edit(tree, graph, item)
            tree.set_graph(dicom, graph)
            names.append(f"{dicom} {graph['objects'][-1]['bbox_name']}")
        return names

    return inject


def _moved_to_end(graph: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    graph["objects"].remove(item)
    graph["objects"].append(item)
    return item


def _unknown_region(_tree: DefectTree, graph: dict[str, Any], item: dict[str, Any]) -> None:
    graph["objects"].append({**item, "bbox_name": "right lung lobe"})


def _duplicate_region(_tree: DefectTree, graph: dict[str, Any], item: dict[str, Any]) -> None:
    graph["objects"].append(dict(item))


def _not_number(tree: DefectTree, graph: dict[str, Any], item: dict[str, Any]) -> None:
    key = ("original_x1", "original_y2", "x1", "y2")[tree.random_int(item["object_id"], "key") % 4]
    value = (None, "12", float("nan"), True)[tree.random_int(item["object_id"], "value") % 4]
    _moved_to_end(graph, item)[key] = value


def _negative(tree: DefectTree, graph: dict[str, Any], item: dict[str, Any]) -> None:
    key = ("original_x1", "original_y1")[tree.random_int(item["object_id"]) % 2]
    _moved_to_end(graph, item)[key] = -9


def _outside(tree: DefectTree, graph: dict[str, Any], item: dict[str, Any]) -> None:
    edge = ("x2", "y2")[tree.random_int(item["object_id"]) % 2]
    item[f"original_{edge}"] = 9 + tree.sizes[str(graph["image_id"])][edge == "x2"]
    _moved_to_end(graph, item)


def _no_area(tree: DefectTree, graph: dict[str, Any], item: dict[str, Any]) -> None:
    axis = "xy"[tree.random_int(item["object_id"]) % 2]
    item[f"original_{axis}2"] = item[f"original_{axis}1"]
    _moved_to_end(graph, item)


def _frames(tree: DefectTree, graph: dict[str, Any], item: dict[str, Any]) -> None:
    """Frames that disagree: the 224-pixel frame is shifted by 30 pixels."""
    axis = "xy"[tree.random_int(item["object_id"]) % 2]
    for key in (f"{axis}1", f"{axis}2"):
        item[key] += 30
    _moved_to_end(graph, item)


def _on_gold_rows(edit: Callable[[DefectTree, Table, int], None]) -> Injector:
    def inject(tree: DefectTree) -> list[str]:
        table = tree.tables["gold"]
        indices = tree.pick(range(len(table.rows)), lambda index: [f"gold {table.line(index)}"])
        for index in indices:
            edit(tree, table, index)
        return [table.line(index) for index in indices]

    return inject


def _gold_unknown_image(tree: DefectTree, table: Table, index: int) -> None:
    table.set(table.rows[index], "image_id", f"{tree.new_dicom(index)}.dcm")


def _gold_unknown_region(_tree: DefectTree, table: Table, index: int) -> None:
    table.set(table.rows[index], "bbox_name", "left lung lobe")


def _gold_blank(_tree: DefectTree, table: Table, index: int) -> None:
    for column in table.header:
        if column.startswith("original_") or column in ("x1", "y1", "x2", "y2"):
            table.set(table.rows[index], column, "")


def _gold_bad(tree: DefectTree, table: Table, index: int) -> None:
    row = table.rows[index]
    bad = ("-4", "", "left", table.cell(row, "original_x2"))
    table.set(row, "original_x1", bad[tree.random_int(index) % len(bad)])


ARCHIVE: dict[str, Injector] = {"damaged-archive": damaged_archive}
GRAPHS: dict[str, Injector] = {
    "parallel-lists": parallel_lists,  # reads every scene graph, so it precedes the damage
    "graph-missing": graph_missing,
    "graph-damaged": graph_damaged,
    "graph-shape": graph_shape,
    "graph-unknown-image": graph_unknown_image,
    "graph-other-image": graph_other_image,
    "graph-ids-disagree": graph_ids_disagree,
    "unknown-region": _on_one_box(_unknown_region),
    "duplicate-region": _on_one_box(_duplicate_region),
    "box-not-number": _on_one_box(_not_number),
    "box-negative": _on_one_box(_negative),
    "box-outside": _on_one_box(_outside),
    "box-no-area": _on_one_box(_no_area),
    "box-frames": _on_one_box(_frames),
    "regions-incomplete": regions_incomplete,
    "gold-unknown-image": _on_gold_rows(_gold_unknown_image),
    "gold-unknown-region": _on_gold_rows(_gold_unknown_region),
    "gold-blank-box": _on_gold_rows(_gold_blank),
    "gold-bad-box": _on_gold_rows(_gold_bad),
}
