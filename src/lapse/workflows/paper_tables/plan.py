"""A table of the paper as a plan: the runs of each row in order, equal runs only once.

Legend: row = one line of the table; run = one training; a row is a chain of runs

    table2.yaml: row "ReAL"   pretrain-lapse --encoder--> diffvqa-real
                 row "PLURAL" diffvqa-plural-report --all weights--> diffvqa-plural

The key of a run is a hash of its resolved configuration, of its data, and of the key of the run
that it is initialized from. Rows and tables share runs with equal keys, such as pretraining. The
seed changes the last run of a row; with `seed_stages: all` it changes every run, for tables whose
rows differ in stage 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lapse.config import RunConfig, Stage, check_config, load_config, preset_names
from lapse.core import registry
from lapse.workflows.paper_tables.settings import LanguageModelChoice, Scale, Setting, overrides_of
from lapse.workflows.paper_tables.spec import Changes, RowSpec, TableSpec

if TYPE_CHECKING:
    from lapse.metrics.bertscore import BertChoice

# Keys of `train` that do not change a result.
NEUTRAL_KEYS = ("num_workers", "save_every", "keep_checkpoints")


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One training. `parent`: key of the run that initializes it, "" for none."""

    key: str
    config: RunConfig
    data: Path
    parent: str


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """One row at one seed: its runs in order, or the reason why it cannot run.

    `lacks_store`: no store has the image size of a run.
    """

    row: RowSpec
    seed: int
    runs: tuple[PlannedRun, ...]
    missing: str = ""
    lacks_store: bool = False


@dataclass(frozen=True, slots=True)
class StoreRef:
    """A store: its folder, and the fingerprint of its content."""

    path: Path
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How tables are run.

    Attributes:
        scale: "tiny", "small" or "paper".
        only: keys of rows, () for all. The row `ours` is always included.
        seeds: number of seeds of each row.
        split: the split that is answered and scored.
        processes: number of runs at the same time, each in a process with one thread. 1 runs them
            in this process, with the number of threads of torch.
        provenance: further facts for the end of the HTML reports.
        settings: overrides of all runs (`parse_settings`), after the changes of the table.
        language_model: the first weights of GPT-2 (`read_language_model`).
        bert: model for BERTScore; None: its column is empty.
    """

    scale: Scale = "tiny"
    only: tuple[str, ...] = ()
    seeds: int = 1
    split: str = "test"
    processes: int = 1
    provenance: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()
    language_model: LanguageModelChoice = field(default_factory=LanguageModelChoice)
    bert: BertChoice | None = None


class StoreSizeError(ValueError):
    """No store has the image size of a run."""


def plan(
    spec: TableSpec, out: Path, stores: Mapping[int, StoreRef], options: TableOptions
) -> list[PlannedRow]:
    """Every row at every seed, row by row.

    Args:
        out: parent folder of the run folders.
        stores: image size in pixels -> store.

    Raises:
        ValueError: `options.only` names an unknown row.
    """
    keys = [row.key for row in spec.rows]
    for key in options.only:
        if key not in keys:
            raise ValueError(f"no row {key!r}; the rows are {', '.join(keys)}")
    rows = []
    for row in spec.rows:
        if options.only and row.key not in {*options.only, spec.ours}:
            continue
        for seed in range(options.seeds):
            try:
                runs = _chain(_configs(spec, row, options, seed), out, stores)
                rows.append(PlannedRow(row, seed, runs))
            except ValueError as error:
                lacks_store = isinstance(error, StoreSizeError)
                rows.append(PlannedRow(row, seed, (), str(error), lacks_store))
    return rows


def _configs(spec: TableSpec, row: RowSpec, options: TableOptions, seed: int) -> list[RunConfig]:
    """The configurations of a row's runs in order, not yet initialized from each other."""
    scale = options.scale
    presets = row.presets(scale)
    if not presets:
        raise ValueError(f"row {row.key!r} has no presets at the {scale} scale")
    configs: list[RunConfig] = []
    for preset in presets:
        if preset not in preset_names():
            raise ValueError(f"this version of lapse has no preset {preset!r}")
        is_last = len(configs) == len(presets) - 1
        keeps_length = row.own_length and is_last
        stage = load_config(preset).stage
        changes = [f"train.seed={seed if is_last or spec.seed_stages == 'all' else 0}"]
        if not keeps_length:
            changes += _for_stage(spec.shared_changes(scale), stage)
        changes += _for_stage(row.changes, stage)
        changes += _for_stage(row.scale_changes(scale), stage)
        config = load_config(preset, changes)
        added = overrides_of(options.settings, config, keeps_length=keeps_length)
        added += options.language_model.overrides(config)
        configs.append(load_config(preset, [*changes, *added]) if added else config)
    return configs


def _for_stage(changes: Changes, stage: Stage) -> list[str]:
    return [*changes.get("all", ()), *changes.get(stage, ())]


def _chain(
    configs: Sequence[RunConfig], out: Path, stores: Mapping[int, StoreRef]
) -> tuple[PlannedRun, ...]:
    runs: list[PlannedRun] = []
    for config in configs:
        parent = ""
        if runs:
            parent = runs[-1].key
            source = _source_key(runs[-1].config, config)
            values = {**config.model_dump(mode="json"), source: str(run_folder(out, parent))}
            config = check_config(values)
        store = _store(config, stores)
        runs.append(PlannedRun(run_key(config, parent, store), config, store.path, parent))
    return tuple(runs)


def _source_key(before: RunConfig, config: RunConfig) -> str:
    """The key that takes the weights of the run before: of the same model, else of its encoder."""
    models = {config.model_type, registry.find(config.table, config.model_type).parent}
    is_model = before.stage == config.stage and before.model_type in models
    return "init_model" if is_model else "init_encoder"


def run_key(config: RunConfig, parent: str, data: StoreRef) -> str:
    """The preset's name and a hash of everything that determines the run."""
    values = config.model_dump(mode="json")
    values |= {"init_encoder": None, "init_model": None, "parent": parent}
    values["train"] = {
        key: item for key, item in values["train"].items() if key not in NEUTRAL_KEYS
    }
    text = json.dumps([values, data.fingerprint], sort_keys=True)
    return f"{config.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def run_folder(out: Path, key: str) -> Path:
    """The folder of a run."""
    return out / "runs" / key


def _store(config: RunConfig, stores: Mapping[int, StoreRef]) -> StoreRef:
    """The store at the image size of the model; any store for a model without images."""
    image_size = config.model.get("encoder", {}).get("image_size")
    if image_size is None:
        return next(iter(stores.values()))
    if image_size not in stores:
        sizes = ", ".join(f"{size} px" for size in sorted(stores)) or "none"
        raise StoreSizeError(
            f"preset {config.name} reads {image_size} px images and --data gives {sizes}: prepare "
            f"a store with `lapse prepare ... --size {image_size}` and pass it with --data"
        )
    return stores[image_size]
