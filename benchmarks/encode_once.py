"""Row: the texts of one image share its encoder pass and its cross-attention keys and values."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from benchmarks import material, operations
from benchmarks.memory import peak_bytes
from benchmarks.peers import gradient_distance
from benchmarks.row import Check, Job, Row, alternate
from lapse.config import CaptionerConfig, DecoderConfig, EncoderConfig
from lapse.data.loading.batch import Batch
from lapse.models.pretraining.captioner import Captioner

# 1,024 tokens an image as in the paper; widths a sixth of it, and as many encoder
# layers for each of the decoder as there.
SIZES = CaptionerConfig(
    encoder=EncoderConfig(width=192, layers=2, heads=4, mlp_width=768, channels=1),
    adapter_width=192,
    decoder=DecoderConfig(width=192, layers=1, heads=4, mlp_width=768, max_tokens=96),
)
VOCABULARY = 800
TARGETS = {4: 2.6, 10: 5.0}
TOLERANCE = 1e-5


def lengths(sequences: int) -> list[int]:
    """One caption and the rest region texts."""
    return [material.CAPTION] + [material.REGION] * (sequences - 1)


def apart(batch: Batch) -> Batch:
    """The same texts, each with an image of its own."""
    rows = torch.arange(len(batch))
    return replace(batch, images=batch.images[batch.image_index[:, 0]], image_index=rows[:, None])


def build(sequences: int) -> tuple[Captioner, Batch]:
    """The model and a batch of one image."""
    torch.manual_seed(0)
    tokenizer = material.small_tokenizer(VOCABULARY)
    batch = material.captions(448, 1, lengths(sequences), tokenizer.kept or ())
    return Captioner(SIZES, tokenizer), batch


def job(who: str, sequences: int) -> Job:
    """Loss and gradients of one image's texts; "peer" encodes the image for each text."""
    model, batch = build(sequences)
    given = batch if who == "ours" else apart(batch)
    return lambda: _backward(model, given)


def _backward(model: Captioner, batch: Batch) -> float:
    model.zero_grad(set_to_none=True)
    loss = model.loss(batch)["loss"]
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def run(say: Callable[[str], None]) -> Row:
    """Time at 4 and 10 sequences, equality and memory."""
    checks, floors = [], []
    for sequences, target in TARGETS.items():
        model, batch = build(sequences)
        twin = copy.deepcopy(model)
        losses = (_backward(model, batch), _backward(twin, apart(batch)))
        distance = max(abs(losses[0] - losses[1]), gradient_distance(model, twin))
        say(f"encode_once: {sequences} sequences, alternating")
        ratios = alternate(
            partial(_backward, model, batch), partial(_backward, model, apart(batch))
        )
        checks.append(ratios.check(f"time, {sequences} sequences", target))
        checks.append(
            Check(f"difference, {sequences} sequences", distance, TOLERANCE, is_at_least=False)
        )
        floors.append(f"{sequences} sequences {_limit(sequences):.2f}x")
    memory = [peak_bytes(__name__, who=who, sequences=4) for who in ("ours", "peer")]
    detail = f"{memory[0] / 1e6:.0f} MB against {memory[1] / 1e6:.0f} MB, 4 sequences"
    checks.append(
        Check(
            "memory, ours over peer", memory[0] / memory[1], 0.5, is_at_least=False, detail=detail
        )
    )
    return Row(
        "encode_once",
        "one encoder pass an image",
        "one pass a sequence",
        tuple(checks),
        "by operations no more than " + ", ".join(floors),
    )


def _limit(sequences: int) -> float:
    texts = [lengths(sequences)]
    targets = sum(texts[0]) - material.PREFIX * sequences
    both = [
        operations.pretraining_step(
            SIZES, texts, targets, vocabulary=VOCABULARY, shares_image=shares
        )
        for shares in (True, False)
    ]
    return both[1] / both[0]
