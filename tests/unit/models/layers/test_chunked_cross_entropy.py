"""Losses of targets in chunks: equal to the plain cross-entropy, gradients included."""

import pytest
import torch
import torch.nn.functional as F

from lapse.models.layers import chunked_cross_entropy as token_loss
from lapse.models.layers.chunked_cross_entropy import token_losses


def plain(hidden, table, wanted, smoothing):
    return F.cross_entropy(
        F.linear(hidden, table), wanted, label_smoothing=smoothing, reduction="none"
    )


def material(targets=50, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(targets, 6, generator=generator, dtype=dtype).requires_grad_()
    table = torch.randn(11, 6, generator=generator, dtype=dtype).requires_grad_()
    return hidden, table, torch.randint(0, 11, (targets,), generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.11])
@pytest.mark.parametrize("chunk", [7, 10, 100])
def test_chunks_change_neither_losses_nor_gradients(monkeypatch, smoothing, chunk):
    monkeypatch.setattr(token_loss, "CHUNK", chunk)
    hidden, table, wanted = material()
    found = token_losses(hidden, table, wanted, smoothing=smoothing)
    weights = torch.linspace(0.5, 2.0, 50)
    (found.smoothed * weights).sum().backward()
    got = hidden.grad, table.grad
    hidden.grad = table.grad = None
    expected = plain(hidden, table, wanted, smoothing)
    (expected * weights).sum().backward()
    assert torch.allclose(found.smoothed.double(), expected, atol=1e-5)
    assert torch.allclose(found.plain.double(), plain(hidden, table, wanted, 0.0), atol=1e-5)
    assert not found.plain.requires_grad
    assert torch.allclose(got[0], hidden.grad, atol=1e-5)
    assert torch.allclose(got[1], table.grad, atol=1e-5)


def test_under_bf16_the_table_s_gradient_is_summed_in_fp32(monkeypatch):
    monkeypatch.setattr(token_loss, "CHUNK", 8)
    hidden, table, wanted = material(4096, torch.float32)
    token_losses(hidden, table, wanted).smoothed.sum().backward()
    exact, table.grad = table.grad.clone(), None
    with torch.autocast("cpu", torch.bfloat16):
        found = token_losses(hidden, table, wanted)
    found.smoothed.sum().backward()
    assert found.smoothed.dtype == torch.float32 and table.grad.dtype == torch.float32
    assert float((table.grad - exact).norm() / exact.norm()) < 0.01
