"""The precision of a run whose configuration says "auto": bf16 on a GPU, measured on a CPU.

bf16 is several times faster than fp32 on a CPU with matrix units for it, and 11 to 50 times slower
on others. One block of the run's encoder is timed in both, forward and backward, for about a
second. The choice is kept in run.json: a resumed run uses it, whatever the processor is.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from lapse.config import EncoderConfig, RunConfig
from lapse.models.backbones.encoder_model import build_encoder
from lapse.training.distributed import DistributedContext, autocast
from lapse.training.run_folder import read_facts

logger = logging.getLogger(__name__)

SECONDS = 1.0  # of the measurement
MAX_ROUNDS = 20
GAIN = 0.8  # bf16 is chosen if it needs at most this fraction of the time of fp32
NUM_TOKENS = 1024  # visual tokens of one pass
KINDS = ("fp32", "bf16")


def resolve_precision(
    config: RunConfig, distributed: DistributedContext, folder: Path | None = None
) -> RunConfig:
    """The configuration with "fp32" or "bf16" in place of "auto".

    Args:
        config: of the run.
        distributed: every rank calls this; rank 0 measures for all.
        folder: the run folder of a run that is resumed, whose choice is kept; None for a new run.
    """
    if config.train.precision != "auto":
        return config
    if folder is not None:
        stored = read_facts(folder, ("device",))
        # Earlier versions chose by the device and did not write it.
        precision = stored.get("precision") or _of_device(stored["device"])
    elif distributed.device.type != "cpu":
        precision = _of_device(distributed.device.type)
    else:
        is_half = distributed.rank == 0 and measure_precision(config) == "bf16"
        (num_half,) = distributed.sum([float(is_half)])
        precision = "bf16" if num_half else "fp32"
    settings = config.train.model_copy(update={"precision": precision})
    return config.model_copy(update={"train": settings})


def _of_device(device: str) -> str:
    return "fp32" if device == "cpu" else "bf16"


def measure_precision(config: RunConfig) -> str:
    """The faster precision of this CPU for the run: "bf16" or "fp32".

    A model without an encoder and a language model has no products to measure: "fp32".
    """
    if not config.model.keys() & {"encoder", "language_model"}:
        return "fp32"
    with torch.random.fork_rng(devices=[]):
        module, inputs = _workload(config)
        seconds = dict.fromkeys(KINDS, float("inf"))
        start = time.perf_counter()
        for turn in range(MAX_ROUNDS):
            for kind in KINDS:
                elapsed = _seconds(module, inputs, kind)
                seconds[kind] = elapsed if turn == 0 else min(seconds[kind], elapsed)
            if turn and time.perf_counter() - start > SECONDS:
                break
    chosen = "bf16" if seconds["bf16"] <= GAIN * seconds["fp32"] else "fp32"
    logger.info(
        "precision: %s (measured on this CPU, one block: fp32 %.1f ms, bf16 %.1f ms; "
        "train.precision sets it)",
        chosen,
        1e3 * seconds["fp32"],
        1e3 * seconds["bf16"],
    )
    return chosen


def _workload(config: RunConfig) -> tuple[nn.Module, Tensor]:
    """One block of the encoder and images for it; an MLP where the model has another encoder."""
    sizes = config.model.get("encoder") or {}
    is_other = sizes.keys() != EncoderConfig.model_fields.keys() or sizes["hf_config"] is not None
    if is_other:
        width = int({**config.model.get("language_model", {}), **sizes}.get("width", 256))
        mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        return mlp, torch.randn(NUM_TOKENS, width)
    encoder = EncoderConfig.model_validate({**sizes, "layers": 1})
    num_images = max(1, NUM_TOKENS // encoder.num_tokens)
    size = encoder.image_size
    pixels = torch.rand(num_images, encoder.channels, size, size).mul(2.0).sub(1.0)
    return build_encoder(encoder), pixels


def _seconds(module: nn.Module, inputs: Tensor, precision: str) -> float:
    """Seconds of one forward and backward pass."""
    start = time.perf_counter()
    with autocast(inputs.device, precision):
        outputs = module(inputs)
    outputs.float().mean().backward()
    module.zero_grad(set_to_none=True)
    return time.perf_counter() - start
