"""`lapse bench gpu`: the paper's sizes on one GPU, for hundreds of steps.

    step = batch to the device, forward and backward under bf16 autocast, clipping, fused AdamW

MFU is the analytic count of operations (benchmarks.operations, without padding or recomputing)
over time and the dense bf16 peak of the card. A profile of three steps says where the rest goes.
The hours of the paper's two stages follow from the rates: 5 epochs of 237,000 images with four
texts each, 10 epochs of 131,459 pairs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from benchmarks import material, operations
from lapse.config import GenerationConfig, RunConfig, load_config
from lapse.core.tokenizer import SIZE, Tokenizer
from lapse.data.loading.batch import Batch
from lapse.training.distributed import DistributedContext, autocast
from lapse.training.optim import build_optimizer, clip_gradients
from lapse.training.run_folder import build_model

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}  # dense bf16, vendors
LENGTHS = (material.CAPTION, material.REGION, material.REGION, material.REGION)
SEQUENCES = 5 * 237_000 * 4
PAIRS = 10 * 131_459
WARM, PROFILED, BATCHES = 5, 3, 4
SECONDS_IN_AN_HOUR = 3600
# A kernel belongs to the first kind of which its name holds a word.
KINDS = (
    ("optimizer", ("adam", "multi_tensor", "foreach")),
    ("attention", ("flash", "fmha", "attention", "softmax")),
    ("matrix products", ("gemm", "cutlass", "nvjet", "mm", "conv", "xmma", "linear")),
    ("norms", ("norm",)),
    ("copies and casts", ("copy", "memcpy", "memset", "cat", "to_copy")),
    ("elementwise", ("elementwise", "gelu", "add", "mul", "index", "reduce")),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """One measured stage.

    Attributes:
        name: which.
        steps: measured steps, after warming up.
        step_seconds: median of a step.
        rate, unit: rows a second, and what a row is.
        images: images a second.
        teraflops: analytic operations a second, in 10^12.
        mfu: share of the card's peak; None where the peak is not known.
        gigabytes: peak memory of the device.
        hours: the paper's whole stage at this rate; None where it is no stage.
        profile: share of the device's time by kind of kernel.
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
        """The stage for a person."""
        share = "" if self.mfu is None else f", {self.mfu:.1%} of the peak"
        hours = "" if self.hours is None else f"; the paper's stage {self.hours:.1f} h"
        parts = ", ".join(f"{kind} {part:.0%}" for kind, part in self.profile.items())
        return [
            f"{self.name}: {self.rate:.1f} {self.unit}/s, {self.images:.1f} images/s, "
            f"{self.step_seconds * 1e3:.0f} ms a step (median of {self.steps}), "
            f"{self.teraflops:.1f} T operations/s{share}, {self.gigabytes:.1f} GB{hours}",
            f"  device time: {parts}",
        ]


def run_gpu(
    say: Callable[[str], None],
    *,
    steps: int = 200,
    device: str = "cuda",
    presets: tuple[str, str] = ("pretrain-lapse", "diffvqa-lapse"),
    images: int = 32,
    pairs: int = 16,
    overrides: Sequence[str] = (),
) -> list[Stage]:
    """Measure pretraining, fine-tuning (live and cached) and answering.

    Args:
        say: receives the results as they come.
        steps: measured steps of each stage.
        device: "cuda"; "cpu" at small sizes tests this code.
        presets: of the two stages.
        images, pairs: of one step.
        overrides: a.b=value for both presets, e.g. model.encoder.activation_checkpointing=true.

    Raises:
        ValueError: there is no such device.
    """
    place = torch.device(device)
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("bench gpu needs a CUDA device and none is visible here")
    found = []
    configs = [load_config(preset, list(overrides)) for preset in presets]
    for stage in _stages(place, steps, images, pairs, configs):
        for line in stage.lines():
            say(line)
        found.append(stage)
    return found


def as_json(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """For --json."""
    return [asdict(stage) for stage in stages]


def _stages(
    place: torch.device, steps: int, images: int, pairs: int, configs: Sequence[RunConfig]
) -> Iterator[Stage]:
    kept = range(SIZE)
    first, second = configs
    side = first.model["encoder"]["image_size"]
    texts = [material.captions(side, images, LENGTHS, kept, seed) for seed in range(BATCHES)]
    targets = int(texts[0].loss_mask.sum())
    sizes = first.model_config_object()
    count = operations.pretraining_step(sizes, [LENGTHS] * images, targets)
    yield _Training(first, place, steps).measure(
        "pretraining", texts, count, "sequences", SEQUENCES
    )
    rows = [
        material.pairs(
            side, pairs, kept, question=material.QUESTION, answer=material.ANSWER, seed=seed
        )
        for seed in range(BATCHES)
    ]
    sizes = second.model_config_object()
    lengths = rows[0].lengths.tolist()
    targets = int(rows[0].loss_mask.sum())
    training = _Training(second, place, steps)
    for is_cached in (False, True):
        count = operations.finetuning_step(sizes, lengths, targets, is_cached=is_cached)
        given = [training.with_features(row) for row in rows] if is_cached else rows
        name = "fine-tuning, cached features" if is_cached else "fine-tuning, live encoder"
        yield training.measure(name, given, count, "pairs", PAIRS)
    given = [training.with_features(row) for row in rows]
    yield training.answers(given, GenerationConfig(num_beams=10, max_new_tokens=material.ANSWER))


class _Training:
    """A model of full size with its optimizer, and a clock around its steps."""

    def __init__(self, config: RunConfig, place: torch.device, steps: int) -> None:
        self.config, self.place, self.steps = config, place, steps
        self.world = DistributedContext(0, 1, place)
        self.model = build_model(config, Tokenizer()).to(place).train()
        self.optimizer = build_optimizer(self.model, config.optim)

    def with_features(self, batch: Batch) -> Batch:
        """A batch as the cache would give it, in bf16."""
        with torch.no_grad(), autocast(self.world, self.config.train.precision):
            tokens = self.model.encode(batch.images.to(self.place))
        return replace(batch, features=tokens.to(torch.bfloat16).cpu())

    def measure(
        self, name: str, batches: list[Batch], count: float, unit: str, whole: int
    ) -> Stage:
        """Steps over the batches in turn."""
        seconds = self._clock(lambda index: self._step(batches[index % len(batches)]))
        batch = batches[0]
        rate = len(batch) / statistics.median(seconds)
        hours = whole / rate / SECONDS_IN_AN_HOUR
        profile = self._profile(lambda index: self._step(batches[index % len(batches)]))
        return self._stage(name, seconds, batch, unit, count, hours, profile)

    def answers(self, batches: list[Batch], generation: GenerationConfig) -> Stage:
        """Beam search of whole batches."""
        self.model.eval()

        def answer(index: int) -> None:
            with torch.no_grad(), autocast(self.world, self.config.train.precision):
                self.model.answer(batches[index % len(batches)].to(self.place), generation)

        self.steps = max(1, self.steps // 20)
        seconds = self._clock(answer)
        sizes = self.config.model_config_object()
        each = operations.beam_answer(
            sizes, material.QUESTION, generation.max_new_tokens, generation.num_beams
        )
        batch = batches[0]
        name = f"answers, {generation.num_beams} beams, {generation.max_new_tokens} tokens"
        profile = self._profile(answer)
        return self._stage(name, seconds, batch, "answers", each * len(batch), None, profile)

    def _step(self, batch: Batch) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.world, self.config.train.precision):
            loss = self.model.loss(batch.to(self.place))["loss"]
        loss.backward()
        clip_gradients(self.model, self.config.optim.clip_norm)
        self.optimizer.step()

    def _clock(self, step: Callable[[int], None]) -> list[float]:
        """Seconds of every measured step."""
        if self.place.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.place)
        seconds = []
        for index in range(min(WARM, self.steps) + self.steps):
            self._wait()
            started = time.perf_counter()
            step(index)
            self._wait()
            seconds.append(time.perf_counter() - started)
        return seconds[-self.steps :]

    def _profile(self, step: Callable[[int], None]) -> dict[str, float]:
        """Share of the device's time by kind of kernel, over a few steps."""
        is_cuda = self.place.type == "cuda"
        kinds = [torch.profiler.ProfilerActivity.CPU]
        if is_cuda:
            kinds.append(torch.profiler.ProfilerActivity.CUDA)
        with torch.profiler.profile(activities=kinds) as profiler:
            for index in range(min(PROFILED, self.steps)):
                step(index)
            self._wait()
        totals: dict[str, float] = {}
        for event in profiler.key_averages():
            spent = event.self_device_time_total if is_cuda else event.self_cpu_time_total
            kind = kind_of(event.key)
            totals[kind] = totals.get(kind, 0.0) + float(spent)
        whole = sum(totals.values()) or 1.0
        ordered = sorted(totals.items(), key=lambda pair: -pair[1])
        return {kind: spent / whole for kind, spent in ordered if spent}

    def _stage(
        self,
        name: str,
        seconds: list[float],
        batch: Batch,
        unit: str,
        count: float,
        hours: float | None,
        profile: dict[str, float],
    ) -> Stage:
        median = statistics.median(seconds)
        peak = peak_of(self.place)
        memory = torch.cuda.max_memory_allocated(self.place) if self.place.type == "cuda" else 0
        return Stage(
            name=name,
            steps=len(seconds),
            step_seconds=median,
            rate=len(batch) / median,
            unit=unit,
            images=len(batch.images) / median,
            teraflops=count / median / operations.TERA,
            mfu=None if peak is None else count / median / peak,
            gigabytes=memory / 1e9,
            hours=hours,
            profile=profile,
        )

    def _wait(self) -> None:
        if self.place.type == "cuda":
            torch.cuda.synchronize(self.place)


def kind_of(kernel: str) -> str:
    """The kind of a kernel by the words in its name.

    >>> kind_of("sm90_xmma_gemm_bf16"), kind_of("void at::native::vectorized_elementwise_kernel")
    ('matrix products', 'elementwise')
    """
    low = kernel.lower()
    for kind, words in KINDS:
        if any(word in low for word in words):
            return kind
    return "other"


def peak_of(place: torch.device) -> float | None:
    """Dense bf16 operations a second of the card, None where it is not known."""
    if place.type != "cuda":
        return None
    name = torch.cuda.get_device_name(place)
    return next((peak for card, peak in PEAKS.items() if card in name), None)
