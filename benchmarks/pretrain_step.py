"""Row: a step of stage 1 against transformers' VisionEncoderDecoderModel with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import material, operations
from benchmarks.memory import peak_bytes
from benchmarks.peers import encoder_decoder, step
from benchmarks.row import Check, Job, Row, alternate
from lapse.config import CaptionerConfig, DecoderConfig, EncoderConfig, OptimConfig
from lapse.data.loading.batch import Batch, normalise
from lapse.models.pretraining.captioner import Captioner
from lapse.training.optim import build_optimizer

SIZES = CaptionerConfig(
    encoder=EncoderConfig(image_size=224, width=288, layers=7, heads=4, mlp_width=1076, channels=1),
    adapter_width=256,
    decoder=DecoderConfig(width=256, layers=3, heads=4, mlp_width=1024, max_tokens=96),
)
IMAGES, VOCABULARY = 2, 800
LENGTHS = (material.CAPTION, material.REGION, material.REGION, material.REGION)
OPTIM = OptimConfig(learning_rate=1e-4, warmup_steps=0)
TOLERANCE = 1e-5


def build() -> tuple[Captioner, Batch]:
    """The model, and two images with a caption and three region texts each."""
    torch.manual_seed(0)
    tokenizer = material.small_tokenizer(VOCABULARY)
    batch = material.captions(224, IMAGES, LENGTHS, tokenizer.kept or ())
    return Captioner(SIZES, tokenizer), batch


def peer_loss(peer: Any, batch: Batch, rows: Tensor) -> Tensor:
    """What transformers' model costs: one image a row, logits at every position."""
    pixels = normalise(batch.images, 1)[batch.image_index[:, 0]]
    logits = peer(pixel_values=pixels, decoder_input_ids=rows[:, :-1], use_cache=False).logits
    wanted = torch.where(batch.loss_mask, rows, -100)[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=-100)


def job(who: str) -> Job:
    """One step: forward, backward, fused AdamW."""
    model, batch = build()
    if who == "ours":
        optimizer = build_optimizer(model, OPTIM)
        return lambda: step(optimizer, model.loss(batch)["loss"])
    peer = encoder_decoder(model)
    rows = model.decoder.tokens.rows(batch.tokens)
    theirs = build_optimizer(peer, OPTIM)
    return lambda: step(theirs, peer_loss(peer, batch, rows))


def run(say: Callable[[str], None]) -> Row:
    """Time of a step, losses over three steps, memory."""
    ours, peer = job("ours"), job("peer")
    distance = max(abs(float(ours()) - float(peer())) for _ in range(3))  # type: ignore[arg-type]
    say("pretrain_step: alternating")
    ratios = alternate(ours, peer)
    memory = [peak_bytes(__name__, who=who) for who in ("ours", "peer")]
    detail = f"{memory[0] / 1e6:.0f} MB against {memory[1] / 1e6:.0f} MB"
    targets = IMAGES * (sum(LENGTHS) - material.PREFIX * len(LENGTHS))
    floor = operations.pretraining_step(SIZES, [LENGTHS] * IMAGES, targets, vocabulary=VOCABULARY)
    padded = IMAGES * len(LENGTHS) * max(LENGTHS)
    whole = operations.pretraining_step(
        SIZES,
        [[max(LENGTHS)] * len(LENGTHS)] * IMAGES,
        padded,
        vocabulary=VOCABULARY,
        shares_image=False,
    )
    return Row(
        "pretrain_step",
        "captioner, 2 images x (caption + 3 regions)",
        "transformers VisionEncoderDecoderModel, same weights and vocabulary",
        (
            ratios.check("time of a step", 2.1),
            Check("difference of the loss, 3 steps", distance, TOLERANCE, is_at_least=False),
            Check("memory, ours over peer", memory[0] / memory[1], 0.5, False, detail),
        ),
        f"{floor / 1e9:.0f} G operations a step, the peer's way {whole / 1e9:.0f} G "
        f"({whole / floor:.2f}x)",
    )
