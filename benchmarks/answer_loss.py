"""Row: logits only where there is a loss, against logits at every position."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks import flops, inputs
from benchmarks.memory import memory_check
from benchmarks.row import Job, Row, alternate, at_most, logger
from lapse.core.tokenizer import SIZE
from lapse.models.layers.token_losses import token_losses

WIDTH, VISUAL, TEXT = 256, 1024, 56
LENGTH = VISUAL + TEXT
SMOOTHING = 0.11
TOLERANCE = 1e-6

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def build() -> Tensors:
    """Hidden states of one pair, the full token table, and the target tokens (-100: no loss)."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(LENGTH, WIDTH, generator=generator).requires_grad_()
    table = (0.02 * torch.randn(SIZE, WIDTH, generator=generator)).requires_grad_()
    targets = torch.full((LENGTH,), -100)
    targets[-inputs.ANSWER :] = torch.randint(0, SIZE, (inputs.ANSWER,), generator=generator)
    return hidden, table, targets


def job(system: str) -> Job:
    """Loss and gradients of one pair after the language model."""
    tensors = build()
    return lambda: measure(system, tensors)


def measure(system: str, tensors: Tensors) -> tuple[float, torch.Tensor, torch.Tensor]:
    """The loss and both gradients, of "ours" or of "peer"."""
    hidden, table, targets = tensors
    hidden.grad = table.grad = None
    if system == "ours":
        rows = (targets >= 0).nonzero()[:, 0]
        losses = token_losses(hidden[rows], table, targets[rows], rows, SMOOTHING)
        loss = losses.smoothed.mean()
    else:
        logits = F.linear(hidden, table).float()
        loss = F.cross_entropy(logits, targets, ignore_index=-100, label_smoothing=SMOOTHING)
    loss.backward()  # type: ignore[no-untyped-call]
    assert hidden.grad is not None and table.grad is not None
    return float(loss.detach()), hidden.grad, table.grad


def run() -> Row:
    """Time, equality and memory."""
    tensors = build()
    our_loss, *our_gradients = measure("ours", tensors)
    peer_loss, *peer_gradients = measure("peer", tensors)
    distance = max(
        abs(our_loss - peer_loss) / peer_loss,
        *(
            float((ours - peer).norm() / peer.norm())
            for ours, peer in zip(our_gradients, peer_gradients, strict=True)
        ),
    )
    del our_gradients, peer_gradients
    logger.info("answer_loss: measuring")
    ratios = alternate(lambda: measure("ours", tensors), lambda: measure("peer", tensors))
    least_flops = 3 * flops.logits(inputs.ANSWER, WIDTH)
    least_bytes = SIZE * WIDTH * 4  # the gradient of the table exists in both cases
    return Row(
        "answer_loss",
        f"logits at {inputs.ANSWER} answer positions",
        f"logits at all {LENGTH} positions",
        (
            ratios.check("time", 5.0),
            at_most("relative difference of loss and gradients", distance, TOLERANCE),
            memory_check(__name__, 0.25),
        ),
        f"{least_flops / 1e9:.1f} GFLOP (the peer {LENGTH / inputs.ANSWER:.0f}x as many); "
        f"{least_bytes / 1e6:.0f} MB for the gradient of the token table",
    )
