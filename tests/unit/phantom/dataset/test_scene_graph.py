"""Scene graphs: two frames that agree, parallel lists, relationships to the previous image."""

import json
from datetime import datetime

import pytest

from lapse.phantom.dataset.scene_graph import ImageRecord, scene_graph
from lapse.phantom.patients.findings import draw_visits
from lapse.phantom.text.comparisons import compare
from lapse.phantom.text.report import write_report


def image_record(size=(320, 256)):
    visits = draw_visits(11, 4, 2)
    return ImageRecord(
        dicom_id="a-b",
        subject_id=19_000_001,
        study_id=50_000_001,
        view="AP",
        sex="F",
        age=64,
        order=2,
        taken_at=datetime(2150, 3, 4, 5, 6, 7),
        width=size[0],
        height=size[1],
        boxes={
            "right lung": (0.1, 0.2, 0.45, 0.9),
            "left lung": (0.55, 0.2, 0.9, 0.9),
            "cardiac silhouette": (0.4, 0.5, 0.75, 0.85),
            "spine": (-0.2, 0.0, 0.6, 1.3),
            "carina": (1.1, 0.1, 1.3, 0.2),
        },
        report=write_report(visits[1], "AP", seed=11, sex="F"),
        comparisons=compare(visits[0], visits[1], (11,)),
        previous_dicom="c-d",
    )


@pytest.mark.parametrize("size", [(320, 256), (256, 320), (300, 300)])
def test_both_frames_agree_and_boxes_outside_the_image_are_omitted(size):
    graph = scene_graph(image_record(size))
    ratio = 224 / max(size)
    pads = [(224 - int(side * ratio)) // 2 for side in size]
    names = [item["bbox_name"] for item in graph["objects"]]
    assert names == ["right lung", "left lung", "cardiac silhouette", "spine"]
    for item in graph["objects"]:
        assert item["object_id"] == f"a-b_{item['bbox_name']}"
        for axis, side, pad in zip("xy", ("width", "height"), pads, strict=True):
            low, high = item[f"original_{axis}1"], item[f"original_{axis}2"]
            assert item[f"original_{side}"] == high - low  # sizes of the box, not of the image
            for end in "12":
                original = (item[f"{axis}{end}"] - pad) / ratio
                assert abs(original - item[f"original_{axis}{end}"]) <= 2 / ratio


def test_attributes_are_parallel_lists():
    graph = scene_graph(image_record())
    assert json.loads(json.dumps(graph)) == graph
    assert graph["attributes"]
    for item in graph["attributes"]:
        assert item[item["bbox_name"]] is True
        lists = ("attributes", "attributes_ids", "phrase_IDs", "sections", "comparison_cues")
        lists += ("temporal_cues", "severity_cues", "texture_cues")
        assert {len(item[name]) for name in lists} == {len(item["phrases"])}
        assert all(text.count("|") == 2 for group in item["attributes"] for text in group)


def test_relationships_refer_to_the_previous_image():
    graph = scene_graph(image_record())
    assert graph["relationships"]
    for item in graph["relationships"]:
        assert item["predicate"] in ("['No status change']", "['Improved']", "['Worsened']")
        assert item["object_id"] == f"c-d_{item['bbox_name']}"
        assert item["subject_id"] == f"a-b_{item['bbox_name']}"
