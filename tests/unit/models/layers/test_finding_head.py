"""The finding head: its layers, its counts, and its classes."""

import pytest
import torch

from lapse.models.layers.finding_classes import CLASS_SETS, VINDR, class_numbers, organ_group
from lapse.models.layers.finding_head import FindingHead


@torch.no_grad()
def test_features_are_the_second_layer():
    torch.manual_seed(0)
    head, x = FindingHead(4, 6, 3), torch.randn(2, 5, 4)
    hidden = (x @ head.first.weight.t() + head.first.bias).clamp(min=0)
    hidden = (hidden @ head.second.weight.t() + head.second.bias).clamp(min=0)
    torch.testing.assert_close(head.features(x), hidden)
    torch.testing.assert_close(head(x), hidden @ head.out.weight.t() + head.out.bias)


def test_counts_are_of_images_with_both_findings():
    head = FindingHead(4, 6, 3)
    labels = torch.tensor([[1, 1, 0], [1, 0, 0]]).bool()
    head.count(labels)
    head.count(labels[1:])
    assert head.counts.tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_class_sets_have_no_empty_class_and_22_classes_of_vindr():
    assert len(VINDR) == 22
    assert all(names for classes in CLASS_SETS.values() for names in classes.values())
    assert class_numbers({"a": ("x",), "b": ("x", "y")}) == {"x": [0, 1], "y": [1]}


@pytest.mark.parametrize(
    ("name", "group"),
    [("left clavicle", "bone"), ("edema", "lung"), ("mediastinal shift", "mediastinum")],
)
def test_organ_groups(name, group):
    assert organ_group(name) == group
