"""Region features are read inside the boxes; images and samples without boxes."""

from dataclasses import replace

import pytest
import torch

from lapse.core.annotation_names import REGIONS
from lapse.core.types import Box
from lapse.models.layers.region_features import Regions, region_features, regions_of
from vqa_systems import BOXES, batch, samples


def test_a_feature_is_read_inside_its_box():
    tokens = torch.zeros(1, 16, 2)
    tokens[0, 5] = torch.tensor([1.0, 2.0])  # row 1, column 1 of a 4 x 4 grid
    boxes = torch.tensor([[[0.30, 0.30, 0.45, 0.45], [0.7, 0.7, 0.9, 0.9], [0.0, 0.0, 1.0, 1.0]]])
    regions = Regions(boxes, torch.tensor([[True, True, False]]))
    features = region_features(tokens, regions)[0]
    assert features[0, 1] == pytest.approx(2 * features[0, 0].item()) and features[0, 0] > 0.7
    assert torch.equal(features[1:], torch.zeros(2, 2))


def test_every_image_of_a_batch_has_its_named_boxes():
    names = ("carina", "spine")
    regions = regions_of(batch(), names)  # images a, b, c
    assert regions.is_present.tolist() == [[True, False], [True, True], [True, False]]
    for image, key in enumerate("abc"):
        box = dict(BOXES[key])["carina"]
        expected = torch.tensor([box.x_min, box.y_min, box.x_max, box.y_max])
        assert torch.equal(regions.boxes[image, 0], expected)
    assert regions.boxes[0, 1].tolist() == [0.0, 0.0, 1.0, 1.0]


def test_in_an_image_without_boxes_every_region_is_the_full_image():
    row = replace(samples()[0], boxes=((("carina", Box(0.1, 0.1, 0.2, 0.2)),), ()))
    regions = regions_of(batch([row]), REGIONS)
    assert regions.is_present.sum(1).tolist() == [1, 29]
    assert torch.equal(regions.boxes[1], torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(29, 4))


def test_a_sample_without_boxes_is_refused_with_its_id():
    with pytest.raises(ValueError, match="sample diff_vqa/0 carries no boxes"):
        regions_of(batch([replace(samples()[0], boxes=())]), REGIONS)
