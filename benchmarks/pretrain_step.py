"""Row: a step of stage 1, against transformers' VisionEncoderDecoderModel with equal weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import flops, inputs
from benchmarks.memory import memory_check
from benchmarks.peers import encoder_decoder, step
from benchmarks.row import Row, alternate, at_most, logger
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
LENGTHS = (inputs.CAPTION, inputs.REGION, inputs.REGION, inputs.REGION)
OPTIM = OptimConfig(learning_rate=1e-4, warmup_steps=0)
TOLERANCE = 1e-5


def peer_loss(peer: Any, batch: Batch, rows: Tensor) -> Tensor:
    """The loss of transformers' model: one image per row, logits at every position."""
    pixels = normalise(batch.images, 1)[batch.image_index[:, 0]]
    logits = peer(pixel_values=pixels, decoder_input_ids=rows[:, :-1], use_cache=False).logits
    targets = torch.where(batch.loss_mask, rows, -100)[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


def job(system: str) -> Callable[[], float]:
    """One step on two images with a caption and three region texts each."""
    torch.manual_seed(0)
    tokenizer = inputs.small_tokenizer(VOCABULARY)
    batch = inputs.captions(224, IMAGES, LENGTHS, tokenizer.kept or ())
    model = Captioner(SIZES, tokenizer)
    if system == "ours":
        optimizer = build_optimizer(model, OPTIM)
        return lambda: step(optimizer, model.loss(batch)["loss"])
    peer = encoder_decoder(model)
    rows = model.decoder.tokens.rows(batch.tokens)
    peer_optimizer = build_optimizer(peer, OPTIM)
    return lambda: step(peer_optimizer, peer_loss(peer, batch, rows))


def run() -> Row:
    """Time of a step, the losses of three steps, and memory."""
    ours, peer = job("ours"), job("peer")
    distance = max(abs(ours() - peer()) for _ in range(3))
    logger.info("pretrain_step: measuring")
    ratios = alternate(ours, peer)
    our_flops = flops.pretraining_step(
        SIZES,
        [LENGTHS] * IMAGES,
        IMAGES * (sum(LENGTHS) - inputs.PREFIX * len(LENGTHS)),
        vocabulary=VOCABULARY,
    )
    peer_flops = flops.pretraining_step(
        SIZES,
        [[max(LENGTHS)] * len(LENGTHS)] * IMAGES,
        IMAGES * len(LENGTHS) * max(LENGTHS),
        vocabulary=VOCABULARY,
        shares_image=False,
    )
    return Row(
        "pretrain_step",
        "captioner, 2 images x (caption + 3 regions)",
        "transformers VisionEncoderDecoderModel, same weights and vocabulary",
        (
            ratios.check("time of a step", 2.1),
            at_most("difference of the loss, 3 steps", distance, TOLERANCE),
            memory_check(__name__, 0.5),
        ),
        f"{our_flops / 1e9:.0f} GFLOP per step, of the peer {peer_flops / 1e9:.0f} GFLOP "
        f"({peer_flops / our_flops:.2f}x)",
    )
