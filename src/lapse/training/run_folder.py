"""The run folder: what decides a run, what it logged, and how to open it again.

RUN/config.yaml       the resolved configuration, the only input of `predict`
RUN/vocabulary.json   the GPT-2 ids that a trimmed vocabulary keeps, or null
RUN/run.json          what else decides the result: data hash, threads, ranks, device
RUN/began.json        where its first weights came from: sentences, SHA-256 of saved models
RUN/metrics.jsonl     one line per logged step, no clock in it: equal runs, equal bytes
RUN/timing.jsonl      the clock
RUN/checkpoints/      see `lapse.training.checkpoint`
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeAlias

import torch
import yaml

from lapse.config import RunConfig, check_config, load_config
from lapse.core import registry
from lapse.core.files import TEMPORARY, write_text
from lapse.core.seeding import derive_seed
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.training_data import TrainingData
from lapse.training.checkpoint import MODEL, latest_valid_checkpoint, load_weights
from lapse.training.distributed import pick_device

CONFIG, VOCABULARY, FACTS, BEGAN, METRICS, TIMING = (
    "config.yaml",
    "vocabulary.json",
    "run.json",
    "began.json",
    "metrics.jsonl",
    "timing.jsonl",
)
# An nn.Module with `loss`, `weight` and `answer`, and `encoder` (docs/explanation/architecture.md).
TrainableModel: TypeAlias = Any
# Keys that may change between two starts of one run, since they cannot change its result.
FREE_KEYS = frozenset(("train.num_workers", "train.save_every", "train.keep_checkpoints"))


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A trained run, ready to answer: the model is on `device` and in evaluation mode."""

    folder: Path
    config: RunConfig
    tokenizer: Tokenizer
    model: TrainableModel
    device: torch.device
    step: int


def build_model(config: RunConfig, tokenizer: Tokenizer) -> TrainableModel:
    """The method or system of a configuration, its random weights counted from the seed."""
    torch.manual_seed(derive_seed(config.train.seed, "init"))
    return registry.load(config.table, config.model_type)(config.model_config_object(), tokenizer)


def load_run(folder: Path, device: torch.device | str | None = None) -> LoadedRun:
    """Open a run folder with the weights of its newest whole checkpoint.

    Raises:
        ValueError: the folder is no run, or no checkpoint of it verifies.
    """
    place = torch.device(device) if device is not None else pick_device()
    config, tokenizer = read_config(folder), read_tokenizer(folder)
    found = latest_valid_checkpoint(folder)
    if found.checkpoint is None:
        raise ValueError(
            f"run {folder} has no whole checkpoint ({'; '.join(found.skipped) or 'none written'}): "
            "train it first"
        )
    model = build_model(skip_pretrained_weights(config), tokenizer)
    load_weights(found.checkpoint.folder / MODEL, model)
    model.to(place).eval()
    return LoadedRun(folder, config, tokenizer, model, place, found.checkpoint.step)


def is_run_folder(folder: Path) -> bool:
    """Whether a folder holds a run. A new or empty one does not.

    Raises:
        ValueError: the folder holds something else.
    """
    if (folder / CONFIG).is_file():
        return True
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    unfinished = {name for name in names if name.endswith(TEMPORARY)}
    foreign = sorted(names - {VOCABULARY, FACTS} - unfinished)
    if foreign:
        raise ValueError(
            f"{folder} is no run folder and not empty (it holds {foreign[0]}): choose another"
        )
    return False


def read_config(folder: Path) -> RunConfig:
    """The resolved configuration of a run folder."""
    if not (folder / CONFIG).is_file():
        raise ValueError(f"{folder} is no run folder: it has no {CONFIG}")
    return load_config(folder / CONFIG)


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer that a run was trained with."""
    kept = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
    return Tokenizer(kept)


def write_run(
    folder: Path, config: RunConfig, tokenizer: Tokenizer, facts: Mapping[str, Any]
) -> None:
    """Write the files that decide a run. config.yaml comes last: with it, the folder is a run."""
    kept = None if tokenizer.kept is None else list(tokenizer.kept)
    write_text(folder / VOCABULARY, json.dumps(kept) + "\n")
    write_text(folder / FACTS, json.dumps(dict(facts), indent=1) + "\n")
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    write_text(folder / CONFIG, text)


def write_init_report(folder: Path, told: Sequence[str], sha256: Mapping[str, str]) -> None:
    """Keep what a new run began with: `lapse.training.initialization.InitReport`."""
    values = {"told": list(told), "sha256": dict(sha256)}
    write_text(folder / BEGAN, json.dumps(values, indent=1) + "\n")


def read_init_report(folder: Path) -> Mapping[str, Any]:
    """What a run began with: "told" and "sha256"; empty where an older version did not keep it."""
    if not (folder / BEGAN).is_file():
        return {"told": [], "sha256": {}}
    return dict(json.loads((folder / BEGAN).read_text(encoding="utf-8")))


def check_same_run(folder: Path, config: RunConfig, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Refuse to continue a run with another configuration, other data or other threads.

    Returns sentences about what differs without changing the order of samples (ranks, device).

    Raises:
        ValueError: names every key that differs, with both values.
    """
    before, now = flat(read_config(folder).model_dump()), flat(config.model_dump())
    different = [
        f"{key} is {now.get(key)!r}, was {before.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key not in FREE_KEYS
    ]
    stored = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    hard = ("data", "threads") if stored["device"] == facts["device"] == "cpu" else ("data",)
    different += [
        f"{key} is {facts[key]!r}, was {stored[key]!r}" for key in hard if facts[key] != stored[key]
    ]
    if different:
        raise ValueError(
            f"run {folder} was started differently: {'; '.join(different)}. Give the same values "
            "(threads: OMP_NUM_THREADS) or another output folder"
        )
    return tuple(
        f"{key} is {facts[key]!r}, was {stored[key]!r}: same samples, not the same last bits"
        for key in ("ranks", "device")
        if facts[key] != stored[key]
    )


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, {"a.b": value}; sequences become lists.

    >>> flat({"a": {"b": 1}, "c": (2,)})
    {'a.b': 1, 'c': [2]}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return found


def skip_pretrained_weights(config: RunConfig) -> RunConfig:
    """The same run without outside weights, for a model whose own checkpoint is read next."""
    values = config.model_dump(mode="json")
    if values["model"].get("language_model", {}).get("weights") is None:
        return config
    values["model"]["language_model"]["weights"] = None
    return check_config(values)


def describe(config: RunConfig, data: TrainingData, say: Callable[[str], None]) -> None:
    """What a dry run says: configuration, parameters by part, steps, the first batch."""
    for line in yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False).splitlines():
        say(line)
    with torch.device("meta"):
        model = build_model(skip_pretrained_weights(config), data.tokenizer)
    for name, part in model.named_children():
        say(f"parameters: {name} {sum(p.numel() for p in part.parameters())}")
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    say(f"parameters: {sum(p.numel() for p in model.parameters())} in all, {trained} trained")
    say(f"steps: {data.stream.total_steps} of {config.train.batch_size} rows")
    for batch in data.stream.batches(0):
        images, tokens = list(batch.images.shape), list(batch.tokens.shape)
        say(f"first batch: images {images}, tokens {tokens}, rows {len(batch)}")


class MetricsLog:
    """metrics.jsonl, timing.jsonl and, when installed, TensorBoard; silent on other ranks.

    Args:
        folder: the run folder.
        size: bytes of metrics.jsonl that belong to the checkpoint resumed from; what a killed
            run wrote after them is cut off and written again, equal to the last byte.
        step: the step resumed from.
        is_writing: whether this process is the one that writes.
    """

    def __init__(self, folder: Path, size: int, step: int, *, is_writing: bool) -> None:
        self._metrics: TextIO | None = None
        self._timing: TextIO | None = None
        self._board: _Board | None = None
        if not is_writing:
            return
        path = self._path = folder / METRICS
        path.touch()
        if path.stat().st_size < size:
            raise ValueError(
                f"{path} has {path.stat().st_size} bytes, the checkpoint was saved after {size}: "
                "the log was cut; restore it or start another run"
            )
        with path.open("r+b") as file:
            file.truncate(size)
        self._metrics = path.open("a", encoding="utf-8")
        self._timing = (folder / TIMING).open("a", encoding="utf-8")
        self._board = _tensorboard(folder / "tensorboard", step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """One line {"step": ..., name: value ...}."""
        if self._metrics is None:
            return
        self._metrics.write(json.dumps({"step": step, **values}) + "\n")
        self._metrics.flush()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def time(self, step: int, seconds: float, rows: int) -> None:
        """How long the steps since the last line took."""
        if self._timing is None:
            return
        line = {"step": step, "seconds": round(seconds, 4), "rows_per_second": rows / seconds}
        self._timing.write(json.dumps(line) + "\n")
        self._timing.flush()

    def size(self) -> int:
        """Bytes of metrics.jsonl on the disk so far, 0 where this process does not write."""
        if self._metrics is None:
            return 0
        os.fsync(self._metrics.fileno())
        return self._path.stat().st_size

    def close(self) -> None:
        """Close the files."""
        for file in (self._metrics, self._timing, self._board):
            if file is not None:
                file.close()


class _Board(Protocol):
    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...

    def close(self) -> None: ...


def _tensorboard(folder: Path, step: int) -> _Board | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    board: _Board = SummaryWriter(str(folder), purge_step=step)
    return board
