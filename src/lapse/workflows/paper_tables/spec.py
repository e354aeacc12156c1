"""A table of the paper as a plan: which runs each row needs, in order, each run once.

Legend: row = one line of the table; run = one training; a row is a chain of runs

    table2.yaml: row "ReAL"  pretrain-lapse --encoder--> diffvqa-real
                 row "PLURAL" diffvqa-plural-report --whole model--> diffvqa-plural

A run's key is a hash of its resolved configuration, of the key of the run it begins with and of
its data. Equal keys are one run: rows and tables share their pretraining. The seed changes the
last run of a row; with `seed_stages: all` it changes every run, which a table needs whose rows
differ in stage 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from lapse.config import Config, RunConfig, Stage, check_config, explain, load_config, preset_names

Scale = Literal["tiny", "small", "paper"]
Changes = dict[Literal["all", "pretrain", "diffvqa"], tuple[str, ...]]
FREE = ("workers", "save_every", "keep_checkpoints")  # of `loop`: they cannot change a result


class RowSpec(Config):
    """One row: presets in order for each scale, what else differs, and what the paper prints.

    `own_length`: the last preset keeps its own length at the tiny scale (one pass over answers).
    """

    key: str
    name: str
    paper: tuple[str, ...] = ()
    small: tuple[str, ...] = ()
    tiny: tuple[str, ...] = ()
    changes: Changes = Field(default_factory=dict)
    tiny_changes: Changes = Field(default_factory=dict)
    small_changes: Changes = Field(default_factory=dict)
    paper_changes: Changes = Field(default_factory=dict)
    own_length: bool = False
    printed: dict[str, float] = Field(default_factory=dict)
    published_size: str = ""
    note: str = ""

    def presets(self, scale: Scale) -> tuple[str, ...]:
        """The presets of the row's runs at a scale; () where the row has none."""
        return {"paper": self.paper, "small": self.small, "tiny": self.tiny}[scale]

    def scale_changes(self, scale: Scale) -> Changes:
        """What differs from the presets at one scale alone."""
        return {
            "paper": self.paper_changes,
            "small": self.small_changes,
            "tiny": self.tiny_changes,
        }[scale]


class TableSpec(Config):
    """A table: rows, columns ("task/score"), and how the tiny scale is shorter.

    `kind` "cases" shows answers to a few test pairs instead of scores (Table 3). `floor` is a row
    that every other should beat, such as a random answer: the page names those that do not, and
    counts those that do in the columns of `main` (the first column where none is named).
    """

    title: str
    section: str
    kind: Literal["scores", "cases"] = "scores"
    tasks: tuple[str, ...] = Field(min_length=1)
    columns: dict[str, str] = Field(default_factory=dict)
    ours: str
    floor: str = ""
    main: tuple[str, ...] = ()
    cases: int = Field(3, ge=1)
    tiny: Changes = Field(default_factory=dict)
    tiny_limit: int = Field(96, ge=1)
    small: Changes = Field(default_factory=dict)
    small_limit: int = Field(1000, ge=1)
    seed_stages: Literal["last", "all"] = "last"
    rows: tuple[RowSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rows_are_known(self) -> TableSpec:
        keys = [row.key for row in self.rows]
        if len(set(keys)) < len(keys):
            raise ValueError(f"rows {keys} are not all different: give each row its own key")
        for what, key in (("ours", self.ours), ("floor", self.floor)):
            if key not in keys and (what == "ours" or key):
                raise ValueError(f"{what} is {key!r}, the rows are {', '.join(keys)}")
        for title in self.main:
            if title not in self.columns:
                raise ValueError(f"main is {title!r}, the columns are {', '.join(self.columns)}")
        for row in self.rows:
            unknown = sorted(row.printed.keys() - self.columns.keys())
            if unknown:
                raise ValueError(f"row {row.key!r} prints {unknown[0]!r}, which is no column")
            if not (row.paper or row.small or row.tiny):
                raise ValueError(f"row {row.key!r} has no presets: give paper, small or tiny")
        return self

    def limit(self, scale: Scale) -> int | None:
        """How many samples are answered at a scale; None for all."""
        return {"paper": None, "small": self.small_limit, "tiny": self.tiny_limit}[scale]

    def shared_changes(self, scale: Scale) -> Changes:
        """What differs from the presets in every row at one scale."""
        return {"paper": {}, "small": self.small, "tiny": self.tiny}[scale]

    @property
    def main_columns(self) -> tuple[str, ...]:
        """The columns in which a row should be above the floor."""
        return self.main or tuple(self.columns)[:1]


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One training. `parent` is the key of the run that it begins with, "" for none."""

    key: str
    config: RunConfig
    data: Path
    parent: str


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """One row at one seed: its runs in order, or why it cannot run."""

    row: RowSpec
    seed: int
    runs: tuple[PlannedRun, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """A store by its image side: where it lies, and the fingerprint of its content."""

    path: Path
    fingerprint: str


def read_table(path: Path) -> TableSpec:
    """Read experiments/tableN.yaml.

    Raises:
        ValueError: no such file, or a key that is wrong (named by its full path).
    """
    if not path.is_file():
        raise ValueError(f"no table {path}: give a file like experiments/table2.yaml")
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path}: a table is a mapping, got {type(values).__name__}")
    try:
        return TableSpec.model_validate(values)
    except ValidationError as error:
        raise ValueError(f"{path}: {explain(error)}") from None


def plan(
    spec: TableSpec,
    out: Path,
    stores: Mapping[int, Data],
    *,
    scale: Scale,
    seeds: int = 1,
    only: Sequence[str] = (),
) -> list[PlannedRow]:
    """Every row at every seed, row by row.

    Args:
        spec: the table.
        out: runs lie in `out`/runs.
        stores: image side in pixels -> store.
        scale: which presets.
        seeds: 0 .. seeds - 1.
        only: keys of the rows that are wanted; () for all. Ours is always there to compare with.

    Raises:
        ValueError: `only` names a row that is not there.
    """
    known = [row.key for row in spec.rows]
    for key in only:
        if key not in known:
            raise ValueError(f"no row {key!r}; the rows are {', '.join(known)}")
    wanted = {*only, spec.ours} if only else set(known)
    found = []
    for row in spec.rows:
        if row.key in wanted:
            for seed in range(seeds):
                try:
                    runs = _runs(spec, row, out, stores, scale=scale, seed=seed)
                    found.append(PlannedRow(row, seed, runs))
                except ValueError as error:
                    found.append(PlannedRow(row, seed, (), str(error)))
    return found


def _runs(
    spec: TableSpec,
    row: RowSpec,
    out: Path,
    stores: Mapping[int, Data],
    *,
    scale: Scale,
    seed: int,
) -> tuple[PlannedRun, ...]:
    presets = row.presets(scale)
    if not presets:
        raise ValueError(f"row {row.key!r} has no presets at the {scale} scale")
    known = preset_names()
    runs: list[PlannedRun] = []
    for place, preset in enumerate(presets):
        if preset not in known:
            raise ValueError(
                f"preset {preset!r} is not among the {len(known)} that ship with this version: "
                f"add src/lapse/presets/{preset}.yaml, then run the same command again"
            )
        is_last = place == len(presets) - 1
        stage = load_config(preset).stage
        changes = [f"train.seed={seed if is_last or spec.seed_stages == 'all' else 0}"]
        if not (row.own_length and is_last):
            changes += _of(spec.shared_changes(scale), stage)
        changes += _of(row.changes, stage)
        changes += _of(row.scale_changes(scale), stage)
        config = load_config(preset, changes)
        parent = ""
        if runs:
            parent = runs[-1].key
            begins = "init_encoder" if runs[-1].config.stage != stage else "init_model"
            values = {**config.model_dump(mode="json"), begins: str(run_folder(out, parent))}
            config = check_config(values)
        data = _data(config, stores)
        runs.append(PlannedRun(run_key(config, parent, data), config, data.path, parent))
    return tuple(runs)


def run_key(config: RunConfig, parent: str, data: Data) -> str:
    """The preset's name and a hash of everything that decides the run."""
    values = config.model_dump(mode="json")
    values |= {"init_encoder": None, "init_model": None, "parent": parent}
    values["train"] = {key: item for key, item in values["train"].items() if key not in FREE}
    text = json.dumps([values, data.fingerprint], sort_keys=True)
    return f"{config.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def run_folder(out: Path, key: str) -> Path:
    """Where a run lies."""
    return out / "runs" / key


def _of(changes: Changes, stage: Stage) -> list[str]:
    return [*changes.get("all", ()), *changes.get(stage, ())]


def _data(config: RunConfig, stores: Mapping[int, Data]) -> Data:
    """The store at the side that the model reads; any, for a model that reads none."""
    side = config.model.get("encoder", {}).get("image_size")
    if side is None:
        return next(iter(stores.values()))
    if side not in stores:
        have = ", ".join(f"{size} px" for size in sorted(stores)) or "none"
        raise ValueError(
            f"preset {config.name} reads {side} px images and --data gives {have}: prepare one "
            f"more with `lapse prepare ... --size {side}` and name it with another --data"
        )
    return stores[side]
