"""One loop for every method and system, on one CPU, one GPU, or many ranks on many nodes.

    batches of step k -> losses -> gradients of the mean over ALL loss tokens of the step
        (ranks and accumulation steps included) -> clip -> AdamW -> log, validate, save

A step either happens whole or not at all: the learning rate, the batch and the dropout of step k
are functions of k, so a killed run that starts again from its checkpoint ends with the same bits.
A loss or gradient that is not finite stops the run before it can touch the weights.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lapse.config import RunConfig
from lapse.core.seeding import derive_seed
from lapse.data.loading.batch import Batch
from lapse.data.loading.batch_stream import iterate_batches
from lapse.data.loading.training_data import TrainingData, read_training_data
from lapse.data.store.store import Store, open_store
from lapse.training.checkpoint import MODEL, latest_valid_checkpoint, load_weights, save_checkpoint
from lapse.training.distributed import DistributedContext, autocast, init_distributed, stop_signal
from lapse.training.feature_cache import build_feature_cache
from lapse.training.initialization import initialize_weights
from lapse.training.optim import (
    build_optimizer,
    clip_gradients,
    learning_rate,
    load_optimizer_tensors,
    optimizer_tensors,
    set_learning_rate,
)
from lapse.training.parallel import ParallelModel
from lapse.training.run_folder import (
    MetricsLog,
    build_model,
    check_same_run,
    describe,
    is_run_folder,
    read_tokenizer,
    skip_pretrained_weights,
    write_init_report,
    write_run,
)
from lapse.training.validation import Validator

Say = Callable[[str], None]
Progress = Callable[[int, int], None]
STOPPED = 143  # exit code of a run that was asked to stop, as after SIGTERM


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What `train` did. `validation` holds the last held-out losses by name."""

    folder: Path
    step: int
    total_steps: int
    resumed_from: int | None
    validation: dict[str, float] = field(default_factory=dict)


def train(
    config: RunConfig,
    data: Path,
    out: Path,
    *,
    resume: bool = True,
    dry_run: bool = False,
    say: Say = lambda _: None,
    progress: Progress = lambda _done, _total: None,
    on_step: Callable[[int], None] = lambda _: None,
) -> TrainReport:
    """Train a run to its end; the same call again continues where it stopped.

    Args:
        config: the resolved configuration.
        data: a store written by `prepare`.
        out: the run folder; one that holds another run is refused.
        resume: False refuses a folder that holds a run already.
        dry_run: only say what would run; nothing is written.
        say: receives one line per event, on rank 0.
        progress: called with (steps done, steps in all), on rank 0.
        on_step: called at the edge of every step, after its log and checkpoint.

    Raises:
        ValueError: wrong input, another run in `out`, a full disk, or a loss that is not finite.
        SystemExit: 143 after SIGTERM, SIGINT or SIGUSR1, with a checkpoint at the step's edge.
    """
    with init_distributed() as world:
        ears = _Ears(say, progress, on_step) if world.rank == 0 else _Ears(_deaf, _deaf, on_step)
        is_known = is_run_folder(out)
        if is_known and not resume:
            raise ValueError(f"{out} holds a run already: resume it or choose another folder")
        store = open_store(data)
        facts = {
            "data": store.info.fingerprint,
            "threads": torch.get_num_threads(),
            "ranks": world.size,
            "device": world.device.type,
            "torch": str(torch.__version__),
        }
        if is_known:
            for line in check_same_run(out, config, facts):
                ears.say(line)
        tokenizer = read_tokenizer(out) if is_known else None
        material = read_training_data(store, config, tokenizer)
        if dry_run:
            describe(config, material, ears.say)
            return TrainReport(out, 0, material.stream.total_steps, None)
        world.wait()
        if not is_known and world.rank == 0:
            write_run(out, config, material.tokenizer, facts)
        return _Loop(_Job(config, out, store), material, world, ears).run()


def _deaf(*_: object) -> None:
    """What the ranks behind the first say."""


@dataclass(frozen=True, slots=True)
class _Ears:
    say: Say
    progress: Progress
    on_step: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Job:
    config: RunConfig
    folder: Path
    store: Store


class _Loop:
    """The state of a running job, from step to step."""

    def __init__(
        self, job: _Job, data: TrainingData, world: DistributedContext, ears: _Ears
    ) -> None:
        config, folder, store = job.config, job.folder, job.store
        self.config, self.folder, self.world, self.ears = config, folder, world, ears
        self.stream, self.held_out = data.stream, data.validation
        self.total = self.stream.total_steps
        tasks = tuple(f"loss/{task.name}" for task in self.stream.dataset.tasks)
        self.window: dict[str, list[float]] = {}
        self.validation: dict[str, float] = {}
        self.start, log_size = 0, 0
        found = latest_valid_checkpoint(folder)
        for line in found.skipped:
            ears.say(f"skipped a damaged checkpoint: {line}")
        if found.checkpoint is not None:
            self.model = build_model(skip_pretrained_weights(config), data.tokenizer)
            load_weights(found.checkpoint.folder / MODEL, self.model)
        else:
            self.model = build_model(config, data.tokenizer)
            began = initialize_weights(self.model, config)
            for line in began.told:
                ears.say(line)
            if world.rank == 0:
                write_init_report(folder, began.told, began.sha256)
        self.model.to(world.device).train()
        if config.data.cache_features != "none":
            features, line = build_feature_cache(self.model, store, data, config, world)
            self.stream.features = features.tokens
            ears.say(line)
        self.watch = Validator(data, config)
        self.spread = ParallelModel(self.model, world, config.train.parallel)
        self.optimizer = build_optimizer(self.model, config.optim)
        if found.checkpoint is not None:
            state = found.checkpoint.state
            load_optimizer_tensors(self.model, self.optimizer, found.checkpoint.optimizer())
            self.start, log_size = found.checkpoint.step, int(state["metrics_bytes"])
            self.window, self.validation = state["window"], state["validation"]
            ears.say(f"resumed from step {self.start} of {folder}")
        self.parts = tuple(f"loss/{part}" for part in getattr(self.model, "loss_parts", ()))
        self.names = ("loss", *tasks, *self.parts)
        self.log = MetricsLog(folder, log_size, self.start, is_writing=world.rank == 0)

    def run(self) -> TrainReport:
        """All steps that are left."""
        try:
            with stop_signal() as asked:
                self._run(asked)
        finally:
            self.log.close()
        return TrainReport(self.folder, self.total, self.total, self.start or None, self.validation)

    def _run(self, asked: threading.Event) -> None:
        settings = self.config.train
        if self.start == 0:
            self._validate(0)
        rank, size = self.world.rank, self.world.size
        batches = iterate_batches(self.stream, self.start, self.total, rank=rank, world_size=size)
        clock, since = time.perf_counter(), self.start
        for step, pieces in enumerate(batches, start=self.start):
            is_stopping = self._step(step, pieces, asked)
            done = step + 1
            is_last = done == self.total
            if done % settings.log_every == 0 or is_last:
                self._log(done)
                now = time.perf_counter()
                self.log.time(done, now - clock, (done - since) * settings.batch_size)
                clock, since = now, done
            if done % settings.eval_every == 0 or is_last:
                self._validate(done)
            if done % settings.save_every == 0 or is_last or is_stopping:
                self._save(done)
            self.ears.progress(done, self.total)
            self.ears.on_step(done)
            if is_stopping and not is_last:
                self.ears.say(f"stopped at step {done} of {self.total}; the same command continues")
                raise SystemExit(STOPPED)

    def _step(self, step: int, pieces: tuple[Batch, ...], asked: threading.Event) -> bool:
        """One optimizer step; returns whether any rank was asked to stop."""
        world = self.world
        torch.manual_seed(derive_seed(self.config.train.seed, "dropout", step, world.rank))
        set_learning_rate(self.optimizer, learning_rate(self.config.optim, step, self.total))
        self.optimizer.zero_grad(set_to_none=True)
        weights = [float(self.model.weight(batch)) for batch in pieces]
        (whole,) = world.sum([sum(weights)])
        self.spread.check_pieces(len(pieces))
        found: list[tuple[str, Tensor, float]] = []
        for index, (batch, weight) in enumerate(zip(pieces, weights, strict=True)):
            with self.spread.gathering(is_last=index + 1 == len(pieces)):
                with autocast(self.world, self.config.train.precision):
                    losses = self.spread.losses(batch.to(world.device))
                (losses["loss"] * (weight / whole * world.size)).backward()
            found += _by_task(batch, losses, weight)
            found += [(part, losses[part].detach().float(), weight) for part in self.parts]
        norm = clip_gradients(self.model, self.config.optim.clip_norm)
        *values, norm_value = torch.stack([*(value for _, value, _ in found), norm]).tolist()
        sums = dict.fromkeys((*self.names, *(f"{name}#" for name in self.names)), 0.0)
        for (name, _, weight), value in zip(found, values, strict=True):
            sums[name] += value * weight
            sums[f"{name}#"] += weight
        *totals, stop = world.sum([*sums.values(), float(asked.is_set())])
        if not all(math.isfinite(value) for value in (*totals, norm_value)):
            raise ValueError(_not_finite(step, pieces, found, norm_value))
        self.optimizer.step()
        for name, value in zip(sums, totals, strict=True):
            self.window.setdefault(name, [0.0])[0] += value
        self.window.setdefault("norm", []).append(norm_value)
        return stop > 0

    def _log(self, done: int) -> None:
        window, values = self.window, {}
        for name in self.names:
            if window[f"{name}#"][0] > 0:
                values[name] = window[name][0] / window[f"{name}#"][0]
        values["learning_rate"] = learning_rate(self.config.optim, done - 1, self.total)
        values["gradient_norm"] = sum(window["norm"]) / len(window["norm"])
        self.log.write(done, values)
        self.window = {}

    def _validate(self, done: int) -> None:
        if not self.held_out:
            return
        with self.spread.whole() as model:
            self.validation = self.watch.losses(model, self.world)
        if not all(math.isfinite(value) for value in self.validation.values()):
            raise ValueError(f"step {done}: held-out loss {self.validation} is not finite")
        self.log.write(done, self.validation)
        shown = ", ".join(
            f"{name.removeprefix('validate/')} {value:.4f}"
            for name, value in self.validation.items()
        )
        self.ears.say(f"step {done} of {self.total}: held-out loss {shown}")

    def _save(self, done: int) -> None:
        is_first = self.world.rank == 0
        optimizer = optimizer_tensors(self.model, self.optimizer, is_kept=is_first)
        with self.spread.whole() as model:
            if is_first:
                save_checkpoint(
                    self.folder,
                    done,
                    model,
                    optimizer,
                    state=self._state(),
                    keep=self.config.train.keep_checkpoints,
                )
        self.world.wait()

    def _state(self) -> dict[str, object]:
        return {
            "metrics_bytes": self.log.size(),
            "window": self.window,
            "validation": self.validation,
            "ranks": self.world.size,
        }


def _by_task(
    batch: Batch, losses: dict[str, Tensor], weight: float
) -> Iterator[tuple[str, Tensor, float]]:
    """The loss of a batch and, where the model says it, of each task, with its tokens."""
    yield "loss", losses["loss"].detach().float(), weight
    tokens = batch.loss_mask.sum(1).tolist()
    for task in dict.fromkeys(sample.task for sample in batch.samples):
        pairs = zip(batch.samples, tokens, strict=True)
        share = float(sum(count for sample, count in pairs if sample.task == task))
        if f"loss/{task}" in losses:
            yield f"loss/{task}", losses[f"loss/{task}"].detach().float(), share
        elif len({sample.task for sample in batch.samples}) == 1:
            yield f"loss/{task}", losses["loss"].detach().float(), weight


def _not_finite(
    step: int, pieces: tuple[Batch, ...], found: list[tuple[str, Tensor, float]], norm: float
) -> str:
    ids = [sample.id for batch in pieces for sample in batch.samples]
    wrong = [name for name, value, _ in found if not math.isfinite(float(value))]
    what = ", ".join(dict.fromkeys(wrong)) or f"gradient norm {norm} (or another rank's loss)"
    shown = ", ".join(ids[:64]) + (f" and {len(ids) - 64} more" if len(ids) > 64 else "")
    return (
        f"step {step + 1}: {what} is not finite; the weights were not changed and nothing was "
        f"saved. Samples of the step: {shown}. Lower optim.learning_rate or look at these samples"
    )
