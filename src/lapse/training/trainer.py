"""The training loop of every method and system, on one CPU, one GPU, or many ranks.

    batches of step k -> losses -> gradients of the mean over ALL loss tokens of the step
        (ranks and accumulation steps included) -> clip -> AdamW -> log, validate, save

The learning rate, the batches and the dropout of step k are functions of k, so a killed run that
resumes from its checkpoint ends with the same bits. A loss or gradient that is not finite stops
the run before it changes the weights.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from lapse.config import RunConfig
from lapse.core.progress import Progress, no_progress
from lapse.data.loading.batch import Batch
from lapse.data.loading.batch_workers import iterate_batches
from lapse.data.loading.training_data import read_training_data
from lapse.data.store.store import Store, open_store
from lapse.training import optim, run_folder
from lapse.training.checkpoint import (
    BEST,
    check_finite,
    latest_valid_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)
from lapse.training.checks import check_run
from lapse.training.compilation import compile_blocks
from lapse.training.distributed import (
    DistributedContext,
    enter_on_first_rank,
    init_distributed,
    pick_device,
    rank_failure,
    stop_signal,
)
from lapse.training.feature_cache import build_feature_cache
from lapse.training.initialization import build_run_model, write_init_report
from lapse.training.metrics_log import MetricsLog
from lapse.training.optimizer_step import OptimizerStep
from lapse.training.parallel import ParallelModel
from lapse.training.pixel_check import BackgroundPixelCheck, check_pixel_sample
from lapse.training.precision import resolve_precision
from lapse.training.validation import Validator

logger = logging.getLogger(__name__)

STOPPED = 143  # exit code of a run that a signal stopped, as after SIGTERM


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Functions that a `Trainer` calls.

    Attributes:
        progress: called on rank 0 after each step with (finished steps, all steps).
        on_step: called on every rank after each step, its log and its checkpoint, with the number
            of finished steps.
    """

    progress: Progress = no_progress
    on_step: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The result of `train`. `validation` holds the last validation losses by name."""

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
    callbacks: Callbacks | None = None,
    is_locked: bool = False,
) -> TrainReport:
    """Train a run to its end; the same call resumes a run that was stopped.

    Args:
        config: the resolved configuration.
        data: a store written by `prepare`.
        out: the run folder; a folder with another run is refused.
        resume: False refuses a folder that already holds a run.
        callbacks: progress and step callbacks.
        is_locked: the caller holds `run_lock(out)`. False: hold it here.

    Raises:
        ValueError: wrong input, another run in `out`, another process that writes to it, a full
            disk, or a loss that is not finite.
        SystemExit: 143 after a stop signal (SIGTERM, SIGINT, SIGHUP, SIGUSR1), with a checkpoint
            of the last step.
    """
    with init_distributed() as distributed:
        if run_folder.is_run_folder(out) and not resume:
            raise ValueError(f"{out} already holds a run: resume it or choose another folder")
        store = open_store(data)
        lock = nullcontext() if is_locked else run_folder.run_lock(out)
        with enter_on_first_rank(lock, distributed, f"rank 0 cannot write to {out}"):
            trainer = Trainer(config, store, out, callbacks=callbacks, distributed=distributed)
            return trainer.train()


class Trainer:
    """Trains one run in its folder.

    Args:
        config: the resolved configuration.
        data: an open store.
        out: the run folder, created if needed; a run in it is resumed.
        callbacks: progress and step callbacks.
        distributed: the context of `init_distributed`. None: one process.

    Attributes:
        config: the configuration, with the precision that the run uses in place of "auto".
        model, optimizer: as trained so far.
        step: number of finished steps.
        total_steps: of the run.
        validation: the last validation losses by name.

    Raises:
        ValueError: wrong input, or another run in `out`.
    """

    def __init__(
        self,
        config: RunConfig,
        data: Store,
        out: Path,
        *,
        callbacks: Callbacks | None = None,
        distributed: DistributedContext | None = None,
    ) -> None:
        self.folder = out
        self.callbacks = callbacks or Callbacks()
        self.distributed = distributed or DistributedContext(0, 1, pick_device())
        self.is_first_rank = self.distributed.rank == 0
        facts = run_folder.run_facts(data, self.distributed)
        is_existing = run_folder.is_run_folder(out)
        if is_existing:
            run_folder.check_same_run(out, config, facts)
        tokenizer = run_folder.read_tokenizer(out) if is_existing else None
        self.data = read_training_data(data, config, tokenizer)
        self.total_steps = self.data.stream.total_steps
        search = latest_valid_checkpoint(out)
        for line in search.skipped:
            logger.warning("skipped a damaged checkpoint: %s", line)
        checkpoint = search.checkpoint
        check_pixel_sample(data, seed=0 if checkpoint is None else checkpoint.step)
        self.pixel_check = BackgroundPixelCheck(
            data, self.distributed.rank, self.distributed.world_size
        )
        self.model, report = build_run_model(config, self.data.tokenizer, checkpoint)
        for line in report.messages if report is not None else ():
            logger.info(line)
        check_run(config, self.data, self.model, out, world_size=self.distributed.world_size)
        self.distributed.barrier()  # every rank checks its input before rank 0 writes anything
        given = config
        config = resolve_precision(given, self.distributed, out if is_existing else None)
        self.config = config
        self.model.train()
        if config.data.cache_features != "none":
            self.model.to(self.distributed.device)
            cache = build_feature_cache(self.model, data, self.data, config, self.distributed)
            self.data.stream.features = cache.tokens
        if not is_existing and self.is_first_rank:
            facts["precision"] = config.train.precision
            run_folder.write_run(out, given, self.data.tokenizer, facts)
        if report is not None and self.is_first_rank:
            write_init_report(out, report)
        self.validator = Validator(self.data, config)
        compile_blocks(self.model, config.train.compile)
        self.parallel = ParallelModel(self.model, self.distributed, config.train.parallel)
        self.optimizer = optim.build_optimizer(self.model, config.optim)

        self.step, log_size = 0, 0
        self.window: dict[str, list[float]] = {}  # sums of the steps since the last log line
        self.validation: dict[str, float] = {}
        self.best_loss: float | None = None  # lowest validation loss, with `train.keep: best`
        if checkpoint is not None:
            optim.load_optimizer_tensors(self.model, self.optimizer, checkpoint.optimizer())
            self.step, log_size = checkpoint.step, int(checkpoint.state["metrics_bytes"])
            self.window = checkpoint.state["window"]
            self.validation = checkpoint.state["validation"]
            self.best_loss = checkpoint.state.get("best_loss")
            logger.info("resumed from step %d of %s", self.step, out)
        self.start = self.step
        self.optimizer_step = OptimizerStep(config, self.data.stream, self.parallel, self.optimizer)
        self.log = MetricsLog(out, log_size, self.step, is_writing=self.is_first_rank)

    def train(self) -> TrainReport:
        """Run all remaining steps.

        Raises:
            ValueError: a full disk, a loss or weight that is not finite, or pixels that changed
                since `prepare` wrote them.
            SystemExit: 143 after a stop signal (SIGTERM, SIGINT, SIGHUP, SIGUSR1), with a
                checkpoint of the last step.
        """
        try:
            with stop_signal() as stop:
                self._run_steps(stop)
        except RuntimeError as error:
            reason = rank_failure(error, self.distributed)
            if reason is None:
                raise
            raise ValueError(reason) from error
        finally:
            self.pixel_check.stop()
            self.log.close()
        return TrainReport(
            self.folder, self.step, self.total_steps, self.start or None, self.validation
        )

    def _run_steps(self, stop: threading.Event) -> None:
        settings = self.config.train
        if self.step == 0:
            self._validate()
        batches = iterate_batches(
            self.data.stream,
            self.step,
            self.total_steps,
            rank=self.distributed.rank,
            world_size=self.distributed.world_size,
        )
        last_time, last_step = time.perf_counter(), self.step
        with closing(batches):  # ends the worker processes
            for step_batches in batches:
                self.pixel_check.start()  # after the workers were forked
                self.pixel_check.check()
                is_stopping = self._train_step(step_batches, stop)
                is_last = self.step == self.total_steps
                if is_last:
                    self.pixel_check.finish()
                if self.step % settings.log_every == 0 or is_last:
                    self._write_log()
                    now = time.perf_counter()
                    num_rows = (self.step - last_step) * settings.batch_size
                    self.log.write_time(self.step, now - last_time, num_rows)
                    last_time, last_step = now, self.step
                if self.step % settings.eval_every == 0 or is_last:
                    self._validate()
                if self.step % settings.save_every == 0 or is_last or is_stopping:
                    self._save_checkpoint()
                if self.is_first_rank:
                    self.callbacks.progress(self.step, self.total_steps)
                self.callbacks.on_step(self.step)
                if is_stopping and not is_last:
                    logger.info(
                        "stopped at step %d of %d; the same command resumes",
                        self.step,
                        self.total_steps,
                    )
                    raise SystemExit(STOPPED)

    def _train_step(self, batches: tuple[Batch, ...], stop: threading.Event) -> bool:
        """One optimizer step; returns whether any rank got a stop signal."""
        result = self.optimizer_step.run(self.step, batches, stop)
        self.step += 1
        for name, value in result.sums.items():
            self.window.setdefault(name, [0.0])[0] += value
        self.window.setdefault("norm", []).append(result.gradient_norm)
        return result.is_stopping

    def _write_log(self) -> None:
        window, values = self.window, {}
        for name in self.optimizer_step.loss_names:
            if window[f"{name}#"][0] > 0:
                values[name] = window[name][0] / window[f"{name}#"][0]
        values["learning_rate"] = optim.learning_rate(
            self.config.optim, self.step - 1, self.total_steps
        )
        values["gradient_norm"] = sum(window["norm"]) / len(window["norm"])
        self.log.write(self.step, values)
        self.window = {}

    def _validate(self) -> None:
        if not self.data.validation:
            return
        with self.parallel.full_state() as model:
            self.validation = self.validator.evaluate(model, self.distributed)
        if not all(math.isfinite(value) for value in self.validation.values()):
            raise ValueError(f"step {self.step}: validation loss {self.validation} is not finite")
        self.log.write(self.step, self.validation)
        losses = ", ".join(
            f"{name.removeprefix('validate/')} {value:.4f}"
            for name, value in self.validation.items()
        )
        logger.info("step %d of %d: validation loss %s", self.step, self.total_steps, losses)
        if self.config.train.keep == "best" and self.step > 0:
            self._keep_best(self.validation["validate/loss"])

    def _keep_best(self, loss: float) -> None:
        """Save the weights if they have the lowest validation loss so far."""
        if self.best_loss is not None and loss >= self.best_loss:
            return
        self.best_loss = loss
        with self.parallel.full_state() as model:
            if self.is_first_rank:
                best = self.folder / BEST
                save_checkpoint(best, self.step, model, {}, {"validation": self.validation})
                prune_checkpoints(best, self.step, keep=1)
        self.distributed.barrier()

    def _save_checkpoint(self) -> None:
        tensors = optim.optimizer_tensors(self.model, self.optimizer, is_kept=self.is_first_rank)
        with self.parallel.full_state() as model:
            if self.is_first_rank:
                check_finite(self.step, model, tensors)
                state = {
                    "metrics_bytes": self.log.size(),
                    "window": self.window,
                    "validation": self.validation,
                    "best_loss": self.best_loss,
                    "ranks": self.distributed.world_size,
                }
                save_checkpoint(self.folder, self.step, model, tensors, state)
                prune_checkpoints(self.folder, self.step, self.config.train.keep_checkpoints)
        self.distributed.barrier()
