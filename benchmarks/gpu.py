"""`python -m benchmarks gpu`: the sizes of the paper on one GPU, for hundreds of steps.

    step = batch to the device, forward and backward under bf16 autocast, clipping, fused AdamW

MFU is the analytic count of operations (benchmarks.flops, without padding or recomputation) over
time and the dense bf16 peak of the card. A profile of three steps splits the device time by kind
of kernel. The hours of the paper's two stages follow from the rates: 5 epochs of 237,000 images
with four texts each, and 10 epochs of 131,459 pairs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from benchmarks import flops, inputs
from benchmarks.row import logger
from lapse.config import GenerationConfig, RunConfig, load_config
from lapse.core.tokenizer import SIZE, Tokenizer
from lapse.data.loading.batch import Batch
from lapse.models.interface import FeatureModel
from lapse.training.distributed import autocast
from lapse.training.optim import build_optimizer, clip_gradients
from lapse.training.run_folder import build_model

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}  # dense bf16, vendors
LENGTHS = (inputs.CAPTION, inputs.REGION, inputs.REGION, inputs.REGION)
SEQUENCES = 5 * 237_000 * 4
PAIRS = 10 * 131_459
WARMUP_STEPS, PROFILED_STEPS, BATCHES = 5, 3, 4
SECONDS_PER_HOUR = 3600
# A kernel is of the first kind that has a word of its name.
KINDS = (
    ("optimizer", ("adam", "multi_tensor", "foreach")),
    ("attention", ("flash", "fmha", "attention", "softmax")),
    ("matrix products", ("gemm", "cutlass", "nvjet", "mm", "conv", "xmma", "linear")),
    ("norms", ("norm",)),
    ("copies and casts", ("copy", "memcpy", "memset", "cat", "to_copy")),
    ("elementwise", ("elementwise", "gelu", "add", "mul", "index", "reduce")),
)

BatchFunction = Callable[[Batch], None]


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """What is measured.

    Attributes:
        steps: measured steps of each stage.
        device: "cuda"; "cpu" at small sizes tests this code.
        presets: of the two stages.
        images, pairs: images and pairs of a step.
        overrides: a.b=value for both presets, such as model.encoder.activation_checkpointing=true.
    """

    steps: int = 200
    device: str = "cuda"
    presets: tuple[str, str] = ("pretrain-lapse", "diffvqa-lapse")
    images: int = 32
    pairs: int = 16
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Work:
    """The unit of a measurement.

    Attributes:
        unit: name of a row of the batch.
        flops: analytic operations of a step.
        total: rows of the paper's stage; None if it is not a stage.
    """

    unit: str
    flops: float
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One measured stage.

    Attributes:
        name: name of the stage.
        steps: measured steps, without warm-up.
        step_seconds: median of a step.
        rate, unit: rows per second, and the name of a row.
        images: images per second.
        teraflops: analytic operations per second, in 10^12.
        mfu: fraction of the card's peak; None if the peak is unknown.
        gigabytes: peak memory of the device.
        hours: the paper's complete stage at this rate; None if it is not a stage.
        profile: fraction of the device time by kind of kernel.
    """

    name: str
    steps: int
    step_seconds: float
    rate: float
    unit: str
    images: float
    teraflops: float
    mfu: float | None
    gigabytes: float
    hours: float | None
    profile: dict[str, float]

    def lines(self) -> list[str]:
        """The stage as lines for a terminal."""
        mfu = "" if self.mfu is None else f", {self.mfu:.1%} of the peak"
        hours = "" if self.hours is None else f"; stage of the paper {self.hours:.1f} h"
        profile = ", ".join(f"{kind} {part:.0%}" for kind, part in self.profile.items())
        return [
            f"{self.name}: {self.rate:.1f} {self.unit}/s, {self.images:.1f} images/s, "
            f"{self.step_seconds * 1e3:.0f} ms per step (median of {self.steps}), "
            f"{self.teraflops:.1f} TFLOP/s{mfu}, {self.gigabytes:.1f} GB{hours}",
            f"  device time: {profile}",
        ]


def run_gpu(options: GpuOptions) -> list[Stage]:
    """Measure pretraining, fine-tuning (encoder in the loop, and cached) and answering.

    Raises:
        ValueError: there is no such device.
    """
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("the gpu benchmark needs a CUDA device and none is visible")
    stages = []
    for stage in _stages(device, options):
        for line in stage.lines():
            logger.info(line)
        stages.append(stage)
    return stages


def as_json(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """The stages as plain values."""
    return [asdict(stage) for stage in stages]


def _stages(device: torch.device, options: GpuOptions) -> Iterator[Stage]:
    pretraining, finetuning = (
        load_config(preset, list(options.overrides)) for preset in options.presets
    )
    image_size = pretraining.model["encoder"]["image_size"]
    token_ids = range(SIZE)
    texts = [
        inputs.captions(image_size, options.images, LENGTHS, token_ids, seed)
        for seed in range(BATCHES)
    ]
    count = flops.pretraining_step(
        pretraining.model_config_object(),
        [LENGTHS] * options.images,
        int(texts[0].loss_mask.sum()),
    )
    measurement = _Measurement(pretraining, device, options.steps)
    yield measurement.train("pretraining", texts, Work("sequences", count, SEQUENCES))
    question, answer = inputs.QUESTION, inputs.ANSWER
    pairs = [
        inputs.pairs(
            image_size, options.pairs, token_ids, question=question, answer=answer, seed=seed
        )
        for seed in range(BATCHES)
    ]
    sizes = finetuning.model_config_object()
    lengths, num_targets = pairs[0].lengths.tolist(), int(pairs[0].loss_mask.sum())
    measurement = _Measurement(finetuning, device, options.steps)
    count = flops.finetuning_step(sizes, lengths, num_targets)
    yield measurement.train("fine-tuning, live encoder", pairs, Work("pairs", count, PAIRS))
    cached = [measurement.with_features(batch) for batch in pairs]
    count = flops.finetuning_step(sizes, lengths, num_targets, is_cached=True)
    yield measurement.train("fine-tuning, cached features", cached, Work("pairs", count, PAIRS))
    yield measurement.answer(cached, GenerationConfig(num_beams=10, max_new_tokens=answer))


class _Measurement:
    """A model with its optimizer, and the times of its steps."""

    def __init__(self, config: RunConfig, device: torch.device, steps: int) -> None:
        self.config, self.device, self.steps = config, device, steps
        self.model = build_model(config, Tokenizer()).to(device).train()
        self.optimizer = build_optimizer(self.model, config.optim)

    def with_features(self, batch: Batch) -> Batch:
        """The batch with encoder features in bf16, as from the feature cache."""
        if not isinstance(self.model, FeatureModel):
            raise ValueError(f"{self.config.model_type!r} does not read cached features")
        with torch.no_grad(), autocast(self.device, self.config.train.precision):
            features = self.model.encode(batch.images.to(self.device))
        return replace(batch, features=features.to(torch.bfloat16).cpu())

    def train(self, name: str, batches: list[Batch], work: Work) -> Stage:
        """Training steps over the batches in turn."""

        def step(batch: Batch) -> None:
            self.optimizer.zero_grad(set_to_none=True)
            with autocast(self.device, self.config.train.precision):
                loss = self.model.loss(batch.to(self.device))["loss"]
            torch.autograd.backward(loss)
            clip_gradients(self.model, self.config.optim.clip_norm)
            self.optimizer.step()

        return self._measure(name, step, batches, work, self.steps)

    def answer(self, batches: list[Batch], generation: GenerationConfig) -> Stage:
        """Beam search of complete batches."""
        self.model.eval()

        def step(batch: Batch) -> None:
            with torch.no_grad(), autocast(self.device, self.config.train.precision):
                self.model.answer(batch.to(self.device), generation)

        beams, new_tokens = generation.num_beams, generation.max_new_tokens
        per_answer = flops.beam_answer(
            self.config.model_config_object(), inputs.QUESTION, new_tokens, beams
        )
        work = Work("answers", per_answer * len(batches[0]))
        name = f"answers, {beams} beams, {new_tokens} tokens"
        return self._measure(name, step, batches, work, max(1, self.steps // 20))

    def _measure(
        self, name: str, step: BatchFunction, batches: list[Batch], work: Work, num_steps: int
    ) -> Stage:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        seconds = []
        for index in range(min(WARMUP_STEPS, num_steps) + num_steps):
            self._synchronize()
            started = time.perf_counter()
            step(batches[index % len(batches)])
            self._synchronize()
            seconds.append(time.perf_counter() - started)
        median = statistics.median(seconds[-num_steps:])
        is_cuda, peak = self.device.type == "cuda", peak_flops(self.device)
        memory = torch.cuda.max_memory_allocated(self.device) if is_cuda else 0
        rate = len(batches[0]) / median
        return Stage(
            name=name,
            steps=num_steps,
            step_seconds=median,
            rate=rate,
            unit=work.unit,
            images=len(batches[0].images) / median,
            teraflops=work.flops / median / flops.TERA,
            mfu=None if peak is None else work.flops / median / peak,
            gigabytes=memory / 1e9,
            hours=None if work.total is None else work.total / rate / SECONDS_PER_HOUR,
            profile=self._profile(step, batches, num_steps),
        )

    def _profile(
        self, step: BatchFunction, batches: list[Batch], num_steps: int
    ) -> dict[str, float]:
        """Fraction of the device time by kind of kernel, over a few steps."""
        is_cuda = self.device.type == "cuda"
        activities = [torch.profiler.ProfilerActivity.CPU]
        if is_cuda:
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        with torch.profiler.profile(activities=activities) as profiler:
            for index in range(min(PROFILED_STEPS, num_steps)):
                step(batches[index % len(batches)])
            self._synchronize()
        totals: dict[str, float] = {}
        for event in profiler.key_averages():
            time_us = event.self_device_time_total if is_cuda else event.self_cpu_time_total
            kind = kernel_kind(event.key)
            totals[kind] = totals.get(kind, 0.0) + float(time_us)
        total = sum(totals.values()) or 1.0
        ordered = sorted(totals.items(), key=lambda item: -item[1])
        return {kind: time_us / total for kind, time_us in ordered if time_us}

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def kernel_kind(kernel: str) -> str:
    """The kind of a kernel by the words in its name.

    >>> kernel_kind("sm90_xmma_gemm_bf16")
    'matrix products'
    >>> kernel_kind("void at::native::vectorized_elementwise_kernel")
    'elementwise'
    """
    name = kernel.lower()
    for kind, words in KINDS:
        if any(word in name for word in words):
            return kind
    return "other"


def peak_flops(device: torch.device) -> float | None:
    """Dense bf16 operations per second of the card; None if unknown."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for card, peak in PEAKS.items() if card in name), None)
