"""Row: logits only where there is a loss, against logits at every position."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmarks import material, operations
from benchmarks.memory import peak_bytes
from benchmarks.row import Check, Job, Row, alternate
from lapse.core.tokenizer import SIZE
from lapse.models.layers.chunked_cross_entropy import token_losses

WIDTH, VISUAL, TEXT = 256, 1024, 56
LENGTH = VISUAL + TEXT
SMOOTHING = 0.11
TOLERANCE = 1e-6


def build() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hidden states of one pair, the full token table, and the wanted tokens (-100: none)."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(LENGTH, WIDTH, generator=generator).requires_grad_()
    table = (0.02 * torch.randn(SIZE, WIDTH, generator=generator)).requires_grad_()
    wanted = torch.full((LENGTH,), -100)
    wanted[-material.ANSWER :] = torch.randint(0, SIZE, (material.ANSWER,), generator=generator)
    return hidden, table, wanted


def job(who: str) -> Job:
    """Loss and gradients of one pair behind the language model."""
    hidden, table, wanted = build()
    return lambda: measure(who, hidden, table, wanted)


def measure(
    who: str, hidden: torch.Tensor, table: torch.Tensor, wanted: torch.Tensor
) -> tuple[float, torch.Tensor, torch.Tensor]:
    """The loss and both gradients."""
    hidden.grad = table.grad = None
    if who == "ours":
        rows = (wanted >= 0).nonzero()[:, 0]
        loss = token_losses(hidden[rows], table, wanted[rows], smoothing=SMOOTHING).smoothed.mean()
    else:
        logits = F.linear(hidden, table).float()
        loss = F.cross_entropy(logits, wanted, ignore_index=-100, label_smoothing=SMOOTHING)
    loss.backward()  # type: ignore[no-untyped-call]
    assert hidden.grad is not None and table.grad is not None
    return float(loss.detach()), hidden.grad, table.grad


def run(say: Callable[[str], None]) -> Row:
    """Time, equality and memory."""
    made = build()
    (one, *mine), (two, *theirs) = measure("ours", *made), measure("peer", *made)
    distance = max(
        abs(one - two) / two,
        *(float((a - b).norm() / b.norm()) for a, b in zip(mine, theirs, strict=True)),
    )
    del mine, theirs
    say("answer_loss: alternating")
    ratios = alternate(lambda: measure("ours", *made), lambda: measure("peer", *made))
    memory = [peak_bytes(__name__, who=who) for who in ("ours", "peer")]
    detail = f"{memory[0] / 1e6:.0f} MB against {memory[1] / 1e6:.0f} MB"
    floor = 3 * operations.logits(material.ANSWER, WIDTH)
    least = SIZE * WIDTH * 4  # the table's gradient exists either way
    return Row(
        "answer_loss",
        f"logits at {material.ANSWER} answer positions",
        f"logits at all {LENGTH} positions",
        (
            ratios.check("time", 5.0),
            Check(
                "relative difference of loss and gradients", distance, TOLERANCE, is_at_least=False
            ),
            Check("memory, ours over peer", memory[0] / memory[1], 0.25, False, detail),
        ),
        f"{floor / 1e9:.1f} G operations (the peer {LENGTH / material.ANSWER:.0f}x as many); "
        f"{least / 1e6:.0f} MB for the gradient of the token table",
    )
