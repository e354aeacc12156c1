"""OFA's position biases, against loops."""

import torch

from lapse.models.layers.position_bias import (
    AbsoluteBias,
    RelativeBias,
    image_distances,
    text_distances,
)


@torch.no_grad()
def test_the_absolute_bias_equals_a_loop():
    torch.manual_seed(0)
    bias, positions = AbsoluteBias(8, 2), torch.randn(2, 3, 8)
    result = bias(positions[:, :2], positions)
    assert result.shape == (2, 2, 2, 3)
    for row in range(2):
        for i in range(2):
            for j in range(3):
                query, key = bias.query(positions[row, i]), bias.key(positions[row, j])
                for head in range(2):
                    part = slice(4 * head, 4 * head + 4)
                    expected = query[part] @ key[part] / (2 * 4) ** 0.5
                    torch.testing.assert_close(result[row, head, i, j], expected)


def test_distances_of_text():
    made = text_distances(5, 3, torch.device("cpu"))[0]
    assert made.tolist() == [[max(-3, min(3, j - i)) + 3 for j in range(5)] for i in range(5)]


def test_distances_of_an_image_are_unique_per_offset():
    places = torch.tensor([[0, 1, 4, 7, 8]])  # of a table of 3 x 3
    made = image_distances(places, 3)[0].tolist()
    offsets = {}
    for i, one in enumerate(places[0].tolist()):
        for j, two in enumerate(places[0].tolist()):
            offset = (two // 3 - one // 3, two % 3 - one % 3)
            assert offsets.setdefault(offset, made[i][j]) == made[i][j]
    assert len(set(offsets.values())) == len(offsets)
    assert 0 <= min(offsets.values()) <= max(offsets.values()) < 25


def test_the_relative_bias_starts_at_zero_and_reads_its_table():
    bias = RelativeBias(7, 2)
    distances = text_distances(3, 3, torch.device("cpu"))
    assert not bias(distances).any()
    with torch.no_grad():
        bias.table.copy_(torch.arange(14.0).view(7, 2))
    assert bias(distances)[0, 1].tolist() == [[7.0, 9.0, 11.0], [5.0, 7.0, 9.0], [3.0, 5.0, 7.0]]
