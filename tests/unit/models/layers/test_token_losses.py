"""Token losses equal plain cross-entropy, in chunks too, gradients included."""

import pytest
import torch
import torch.nn.functional as F

from lapse.core.types import Sample
from lapse.models.layers import token_losses as module
from lapse.models.layers.token_losses import token_losses

ROW = torch.arange(4096) % 3


def plain(hidden, table, targets, smoothing):
    return F.cross_entropy(
        F.linear(hidden, table), targets, label_smoothing=smoothing, reduction="none"
    )


def material(targets=50, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(targets, 6, generator=generator, dtype=dtype).requires_grad_()
    table = torch.randn(11, 6, generator=generator, dtype=dtype).requires_grad_()
    return hidden, table, torch.randint(0, 11, (targets,), generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.11])
@pytest.mark.parametrize("chunk", [7, 10, 100])
def test_chunks_change_neither_losses_nor_gradients(monkeypatch, smoothing, chunk):
    monkeypatch.setattr(module, "CHUNK", chunk)
    hidden, table, targets = material()
    losses = token_losses(hidden, table, targets, ROW[:50], smoothing)
    weights = torch.linspace(0.5, 2.0, 50)
    (losses.smoothed * weights).sum().backward()
    got = hidden.grad, table.grad
    hidden.grad = table.grad = None
    expected = plain(hidden, table, targets, smoothing)
    (expected * weights).sum().backward()
    assert torch.allclose(losses.smoothed.double(), expected, atol=1e-5)
    assert torch.allclose(losses.plain.double(), plain(hidden, table, targets, 0.0), atol=1e-5)
    assert not losses.plain.requires_grad
    assert torch.allclose(got[0], hidden.grad, atol=1e-5)
    assert torch.allclose(got[1], table.grad, atol=1e-5)


def test_under_bf16_the_table_s_gradient_is_summed_in_fp32(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 8)
    hidden, table, targets = material(4096, torch.float32)
    token_losses(hidden, table, targets, ROW).smoothed.sum().backward()
    exact, table.grad = table.grad.clone(), None
    with torch.autocast("cpu", torch.bfloat16):
        losses = token_losses(hidden, table, targets, ROW)
    losses.smoothed.sum().backward()
    assert losses.smoothed.dtype == torch.float32 and table.grad.dtype == torch.float32
    assert float((table.grad - exact).norm() / exact.norm()) < 0.01


@pytest.mark.parametrize("chunk", [2, 100])
def test_means_by_task_and_sums_by_row_against_a_plain_computation(monkeypatch, chunk):
    monkeypatch.setattr(module, "CHUNK", chunk)
    hidden, table, targets = material(5)
    row = torch.tensor([0, 0, 1, 1, 2])
    losses = token_losses(hidden, table, targets, row, 0.1)
    samples = [Sample(str(n), task, ("a",), "p", "q", "", " a") for n, task in enumerate("aba")]
    values = losses.by_task(samples)
    logs = torch.log_softmax(hidden @ table.T, -1).tolist()
    each = [-logs[n][int(targets[n])] for n in range(5)]
    smooth = [-sum(logs[n]) / 11 for n in range(5)]
    mixed = [0.9 * one + 0.1 * two for one, two in zip(each, smooth, strict=True)]
    assert values["loss"].item() == pytest.approx(sum(mixed) / 5, rel=1e-5)
    assert values["nll"].item() == pytest.approx(sum(each) / 5, rel=1e-5)
    assert values["loss/a"].item() == pytest.approx((each[0] + each[1] + each[4]) / 3, rel=1e-5)
    assert values["loss/b"].item() == pytest.approx((each[2] + each[3]) / 2, rel=1e-5)
    expected = [-each[0] - each[1], -each[2] - each[3], -each[4], 0.0]
    assert losses.log_probability(4).tolist() == pytest.approx(expected, rel=1e-5)


def test_a_task_without_targets_has_no_loss():
    hidden, table, targets = material(2)
    samples = [Sample(task, task, ("a",), "p", "q", "", " a") for task in "ab"]
    losses = token_losses(hidden, table, targets, torch.tensor([0, 0]))
    assert set(losses.by_task(samples)) == {"loss", "nll", "loss/a"}
