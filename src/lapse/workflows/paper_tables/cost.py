"""What the runs of tables cost: `lapse table --dry-run` prints it, and sums it over all tables.

The operations of a run are those of a step on a few training records (`count_step`), times the
records of all its steps. Hours assume `UTILISATION` of the peak of a GPU in bf16; the paper's
times correspond to 12 to 20% (docs/explanation/performance.md). Answers of the test split and
validation are not included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lapse.config import RunConfig
from lapse.data.loading.batch_stream import rows_per_record
from lapse.data.loading.records import load_tasks, split_records
from lapse.data.loading.tokenized_dataset import select_indices
from lapse.data.loading.training_data import read_stream
from lapse.data.store.store import open_store
from lapse.data.tasks.base import Record, Task
from lapse.models.interface import TrainableModel
from lapse.training.feature_cache import cacheable_encoder
from lapse.training.run_folder import build_model, skip_pretrained_weights
from lapse.workflows.paper_tables.operations import StepCost, UndrawnWeights, count_step
from lapse.workflows.paper_tables.plan import PlannedRun

PEAKS = {"A100": 312e12, "H100": 989e12}  # operations per second, dense bf16
UTILISATION = 0.4
NUM_RECORDS = 4  # whose step is counted, at least
NUM_READ = 256  # records that are read for them, spread over the patients
NUM_SAMPLED = 2000  # records that are read to estimate how many have a sample of every task


@dataclass(frozen=True, slots=True)
class RunCost:
    """The cost of one run.

    Attributes:
        origin: of the first weights, one phrase per source.
        parameters, trained: all parameters, and those that are trained.
        records: training records (images or pairs) that can be used.
        operations: of all steps, forward and backward.
        cached_operations: the same with the features of a frozen encoder read from the disk;
            equal to `operations` where the run cannot cache them.
        memory: bytes of GPU memory for weights, gradients, optimizer and activations of a step.
        disk: bytes of the checkpoints that are kept, at most.
        feature_bytes: of cached features on the disk, 0 where the run cannot cache them.
    """

    origin: str
    parameters: int
    trained: int
    records: int
    steps: int
    operations: float
    cached_operations: float
    memory: float
    disk: float
    feature_bytes: float

    def hours(self, gpu: str, *, is_cached: bool = False) -> float:
        """Hours on one GPU of `PEAKS` at `UTILISATION`."""
        count = self.cached_operations if is_cached else self.operations
        return count / (PEAKS[gpu] * UTILISATION) / 3600


def run_cost(run: PlannedRun, records: Mapping[str, int] | None = None) -> RunCost:
    """Count the cost of a run; nothing is trained, and pretrained weights are not read.

    Args:
        run: from `plan`.
        records: number of training records to count with, by kind ("studies", "pairs"), instead of
            those of the store.

    Raises:
        ValueError: the store has no record of every task, or the batch does not fit the tasks.
    """
    config = skip_pretrained_weights(run.config)
    plain = config.model_copy(
        update={"train": config.train.model_copy(update={"seed": 0}), "name": "",
                "init_encoder": None, "init_model": None}
    )  # fmt: skip
    measured = _measure(plain.model_dump_json(), run.data)
    count = (records or {}).get(measured.kind) or measured.records
    per_step = config.train.batch_size // measured.rows_per_record
    steps = config.train.steps or -(-round((config.train.epochs or 0) * count) // per_step)
    used = float(steps * per_step)
    activations = measured.saved_bytes * per_step / config.train.gradient_accumulation_steps
    weights = 4.0 * measured.parameters
    states = weights + 8.0 * measured.trained
    return RunCost(
        origin=_origin(run.config, run.parent),
        parameters=measured.parameters,
        trained=measured.trained,
        records=count,
        steps=steps,
        operations=measured.operations * used,
        cached_operations=(measured.operations - measured.cacheable) * used,
        # Activations are kept in bf16; gradients have the size of the trained weights.
        memory=states + 4.0 * measured.trained + activations / 2,
        disk=config.train.keep_checkpoints * states,
        feature_bytes=measured.feature_bytes * count,
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    """Counts of one record of a model: operations and bytes are per record."""

    parameters: int
    trained: int
    kind: str
    records: int
    rows_per_record: int
    operations: float
    cacheable: float
    saved_bytes: float
    feature_bytes: float


@cache
def _measure(text: str, data: Path) -> _Measured:
    """The counts of a configuration (as JSON), once for all seeds and rows that share it."""
    config = RunConfig.model_validate_json(text)
    store = open_store(data)
    size = store.info.size
    tasks = load_tasks((*config.data.tasks, *config.data.require_tasks), size)
    rows = [
        rows_per_record(config.data, len(names))
        for names in (config.data.tasks, config.data.second_tasks)
        if names
    ]
    batch_size = math.lcm(*rows)
    batch_size *= -(-NUM_RECORDS * rows[0] // batch_size)
    one_step = config.train.model_copy(
        update={"batch_size": batch_size, "gradient_accumulation_steps": 1}
    )
    tokenizer, stream = read_stream(
        store, config.model_copy(update={"train": one_step}), num_records=NUM_READ
    )
    num_records = batch_size / rows[0]
    with UndrawnWeights():
        model = build_model(config, tokenizer)
    model.train()
    step = count_step(model, stream.batches(0))
    sizes = [(item.numel(), item.requires_grad) for item in model.parameters()]
    cacheable, feature_bytes = _cacheable(model, config, step)
    return _Measured(
        parameters=sum(count for count, _ in sizes),
        trained=sum(count for count, is_trained in sizes if is_trained),
        kind=tasks[0].records,
        records=_count_records(split_records(store, tasks[0], "train"), tasks),
        rows_per_record=rows[0],
        operations=step.operations / num_records,
        cacheable=cacheable / num_records,
        saved_bytes=step.saved_bytes / num_records,
        feature_bytes=feature_bytes,
    )


def _cacheable(model: TrainableModel, config: RunConfig, step: StepCost) -> tuple[float, float]:
    """Operations that cached features save, and their bytes per record; zeros if not possible."""
    try:
        cacheable_encoder(model, config)
    except ValueError:
        return 0.0, 0.0
    if not step.frozen_encoder:  # no image is read
        return 0.0, 0.0
    encoder = config.model_config_object().encoder
    images = 1 if config.stage == "pretrain" else 2
    return step.frozen_encoder, images * encoder.num_tokens * encoder.width * 2.0


def _count_records(records: Sequence[Record], tasks: Sequence[Task]) -> int:
    """Records with a sample of every task, estimated from an even selection of many."""
    chosen = select_indices(len(records), NUM_SAMPLED)
    usable = sum(
        all(next(iter(task.samples(records[index])), None) for task in tasks) for index in chosen
    )
    return max(1, round(len(records) * usable / max(1, len(chosen))))


def _origin(config: RunConfig, parent: str) -> str:
    parts = []
    if config.init_model is not None:
        parts.append(f"model: {parent or config.init_model}")
    elif config.init_encoder is not None:
        parts.append(f"encoder: {parent or config.init_encoder}")
    elif "encoder" in config.model:
        parts.append("encoder: random")
    if "language_model" in config.model and config.init_model is None:
        parts.append(f"language model: {config.model['language_model']['weights'] or 'random'}")
    return ", ".join(parts) or "nothing to load"


def describe(cost: RunCost) -> str:
    """One line of the plan.

    >>> describe(RunCost("encoder: random", 669_042_416, 669_042_416, 169_000, 105_625, 2.9e18,
    ...                  2.9e18, 21e9, 16e9, 0.0))  # doctest: +ELLIPSIS
    'encoder: random; 669.0 M parameters; 105,625 steps of 169,000 records; 2.9e+18 operations; ...'
    """
    trained = "" if cost.trained == cost.parameters else f" ({cost.trained / 1e6:.1f} M trained)"
    parts = [
        cost.origin,
        f"{cost.parameters / 1e6:.1f} M parameters{trained}",
        f"{cost.steps:,} steps of {cost.records:,} records",
        f"{cost.operations:.2g} operations",
        *(f"{_hours(cost.hours(gpu))} on one {gpu}" for gpu in PEAKS),
    ]
    if cost.feature_bytes:
        cached = ", ".join(_hours(cost.hours(gpu, is_cached=True)) for gpu in PEAKS)
        parts.append(f"with cached features {cached} and {cost.feature_bytes / 1e9:.0f} GB of them")
    parts += [f"{cost.memory / 1e9:.1f} GB of GPU memory", f"{cost.disk / 1e9:.1f} GB of disk"]
    return "; ".join(parts)


def _hours(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 0.1 else f"{3600 * hours:.1f} s"


def describe_sum(name: str, costs: Sequence[RunCost]) -> str:
    """One line for the sum over the distinct runs of a stage, or of all."""
    live, cached = (
        {gpu: sum(cost.hours(gpu, is_cached=is_cached) for cost in costs) for gpu in PEAKS}
        for is_cached in (False, True)
    )
    hours = ", ".join(f"{_hours(count)} on one {gpu}" for gpu, count in live.items())
    with_cache = f" (with cached features {', '.join(map(_hours, cached.values()))})"
    disk = sum(cost.disk for cost in costs) / 1e9
    note = "" if cached == live else with_cache
    return f"{name}: {len(costs)} runs, {hours}{note}, {disk:,.0f} GB of disk"
