"""RoIAlign against a slow reference with explicit loops, from the description in the paper."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lapse.models.layers.roi_align import roi_align

SIZE, WIDTH = 5, 3


def grid(images=2):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(images, SIZE * SIZE, WIDTH, generator=generator, dtype=torch.float64)


def value_at(plane, x, y):
    """Linear interpolation of plane[row][column] at a point, tokens at integer positions."""
    x, y = min(max(x, 0.0), SIZE - 1), min(max(y, 0.0), SIZE - 1)
    left, top = min(math.floor(x), SIZE - 2), min(math.floor(y), SIZE - 2)
    right, below = x - left, y - top
    return (
        plane[top][left] * (1 - right) * (1 - below)
        + plane[top][left + 1] * right * (1 - below)
        + plane[top + 1][left] * (1 - right) * below
        + plane[top + 1][left + 1] * right * below
    )


def slow(tokens, boxes, image_of, bins, samples):
    features = torch.zeros(len(boxes), bins * bins, WIDTH, dtype=torch.float64)
    for region, (x_min, y_min, x_max, y_max) in enumerate(boxes.tolist()):
        plane = tokens[image_of[region]].view(SIZE, SIZE, WIDTH)
        wide, high = (x_max - x_min) * SIZE / bins, (y_max - y_min) * SIZE / bins
        for row in range(bins):
            for column in range(bins):
                total = torch.zeros(WIDTH, dtype=torch.float64)
                for down in range(samples):
                    for across in range(samples):
                        x = x_min * SIZE + (column + (across + 0.5) / samples) * wide - 0.5
                        y = y_min * SIZE + (row + (down + 0.5) / samples) * high - 0.5
                        total += value_at(plane, x, y)
                features[region, row * bins + column] = total / samples**2
    return features


corner = st.tuples(st.floats(0.0, 0.8), st.floats(0.0, 0.8), st.floats(0.01, 1.0),
                   st.floats(0.01, 1.0))  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(corner, min_size=1, max_size=4), st.integers(1, 3), st.integers(1, 3))
def test_equal_to_the_slow_reference(corners, bins, samples):
    boxes = torch.tensor(
        [(x, y, min(1.0, x + w), min(1.0, y + h)) for x, y, w, h in corners], dtype=torch.float64
    )
    image_of = torch.arange(len(boxes)) % 2
    features = roi_align(grid(), boxes, image_of, bins=bins, samples=samples)
    torch.testing.assert_close(features, slow(grid(), boxes, image_of, bins, samples))


def test_the_box_of_one_patch_is_its_token():
    tokens = grid(1)
    box = torch.tensor([[2 / SIZE, 1 / SIZE, 3 / SIZE, 2 / SIZE]], dtype=torch.float64)
    features = roi_align(tokens, box, torch.tensor([0]), bins=1, samples=1)
    torch.testing.assert_close(features[0, 0], tokens[0, 1 * SIZE + 2])


def test_left_and_right_top_and_bottom_are_not_swapped():
    tokens = torch.zeros(1, SIZE * SIZE, 1)
    tokens[0, SIZE - 1] = 1.0  # the token at the top right
    corners = torch.tensor([[0.8, 0.0, 1.0, 0.2], [0.0, 0.8, 0.2, 1.0], [0.0, 0.0, 0.2, 0.2]])
    features = roi_align(tokens, corners, torch.zeros(3, dtype=torch.long), bins=1, samples=1)
    assert features[:, 0, 0].tolist() == pytest.approx([1.0, 0.0, 0.0])


def test_gradients_reach_the_tokens():
    tokens = grid(1).requires_grad_()
    box = torch.tensor([[0.1, 0.2, 0.7, 0.9]], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda t: roi_align(t, box, torch.tensor([0]), bins=2, samples=2), tokens
    )


def test_tokens_that_are_not_a_square_are_refused():
    with pytest.raises(ValueError, match="24 tokens are not a square grid"):
        roi_align(grid()[:, :24], torch.rand(1, 4), torch.tensor([0]), bins=1, samples=1)
