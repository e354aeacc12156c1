"""The sigmoid loss in tiles is the full matrix, its gradients too, on one process and on ranks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from lapse.models.layers import sigmoid_loss
from lapse.models.layers.sigmoid_loss import SigmoidLoss

TESTS = Path(__file__).parents[3] / "support"
KEYS = torch.tensor([5, 6, 5, 8, 5, 6, 9])


def vectors(count=7, width=6):
    generator = torch.Generator().manual_seed(count)
    images, texts = torch.randn(2, count, width, generator=generator).unbind(0)
    return images.requires_grad_(), texts.requires_grad_()


def naive(images, texts, log_temperature, bias, keys=None):
    """SigLIP's algorithm 1 on the whole matrix."""
    x, y = F.normalize(images, dim=-1), F.normalize(texts, dim=-1)
    logits = x @ y.t() * log_temperature.exp() + bias
    labels = 2 * torch.eye(len(images)) - 1
    losses = -F.logsigmoid(labels * logits)
    if keys is not None:
        same = (keys[:, None] == keys[None, :]) & ~torch.eye(len(keys), dtype=torch.bool)
        losses = losses * (~same)
    return losses.sum() / len(images)


def found(loss, *inputs):
    return [loss, *torch.autograd.grad(loss, inputs)]


@pytest.mark.parametrize("tile", [2, 3, 1024])
@pytest.mark.parametrize("ignores", [False, True])
def test_loss_and_gradients_equal_the_full_matrix(tile, ignores, monkeypatch):
    monkeypatch.setattr(sigmoid_loss, "TILE", tile)
    images, texts = vectors()
    ours = SigmoidLoss(10.0, -3.0, ignores_identical=ignores)
    inputs = (images, texts, ours.log_temperature, ours.bias)
    loss = ours(F.normalize(images, dim=-1), F.normalize(texts, dim=-1), KEYS)
    expected = naive(*inputs, KEYS if ignores else None)
    for one, other in zip(found(3 * loss, *inputs), found(3 * expected, *inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_identical_texts_are_no_negatives_and_without_the_guard_they_are():
    x = F.normalize(torch.eye(3)[[0, 0]], dim=-1).requires_grad_()
    y = torch.eye(3)[[0, 0]]
    same = torch.tensor([4, 4])

    def pushed_apart(ignores):
        loss = SigmoidLoss(10.0, 0.0, ignores_identical=ignores)(x, y, same)
        (gradient,) = torch.autograd.grad(loss, x)
        return bool((gradient[:, 0] > 0).any())  # descent would leave the shared text

    assert not pushed_apart(True)
    assert pushed_apart(False)


class Largest(TorchDispatchMode):
    """The most numbers that any tensor made inside has."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


def test_no_tensor_grows_with_the_square_of_the_batch(monkeypatch):
    monkeypatch.setattr(sigmoid_loss, "TILE", 16)
    sizes = []
    for count in (128, 256):
        images, texts = vectors(count, 4)
        ours = SigmoidLoss(10.0, -10.0, ignores_identical=True)
        with Largest() as seen:
            loss = ours(images, texts, torch.arange(count))
            loss.backward()
        sizes.append(seen.numbers)
    assert sizes == [512, 1024]  # the vectors themselves
    images, texts = vectors(256, 4)
    with Largest() as seen:
        naive(images, texts, torch.tensor(1.0), torch.tensor(0.0)).backward()
    assert seen.numbers == 256 * 256  # what the tiles avoid


def test_evaluation_needs_no_gradient_and_says_the_same():
    images, texts = vectors()
    ours = SigmoidLoss(10.0, -3.0, ignores_identical=False)
    with torch.no_grad():
        quiet = ours.eval()(images, texts, KEYS)
    assert not quiet.requires_grad
    assert quiet == ours.train()(images, texts, KEYS)


def test_ranks_are_one_process_with_the_whole_batch(tmp_path):
    import lapse

    path = os.pathsep.join([str(Path(lapse.__file__).parents[1]), str(TESTS)])
    done = subprocess.run(
        [sys.executable, str(TESTS / "sigmoid_ranks.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    whole = result["one"]
    for name in ("two", "three", "two ignoring"):
        expected = result["one ignoring"] if "ignoring" in name else whole
        assert max(abs(a - b) for a, b in zip(result[name], expected, strict=True)) < 1e-6, name
    assert result["one ignoring"] != whole
    # The guard removed: ranks that only see their own texts are not the whole batch.
    alone = result["two alone"]
    assert max(abs(a - b) for a, b in zip(alone, whole, strict=True)) > 1e-3
    apart = [abs(a - b) for a, b in zip(*result["trained"], strict=True)]
    assert max(apart) < 1e-4 and sum(apart) / len(apart) < 1e-6  # three steps move 9e-4
