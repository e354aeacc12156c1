"""Row: the texts of one image share its encoder pass and its cross-attention keys and values."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import torch

from benchmarks import flops, inputs
from benchmarks.memory import memory_check
from benchmarks.peers import gradient_distance
from benchmarks.row import Job, Row, alternate, at_most, logger
from lapse.config import CaptionerConfig, DecoderConfig, EncoderConfig
from lapse.data.loading.batch import Batch
from lapse.models.pretraining.captioner import Captioner

# 1,024 tokens per image as in the paper; a sixth of its widths, and the same ratio of encoder
# layers to decoder layers.
SIZES = CaptionerConfig(
    encoder=EncoderConfig(width=192, layers=2, heads=4, mlp_width=768, channels=1),
    adapter_width=192,
    decoder=DecoderConfig(width=192, layers=1, heads=4, mlp_width=768, max_tokens=96),
)
VOCABULARY = 800
TARGETS = {4: 2.6, 10: 5.0}  # sequences -> ratio of times
TOLERANCE = 1e-5


def text_lengths(num_sequences: int) -> list[int]:
    """One caption, and region texts."""
    return [inputs.CAPTION] + [inputs.REGION] * (num_sequences - 1)


def separate_images(batch: Batch) -> Batch:
    """The same texts, each with a copy of its image."""
    rows = torch.arange(len(batch))
    return replace(batch, images=batch.images[batch.image_index[:, 0]], image_index=rows[:, None])


def build(num_sequences: int) -> tuple[Captioner, Batch]:
    """The model and a batch of one image."""
    torch.manual_seed(0)
    tokenizer = inputs.small_tokenizer(VOCABULARY)
    batch = inputs.captions(448, 1, text_lengths(num_sequences), tokenizer.kept or ())
    return Captioner(SIZES, tokenizer), batch


def job(system: str, num_sequences: int) -> Job:
    """Loss and gradients of the texts of one image; "peer" encodes the image for each text."""
    model, batch = build(num_sequences)
    return partial(_backward, model, batch if system == "ours" else separate_images(batch))


def _backward(model: Captioner, batch: Batch) -> float:
    model.zero_grad(set_to_none=True)
    loss = model.loss(batch)["loss"]
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def run() -> Row:
    """Time for 4 and 10 sequences, equality and memory."""
    checks, limits = [], []
    for num_sequences, target in TARGETS.items():
        model, batch = build(num_sequences)
        peer = copy.deepcopy(model)
        losses = (_backward(model, batch), _backward(peer, separate_images(batch)))
        distance = max(abs(losses[0] - losses[1]), gradient_distance(model, peer))
        logger.info("encode_once: measuring %d sequences", num_sequences)
        ratios = alternate(
            partial(_backward, model, batch), partial(_backward, model, separate_images(batch))
        )
        checks.append(ratios.check(f"time, {num_sequences} sequences", target))
        checks.append(at_most(f"difference, {num_sequences} sequences", distance, TOLERANCE))
        limits.append(f"{_flop_ratio(num_sequences):.2f}x for {num_sequences} sequences")
    checks.append(memory_check(__name__, 0.5, ", 4 sequences", num_sequences=4))
    return Row(
        "encode_once",
        "one encoder pass per image",
        "one pass per sequence",
        tuple(checks),
        f"by operations {', '.join(limits)}",
    )


def _flop_ratio(num_sequences: int) -> float:
    texts = [text_lengths(num_sequences)]
    targets = sum(texts[0]) - inputs.PREFIX * num_sequences
    shared, separate = (
        flops.pretraining_step(SIZES, texts, targets, vocabulary=VOCABULARY, shares_image=shares)
        for shares in (True, False)
    )
    return separate / shared
