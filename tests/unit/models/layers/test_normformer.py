"""OFA's layers, against loops."""

import math

import torch
from torch import nn

from lapse.models.layers.normformer import BiasedAttention, NormedFeedForward, Residual


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


@torch.no_grad()
def test_attention_equals_a_loop():
    torch.manual_seed(0)
    attention = BiasedAttention(8, 2)
    nn.init.normal_(attention.gain)
    x, other, bias = torch.randn(2, 3, 8), torch.randn(2, 4, 8), torch.randn(2, 2, 3, 4)
    result = attention(x, attention.project(other), bias)
    for row in range(2):
        for i in range(3):
            parts = []
            for head in range(2):
                part = slice(4 * head, 4 * head + 4)
                query = attention.query(x[row, i])[part]
                keys = [attention.key(token)[part] for token in other[row]]
                scores = torch.stack([query @ key / 8**0.5 for key in keys]) + bias[row, head, i]
                values = [attention.value(token)[part] for token in other[row]]
                mixed = sum(w * v for w, v in zip(scores.softmax(0), values, strict=True))
                parts.append(attention.gain[head] * mixed)
            expected = attention.norm(attention.out(torch.cat(parts)))
            torch.testing.assert_close(result[row, i], expected)


@torch.no_grad()
def test_the_feed_forward_layer_has_a_norm_inside():
    torch.manual_seed(0)
    layer, x = NormedFeedForward(4, 6), torch.randn(3, 4)
    torch.testing.assert_close(layer(x), layer.down(layer.norm(gelu(layer.up(x)))))


def test_drop_path_leaves_out_whole_rows_and_keeps_the_mean():
    torch.manual_seed(0)
    layer, x, update = Residual(0.0, 0.25), torch.zeros(4000, 2, 3), torch.ones(4000, 2, 3)
    result = layer(x, update)
    rows = result.flatten(1)
    assert torch.equal(rows, rows[:, :1].expand(-1, 6))
    assert set(rows[:, 0].unique().tolist()) <= {0.0, float(1 / torch.tensor(0.75))}
    assert abs(float(rows.mean()) - 1) < 0.05
    assert torch.equal(layer.eval()(x, update), update)
