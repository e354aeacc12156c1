"""The sigmoid loss in tiles equals the full matrix, gradients included."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from lapse.models.layers import sigmoid_loss
from lapse.models.layers.sigmoid_loss import SigmoidLoss

KEYS = torch.tensor([5, 6, 5, 8, 5, 6, 9])


def vectors(count=7, width=6):
    generator = torch.Generator().manual_seed(count)
    images, texts = torch.randn(2, count, width, generator=generator).unbind(0)
    return images.requires_grad_(), texts.requires_grad_()


def naive(images, texts, log_temperature, bias, keys=None):
    """SigLIP's algorithm 1 on the full matrix."""
    x, y = F.normalize(images, dim=-1), F.normalize(texts, dim=-1)
    logits = x @ y.t() * log_temperature.exp() + bias
    labels = 2 * torch.eye(len(images)) - 1
    losses = -F.logsigmoid(labels * logits)
    if keys is not None:
        same = (keys[:, None] == keys[None, :]) & ~torch.eye(len(keys), dtype=torch.bool)
        losses = losses * (~same)
    return losses.sum() / len(images)


def loss_and_gradients(loss, *inputs):
    return [loss, *torch.autograd.grad(loss, inputs)]


@pytest.mark.parametrize("tile", [2, 3, 1024])
@pytest.mark.parametrize("ignores_identical", [False, True])
def test_loss_and_gradients_equal_the_full_matrix(tile, ignores_identical, monkeypatch):
    monkeypatch.setattr(sigmoid_loss, "TILE", tile)
    images, texts = vectors()
    loss_module = SigmoidLoss(10.0, -3.0, ignores_identical=ignores_identical)
    inputs = (images, texts, loss_module.log_temperature, loss_module.bias)
    loss = loss_module(F.normalize(images, dim=-1), F.normalize(texts, dim=-1), KEYS)
    expected = naive(*inputs, KEYS if ignores_identical else None)
    tiled, plain = loss_and_gradients(3 * loss, *inputs), loss_and_gradients(3 * expected, *inputs)
    for value, expected in zip(tiled, plain, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)


def test_identical_texts_are_negatives_only_if_not_ignored():
    x = F.normalize(torch.eye(3)[[0, 0]], dim=-1).requires_grad_()
    y = torch.eye(3)[[0, 0]]
    same = torch.tensor([4, 4])

    def pushed_apart(ignores_identical):
        loss = SigmoidLoss(10.0, 0.0, ignores_identical=ignores_identical)(x, y, same)
        (gradient,) = torch.autograd.grad(loss, x)
        return bool((gradient[:, 0] > 0).any())  # descent would leave the shared text

    assert not pushed_apart(True)
    assert pushed_apart(False)


class Largest(TorchDispatchMode):
    """Records the size of the largest tensor that is created."""

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
        loss_module = SigmoidLoss(10.0, -10.0, ignores_identical=True)
        with Largest() as largest:
            loss = loss_module(images, texts, torch.arange(count))
            loss.backward()
        sizes.append(largest.numbers)
    assert sizes == [512, 1024]  # the vectors themselves
    images, texts = vectors(256, 4)
    with Largest() as largest:
        naive(images, texts, torch.tensor(1.0), torch.tensor(0.0)).backward()
    assert largest.numbers == 256 * 256  # what the tiles avoid


def test_evaluation_gives_the_same_loss_without_gradients():
    images, texts = vectors()
    loss_module = SigmoidLoss(10.0, -3.0, ignores_identical=False)
    with torch.no_grad():
        evaluated = loss_module.eval()(images, texts, KEYS)
    assert not evaluated.requires_grad
    assert evaluated == loss_module.train()(images, texts, KEYS)
