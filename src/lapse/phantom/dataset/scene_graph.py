"""Scene graphs of simulated images in the layout of Chest ImaGenome 1.0.0.

    objects        one per box, in two frames: 224 x 224 letterboxed integers and original pixels;
                   width and height are those of the box
    attributes     one per described region, parallel lists: entry j describes phrase j
    relationships  one per region and finding compared with the previous study

Letterbox of an image H x W: r = 224 / max(H, W), pad = (224 - int(side * r)) // 2 left and top.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lapse.phantom.patients.anatomy_locations import CONCEPTS
from lapse.phantom.text.comparisons import Comparison
from lapse.phantom.text.report import Report

FRAME = 224
GRAPH_SUFFIX = "_SceneGraph.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time stamp of a zip file
Fractions = tuple[float, float, float, float]
Corners = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels

# UMLS concepts; the other regions have an empty list
_SYNSETS = {
    "right lung": "C0225706",
    "left lung": "C0225730",
    "cardiac silhouette": "C0018787",
    "mediastinum": "C0025066",
    "trachea": "C0040578",
    "spine": "C0037949",
    "aortic arch": "C0003489",
    "svc": "C0042459",
    "abdomen": "C0000726",
    "right atrium": "C0225844",
}
_STATUS = {
    "no change": ("No status change", "C0442739"),
    "improved": ("Improved", "C0184511"),
    "worsened": ("Worsened", "C1457868"),
}


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """The data of one image that its scene graph, DICOM tags and table rows contain.

    `boxes` maps region names to (x1, y1, x2, y2) as fractions of an image of `width` x `height`
    pixels; `comparisons` and `previous_dicom` are empty for a first visit.
    """

    dicom_id: str
    subject_id: int
    study_id: int
    view: str
    sex: str
    age: int
    order: int
    taken_at: datetime
    width: int
    height: int
    boxes: Mapping[str, Fractions]
    report: Report
    comparisons: tuple[Comparison, ...] = ()
    previous_dicom: str = ""


def scene_graph(record: ImageRecord) -> dict[str, Any]:
    """The scene graph of one image as a JSON-ready dict."""
    decade = record.age // 10 * 10
    boxes = [_object(record, name, box) for name, box in record.boxes.items()]
    objects = [item for item in boxes if item is not None]
    return {
        "image_id": record.dicom_id,
        "viewpoint": record.view,
        "patient_id": record.subject_id,
        "study_id": record.study_id,
        "gender": record.sex,
        "age_decile": f"{decade}-{decade + 10}",
        "reason_for_exam": f"___ with {record.report.reason}",
        "StudyOrder": record.order,
        "StudyDateTime": f"{record.taken_at:%Y-%m-%d %H:%M:%S} UTC",
        "objects": objects,
        "attributes": _attributes(record),
        "relationships": _relationships(record, {item["bbox_name"] for item in objects}),
    }


def graph_entry(dicom_id: str) -> zipfile.ZipInfo:
    """The entry of a scene graph in the archive, with equal bytes on every operating system."""
    entry = zipfile.ZipInfo(f"scene_graph/{dicom_id}{GRAPH_SUFFIX}", _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry


def letterbox_corners(corners: Corners, height: int, width: int) -> Corners:
    """Pixels of an image of `height` x `width` -> pixels of the 224 x 224 letterbox."""
    ratio = FRAME / max(width, height)
    left, top = ((FRAME - int(side * ratio)) // 2 for side in (width, height))
    x1, y1, x2, y2 = (round(value * ratio) for value in corners)
    return x1 + left, y1 + top, x2 + left, y2 + top


def _object(record: ImageRecord, name: str, box: Fractions) -> dict[str, Any] | None:
    """One box in both frames, None if it is outside the image."""
    width, height = record.width, record.height
    x1, x2 = (min(width, max(0, round(v * width))) for v in (box[0], box[2]))
    y1, y2 = (min(height, max(0, round(v * height))) for v in (box[1], box[3]))
    if x1 >= x2 or y1 >= y2:
        return None
    small = letterbox_corners((x1, y1, x2, y2), height, width)
    return {
        "object_id": f"{record.dicom_id}_{name}",
        **_frame("", small),
        "bbox_name": name,
        "synsets": _synsets(name),
        "name": name.title(),
        **_frame("original_", (x1, y1, x2, y2)),
    }


def _frame(prefix: str, corners: Corners) -> dict[str, int]:
    x1, y1, x2, y2 = corners
    sides = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "width": x2 - x1, "height": y2 - y1}
    return {f"{prefix}{name}": value for name, value in sides.items()}


def _attributes(record: ImageRecord) -> list[dict[str, Any]]:
    order = {id(item): index for index, item in enumerate(record.report.statements)}
    attributes: list[dict[str, Any]] = []
    for region, statements in record.report.phrases.items():
        strings = [list(dict(item.regions)[region]) for item in statements]
        attributes.append(
            {
                region: True,
                "bbox_name": region,
                "synsets": _synsets(region),
                "name": region.title(),
                "attributes": strings,
                "attributes_ids": [[_concept(text) for text in group] for group in strings],
                "phrases": [item.text for item in statements],
                "phrase_IDs": [f"{record.study_id}|{order[id(item)]}|0" for item in statements],
                "sections": ["finalreport" for _ in statements],
                "comparison_cues": [_cues(item.comparison) for item in statements],
                "temporal_cues": [[] for _ in statements],
                "severity_cues": [_cues(item.severity) for item in statements],
                "texture_cues": [_cues(item.texture) for item in statements],
                "object_id": f"{record.dicom_id}_{region}",
            }
        )
    return attributes


def _relationships(record: ImageRecord, regions: set[str]) -> list[dict[str, Any]]:
    """One entry per comparison and described region; `regions` are those inside the image."""
    relationships = []
    for index, item in enumerate(record.comparisons):
        words, concept = _STATUS[item.direction]
        for region, attributes in item.statement.regions:
            if region not in regions:
                continue
            relationships.append(
                {
                    "relationship_id": f"{record.study_id}|{index}|{region}",
                    "predicate": str([words]),
                    "synsets": [concept],
                    "relationship_names": [f"comparison|yes|{item.direction}"],
                    "relationship_contexts": [1.0],
                    "phrase": item.statement.text,
                    "attributes": list(attributes),
                    "bbox_name": region,
                    "subject_id": f"{record.dicom_id}_{region}",
                    "object_id": f"{record.previous_dicom}_{region}",
                }
            )
    return relationships


def _synsets(region: str) -> list[str]:
    return [_SYNSETS[region]] if region in _SYNSETS else []


def _concept(attribute: str) -> str:
    return CONCEPTS.get(attribute.rsplit("|", 1)[-1], "")


def _cues(cue: str) -> list[str]:
    return [cue] if cue else []
