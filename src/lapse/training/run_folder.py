"""The run folder: everything that defines a run, its log, and its checkpoints.

RUN/config.yaml           the resolved configuration, the only input of `predict`
RUN/vocabulary.json       the GPT-2 ids that a trimmed vocabulary keeps, or null; or other words
RUN/run.json              what else changes the result: data hash, image processing, threads, ranks,
                          device, precision
RUN/initialization.json   the source of the first weights, see `lapse.training.initialization`
RUN/metrics.jsonl         one line per logged step, without times: equal runs, equal bytes
RUN/timing.jsonl          the duration of the logged steps
RUN/run.lock              the id of the process that writes to the folder
RUN/checkpoints/          see `lapse.training.checkpoint`
RUN/best/                 the weights with the lowest validation loss, with `train.keep: best`
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from lapse.config import RunConfig, check_config, read_yaml
from lapse.config.base import flatten
from lapse.core import registry
from lapse.core.files import TEMPORARY, file_lock, refuse_second_writer, write_text
from lapse.core.json_files import read_json, read_json_object
from lapse.core.seeding import derive_seed
from lapse.core.tokenizer import Tokenizer
from lapse.core.version import __version__
from lapse.core.word_tokenizer import tokenizer_of
from lapse.data.store.store import Store
from lapse.images import ImageProcessing, recorded_processing
from lapse.models.interface import TrainableModel
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.training.checkpoint import MODEL, result_checkpoint
from lapse.training.distributed import DistributedContext, pick_device
from lapse.training.weight_files import load_weights

logger = logging.getLogger(__name__)

CONFIG, VOCABULARY, FACTS, LOCK = "config.yaml", "vocabulary.json", "run.json", "run.lock"
# Keys that may differ when a run is resumed, because they do not change its result.
FREE_KEYS = frozenset(("train.num_workers", "train.save_every", "train.keep_checkpoints"))


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A trained run: the model is on `device` and in evaluation mode.

    `processing` is that of its training images, which inference repeats.
    """

    folder: Path
    config: RunConfig
    tokenizer: Tokenizer
    model: TrainableModel
    device: torch.device
    step: int
    processing: ImageProcessing


def build_model(config: RunConfig, tokenizer: Tokenizer) -> TrainableModel:
    """The model of a configuration, with random weights derived from the seed.

    Raises:
        ValueError: the class behind `model_type` is not a `TrainableModel`, or reads another
            vocabulary.
    """
    torch.manual_seed(derive_seed(config.train.seed, "init"))
    model = registry.load(config.table, config.model_type)(config.model_config_object(), tokenizer)
    if not isinstance(model, TrainableModel):
        raise ValueError(
            f"{config.model_type!r} is not a trainable model: it needs the methods loss, weight "
            "and answer, and a tokenizer (lapse.models.interface.TrainableModel)"
        )
    _check_vocabulary(config, model, tokenizer)
    return model


def _check_vocabulary(config: RunConfig, model: TrainableModel, tokenizer: Tokenizer) -> None:
    """Refuse words or word pieces for a model with a table of GPT-2's tokens."""
    tables = [part for part in model.modules() if isinstance(part, TokenEmbedding)]
    if any(len(table.row_of) != tokenizer.size for table in tables):
        raise ValueError(
            f"data.vocabulary is {config.data.vocabulary!r} and {config.model_type!r} reads "
            "GPT-2's tokens: set it to 'full' or 'trimmed'"
        )


def load_run(folder: Path, device: torch.device | str | None = None) -> LoadedRun:
    """Load a run with its newest weights, or with its best ones (`train.keep`).

    Args:
        folder: the run folder.
        device: None picks a GPU if there is one.

    Raises:
        ValueError: the folder is not a run, has no valid checkpoint, or does not record how its
            images were processed.
    """
    device = torch.device(device) if device is not None else pick_device()
    config, tokenizer = read_config(folder), read_tokenizer(folder)
    search = result_checkpoint(folder, config.train.keep)
    if search.checkpoint is None:
        raise ValueError(
            f"run {folder} has no valid checkpoint "
            f"({'; '.join(search.skipped) or 'none written'}): train it first"
        )
    model = build_model(skip_pretrained_weights(config), tokenizer)
    load_weights(search.checkpoint.folder / MODEL, model)
    model.to(device).eval()
    step, processing = search.checkpoint.step, read_processing(folder)
    return LoadedRun(folder, config, tokenizer, model, device, step, processing)


def is_run_folder(folder: Path) -> bool:
    """Whether a folder holds a run. A new or empty one does not.

    Raises:
        ValueError: the folder holds other files, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a run folder: choose another")
    if (folder / CONFIG).is_file():
        return True
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    unfinished = {name for name in names if name.endswith(TEMPORARY)}
    foreign = sorted(names - {VOCABULARY, FACTS, LOCK} - unfinished)
    if foreign:
        raise ValueError(
            f"{folder} is not a run folder and not empty (it holds {foreign[0]}): choose another"
        )
    return False


@contextmanager
def run_lock(folder: Path, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of a run folder, so that one process at a time writes to it.

    A new folder in which no run was started is deleted again.

    Args:
        folder: the run folder.
        on_wait: called with the id of the process that holds the lock, before waiting for it. None
            refuses to wait.

    Raises:
        ValueError: another process holds the lock, or the folder holds other files.
    """
    is_run_folder(folder)
    is_new = not folder.exists()
    with file_lock(folder / LOCK, on_wait or refuse_second_writer(folder)):
        try:
            yield
        finally:
            if is_new and [path.name for path in folder.iterdir()] == [LOCK]:
                (folder / LOCK).unlink()
                folder.rmdir()


def read_config(folder: Path) -> RunConfig:
    """The resolved configuration of a run folder.

    Raises:
        ValueError: the folder is not a run, is a run of lapse 0.1, or names a class outside lapse
            that the user did not allow (`registry.allow`).
    """
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(f"{folder} is not a run folder: it has no {CONFIG}")
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path}: a configuration is a mapping, got {type(values).__name__}")
    if not {"loop", "model_name"}.isdisjoint(values):
        raise ValueError(
            f"{folder} is a run of lapse 0.1, which lapse {__version__} does not read: use it with "
            "lapse 0.1.0, or train it again"
        )
    try:
        return check_config(values, registered_only=True)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer that a run was trained with."""
    path = folder / VOCABULARY
    spec: Any = read_json(path)
    try:
        return tokenizer_of(spec)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged, it is not a vocabulary: {error}") from None


def read_processing(folder: Path) -> ImageProcessing:
    """How the training images of a run were resized and scaled.

    Raises:
        ValueError: the run does not record it.
    """
    return recorded_processing(read_facts(folder).get("images", {}), f"run {folder}")


def write_run(
    folder: Path, config: RunConfig, tokenizer: Tokenizer, facts: Mapping[str, Any]
) -> None:
    """Write the files that define a run; config.yaml is last and makes the folder a run."""
    write_text(folder / VOCABULARY, json.dumps(tokenizer.spec) + "\n")
    write_text(folder / FACTS, json.dumps(dict(facts), indent=1) + "\n")
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    write_text(folder / CONFIG, text)


def run_facts(store: Store, distributed: DistributedContext) -> dict[str, Any]:
    """What changes the result of a run besides its configuration; see `check_same_run`."""
    return {
        "data": store.info.fingerprint,
        "images": asdict(store.info.processing),
        "threads": torch.get_num_threads(),
        "ranks": distributed.world_size,
        "device": distributed.device.type,
        "torch": str(torch.__version__),
    }


def check_same_run(folder: Path, config: RunConfig, facts: Mapping[str, Any]) -> None:
    """Refuse to resume a run with another configuration, other data or other threads.

    Another number of ranks or another device gives the same samples and is only warned about.

    Raises:
        ValueError: names every key that differs, with both values.
    """
    registry.allow(*config.class_paths)  # the user named them now, not only the folder
    old, new = flatten(read_config(folder).model_dump()), flatten(config.model_dump())
    different = [
        f"{key} is {new.get(key)!r}, was {old.get(key)!r}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and key not in FREE_KEYS
    ]
    stored = read_facts(folder, tuple(facts))
    fixed = ("data", "threads") if stored["device"] == facts["device"] == "cpu" else ("data",)
    different += [
        f"{key} is {facts[key]!r}, was {stored[key]!r}"
        for key in fixed
        if facts[key] != stored[key]
    ]
    if different:
        raise ValueError(
            f"run {folder} was started differently: {'; '.join(different)}. Give the same values "
            "(threads: OMP_NUM_THREADS) or another output folder"
        )
    for key in ("ranks", "device"):
        if facts[key] != stored[key]:
            logger.warning(
                "%s is %r, was %r: the samples are the same, the last bits of the result differ",
                key,
                facts[key],
                stored[key],
            )


def read_facts(folder: Path, required: Sequence[str] = ("data",)) -> dict[str, Any]:
    """The content of run.json, with these keys at least.

    Raises:
        ValueError: the file is missing or damaged.
    """
    stored = read_json_object(folder / FACTS)
    missing = [key for key in required if key not in stored]
    if missing:
        raise ValueError(f"{folder / FACTS} is damaged: it lacks {', '.join(missing)}")
    return stored


def skip_pretrained_weights(config: RunConfig) -> RunConfig:
    """The same run without the pretrained weights of its parts, for a model that gets others next.

    They are the options `weights` of the model and of its parts, such as GPT-2's.
    """
    values = config.model_dump(mode="json")
    parts = [values["model"], *(v for v in values["model"].values() if isinstance(v, dict))]
    named = [part for part in parts if part.get("weights") is not None]
    for part in named:
        part["weights"] = None
    return check_config(values) if named else config
