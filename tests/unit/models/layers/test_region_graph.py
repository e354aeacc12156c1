"""EKAID's relations: labels by hand, attention against a loop."""

import math

import torch

from lapse.core.annotation_names import REGIONS
from lapse.models.layers.region_graph import (
    COVERS,
    FIRST_DIRECTION,
    HAS_PART,
    INSIDE,
    MIRROR,
    OVERLAPS,
    PART,
    SELF,
    RelationAttention,
    relative_geometry,
    semantic_labels,
    spatial_labels,
)

# x_min, y_min, x_max, y_max
BOXES = torch.tensor(
    [
        [
            [0.40, 0.40, 0.60, 0.60],  # 0
            [0.45, 0.45, 0.55, 0.55],  # 1 inside 0
            [0.42, 0.40, 0.62, 0.60],  # 2 overlaps 0 by more than half
            [0.70, 0.40, 0.80, 0.60],  # 3 right of 0
            [0.40, 0.10, 0.60, 0.20],  # 4 above 0
            [0.00, 0.95, 0.05, 1.00],  # 5 far from 3
        ]
    ]
)


def test_spatial_labels_by_hand():
    labels = spatial_labels(BOXES)[0]
    assert labels[1, 0] == INSIDE and labels[0, 1] == COVERS
    assert labels[0, 2] == labels[2, 0] == OVERLAPS
    assert labels[0, 3] == FIRST_DIRECTION  # to the right
    assert labels[3, 0] == FIRST_DIRECTION + 4  # to the left
    assert labels[0, 4] == FIRST_DIRECTION + 2  # above: y grows downwards
    assert labels[4, 0] == FIRST_DIRECTION + 6
    assert labels[3, 5] == labels[5, 3] == 0
    assert (labels.diagonal() == OVERLAPS).all()


def test_semantic_labels_by_hand():
    labels = semantic_labels(REGIONS)
    index_of = {name: index for index, name in enumerate(REGIONS)}

    def label(one, two):
        return int(labels[index_of[one], index_of[two]])

    assert label("right apical zone", "right lung") == PART
    assert label("right lung", "right apical zone") == HAS_PART
    assert label("carina", "mediastinum") == PART
    assert label("left hilar structures", "right hilar structures") == MIRROR
    assert label("left clavicle", "left lung") == label("right atrium", "right lung") == 0
    assert label("left apical zone", "right lung") == label("abdomen", "spine") == 0
    assert label("spine", "spine") == SELF
    assert torch.equal(labels == PART, (labels == HAS_PART).T)


def test_relation_attention_equals_a_loop():
    torch.manual_seed(0)
    width, heads, nodes = 8, 2, 4
    layer = RelationAttention(width, heads, 3).double()
    torch.nn.init.normal_(layer.label_scores)
    torch.nn.init.normal_(layer.label_values)
    layer.requires_grad_(False)
    x = torch.randn(2, nodes, width, dtype=torch.float64)
    labels = torch.randint(0, 3, (2, nodes, nodes))
    labels[:, range(nodes), range(nodes)] = 1
    bias = torch.randn(2, nodes, nodes, heads, dtype=torch.float64)
    query, key, value = layer.query(x), layer.key(x), layer.value(x)
    expected = torch.zeros(2, nodes, width, dtype=torch.float64)
    for b in range(2):
        for i in range(nodes):
            for h in range(heads):
                part = slice(h * 4, h * 4 + 4)
                edges = [j for j in range(nodes) if labels[b, i, j] > 0]
                scores = [
                    float(query[b, i, part] @ key[b, j, part]) / math.sqrt(4)
                    + float(layer.label_scores[labels[b, i, j], h] + bias[b, i, j, h])
                    for j in edges
                ]
                weights = torch.tensor(scores, dtype=torch.float64).softmax(0)
                for weight, j in zip(weights, edges, strict=True):
                    sent = value[b, j, part] + layer.label_values[labels[b, i, j], part]
                    expected[b, i, part] += weight * sent
    expected = torch.relu(layer.out(expected))
    assert torch.allclose(layer(x, labels, bias), expected, atol=1e-10)


def test_relative_geometry_is_zero_for_two_equal_boxes_one_width_apart():
    pair = torch.tensor([[[0.1, 0.1, 0.3, 0.3], [0.3, 0.3, 0.5, 0.5]]])
    assert torch.allclose(relative_geometry(pair)[0, 0, 1], torch.zeros(4), atol=1e-6)
