"""Scene graphs of simulated images in the layout of Chest ImaGenome 1.0.0.

    objects        one per box, in two frames: 224 x 224 letterboxed integers, original pixels;
                   width and height are those of the box
    attributes     one per described region, parallel lists: entry j describes phrase j
    relationships  one per region and finding compared with the study before

Letterbox of an image H x W: r = 224 / max(H, W), pad = (224 - int(side * r)) // 2 left and top.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lapse.phantom.patients.places import CONCEPTS
from lapse.phantom.text.comparisons import Comparison
from lapse.phantom.text.report import Report

FRAME = 224
Fractions = tuple[float, float, float, float]

# concepts of the best-known regions (UMLS); the others carry an empty list
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
class GraphSource:
    """Everything a scene graph tells of one image.

    `boxes` maps region names to (x1, y1, x2, y2) fractions of an image of `width` x `height`
    pixels; `compared` and `previous_dicom` are empty for a first visit.
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
    compared: tuple[Comparison, ...] = ()
    previous_dicom: str = ""


def scene_graph(source: GraphSource) -> dict[str, Any]:
    """The scene graph of one image as a JSON-ready dict."""
    decade = source.age // 10 * 10
    objects = [_object(source, name, box) for name, box in source.boxes.items()]
    known = {item["bbox_name"] for item in objects if item is not None}
    return {
        "image_id": source.dicom_id,
        "viewpoint": source.view,
        "patient_id": source.subject_id,
        "study_id": source.study_id,
        "gender": source.sex,
        "age_decile": f"{decade}-{decade + 10}",
        "reason_for_exam": f"___ with {source.report.reason}",
        "StudyOrder": source.order,
        "StudyDateTime": f"{source.taken_at:%Y-%m-%d %H:%M:%S} UTC",
        "objects": [item for item in objects if item is not None],
        "attributes": _attributes(source),
        "relationships": _relationships(source, known),
    }


def _object(source: GraphSource, name: str, box: Fractions) -> dict[str, Any] | None:
    """One box in both frames, None where nothing of it is inside the image."""
    width, height = source.width, source.height
    x1, x2 = (min(width, max(0, round(v * width))) for v in (box[0], box[2]))
    y1, y2 = (min(height, max(0, round(v * height))) for v in (box[1], box[3]))
    if x1 >= x2 or y1 >= y2:
        return None
    ratio = FRAME / max(width, height)
    left = (FRAME - int(width * ratio)) // 2
    top = (FRAME - int(height * ratio)) // 2
    small = (
        round(x1 * ratio) + left,
        round(y1 * ratio) + top,
        round(x2 * ratio) + left,
        round(y2 * ratio) + top,
    )
    return {
        "object_id": f"{source.dicom_id}_{name}",
        "x1": small[0],
        "y1": small[1],
        "x2": small[2],
        "y2": small[3],
        "width": small[2] - small[0],
        "height": small[3] - small[1],
        "bbox_name": name,
        "synsets": _synsets(name),
        "name": name.title(),
        "original_x1": x1,
        "original_y1": y1,
        "original_x2": x2,
        "original_y2": y2,
        "original_width": x2 - x1,
        "original_height": y2 - y1,
    }


def _attributes(source: GraphSource) -> list[dict[str, Any]]:
    order = {id(item): index for index, item in enumerate(source.report.statements)}
    found: list[dict[str, Any]] = []
    for region, statements in source.report.phrases.items():
        strings = [list(dict(item.regions)[region]) for item in statements]
        found.append(
            {
                region: True,
                "bbox_name": region,
                "synsets": _synsets(region),
                "name": region.title(),
                "attributes": strings,
                "attributes_ids": [[_concept(text) for text in group] for group in strings],
                "phrases": [item.text for item in statements],
                "phrase_IDs": [f"{source.study_id}|{order[id(item)]}|0" for item in statements],
                "sections": ["finalreport" for _ in statements],
                "comparison_cues": [_cues(item.comparison) for item in statements],
                "temporal_cues": [[] for _ in statements],
                "severity_cues": [_cues(item.severity) for item in statements],
                "texture_cues": [_cues(item.texture) for item in statements],
                "object_id": f"{source.dicom_id}_{region}",
            }
        )
    return found


def _relationships(source: GraphSource, known: set[str]) -> list[dict[str, Any]]:
    found = []
    for index, item in enumerate(source.compared):
        words, concept = _STATUS[item.direction]
        for region, attributes in item.statement.regions:
            if region not in known:
                continue
            found.append(
                {
                    "relationship_id": f"{source.study_id}|{index}|{region}",
                    "predicate": str([words]),
                    "synsets": [concept],
                    "relationship_names": [f"comparison|yes|{item.direction}"],
                    "relationship_contexts": [1.0],
                    "phrase": item.statement.text,
                    "attributes": list(attributes),
                    "bbox_name": region,
                    "subject_id": f"{source.dicom_id}_{region}",
                    "object_id": f"{source.previous_dicom}_{region}",
                }
            )
    return found


def _synsets(region: str) -> list[str]:
    return [_SYNSETS[region]] if region in _SYNSETS else []


def _concept(attribute: str) -> str:
    return CONCEPTS.get(attribute.rsplit("|", 1)[-1], "")


def _cues(cue: str) -> list[str]:
    return [cue] if cue else []
