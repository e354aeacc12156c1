"""Labels and geometry of EKAID's nodes, against plain loops over the published definitions."""

import math

import pytest
import torch

from lapse.models.layers.ekaid_labels import (
    geometry_embedding,
    semantic_labels,
    spatial_labels,
)
from lapse.models.layers.finding_classes import VINDR
from lapse.models.vqa.ekaid_published import NAMES

CLASSES = tuple(VINDR)


def boxes(count=40, seed=1):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator).sort(dim=1).values
    made = corners.flatten(1)
    made[3] = made[2]  # equal boxes
    made[5] = 0.0  # a region that was not found
    made[7] = torch.tensor([0.3, 0.3, 0.4, 0.4])  # inside the next
    made[8] = torch.tensor([0.2, 0.2, 0.6, 0.6])
    return made[None]


def plain_spatial(one, two, is_same):
    """The label of box `one` against box `two`."""
    if is_same:
        return 3
    (a, b, c, d), (e, f, g, h) = one, two
    if a < e and b < f and c > g and d > h:
        return 1
    if e < a and f < b and g > c and h > d:
        return 2
    width, height = max(0.0, min(c, g) - max(a, e)), max(0.0, min(d, h) - max(b, f))
    shared = width * height
    union = (c - a) * (d - b) + (g - e) * (h - f) - shared
    if shared >= 0.5 * union:
        return 3
    right, down = (e + g - a - c) / 2, (f + h - b - d) / 2
    if math.hypot(right, down) >= 2 / 3:
        return 0
    degrees = math.degrees(math.atan2(down, right)) % 360
    return 3 + max(1, math.ceil(degrees / 45))


def test_spatial_labels_equal_a_loop():
    made = boxes()
    labels = spatial_labels(made)[0]
    rows = made[0].double().tolist()
    expected = [
        [plain_spatial(one, two, i == j) for j, two in enumerate(rows)]
        for i, one in enumerate(rows)
    ]
    assert labels.tolist() == expected
    assert set(labels.flatten().tolist()) == set(range(12))
    assert (labels[7, 8], labels[8, 7], labels[2, 3]) == (2, 1, 3)


def test_opposite_sectors_are_inverse():
    labels = spatial_labels(boxes())[0]
    inverse = {0: 0, 1: 2, 2: 1, 3: 3, 4: 8, 5: 9, 6: 10, 7: 11, 8: 4, 9: 5, 10: 6, 11: 7}
    assert all(inverse[int(labels[i, j])] == int(labels[j, i]) for i in range(40) for j in range(i))


def plain_semantic(finding, counts):
    groups = {
        "pleural": ["costophrenic", "hemidiaphragm", "effusion", "thickening", "pneumothorax"],
        "bone": ["clavicle", "calcification", "fracture"],
        "heart": ["aortic arch", "svc", "cardiac", "cavoatrial", "right atrium", "aortic enl",
                  "cardiomegaly", "enlarged pa"],
        "mediastinum": ["upper mediastinum", "mediastinal shift"],
    }  # fmt: skip
    named = ["atelectasis", "cardiomegaly", "consolidation", "edema", "lung opacity",
             "pneumothorax", "pleural effusion"]  # fmt: skip

    def group(name):
        matches = [key for key, parts in groups.items() if any(part in name for part in parts)]
        return matches[0] if matches else "lung"

    size = len(NAMES)
    labels = [[0] * (2 * size) for _ in range(2 * size)]
    for i in range(size):
        for j in range(size):
            if finding[j] < len(CLASSES) and group(NAMES[i]) == group(CLASSES[finding[j]]):
                labels[i][size + j] = labels[size + j][i] = 1
            if max(finding[i], finding[j]) == len(CLASSES):
                continue
            one, two = finding[i], finding[j]
            single = counts[one][one]
            is_often = single > 0 and counts[one][two] / single > 0.18
            if CLASSES[one] in named and CLASSES[two] in named and is_often:
                labels[size + i][size + j] = 2
    return labels


def test_semantic_labels_equal_a_loop():
    generator = torch.Generator().manual_seed(0)
    finding = torch.randint(0, 23, (1, 26), generator=generator)
    images = (torch.rand(60, 22, generator=generator) < 0.15).float()
    images[:, 1] = 0  # a finding without an image
    counts = images.t() @ images
    labels = semantic_labels(NAMES, CLASSES, finding, counts)[0]
    assert labels.tolist() == plain_semantic(finding[0].tolist(), counts.tolist())
    assert set(labels.flatten().tolist()) == {0, 1, 2}


def test_geometry_equals_its_formula():
    made = boxes()[:, :9]
    embedded = geometry_embedding(made)[0]
    assert embedded.shape == (9, 9, 64)
    rows = (made[0] * 1024).double().tolist()
    for i, one in enumerate(rows):
        for j, two in enumerate(rows):
            w_i, h_i, w_j, h_j = (
                box[high] - box[high - 2] + 1 for box in (one, two) for high in (2, 3)
            )
            right = abs((one[0] + one[2] - two[0] - two[2]) / 2) / w_i
            down = abs((one[1] + one[3] - two[1] - two[3]) / 2) / h_i
            values = [max(right, 1e-3), max(down, 1e-3), w_i / w_j, h_i / h_j]
            angles = [
                [100 * math.log(value) / 1000 ** (k / 8) for k in range(8)] for value in values
            ]
            expected = [
                wave(angle) for part in angles for wave in (math.sin, math.cos) for angle in part
            ]
            assert embedded[i, j].tolist() == pytest.approx(expected, abs=1e-3)
