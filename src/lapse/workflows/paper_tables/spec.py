"""A table of the paper as a YAML file: its rows, columns, and the changes of each scale."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from lapse.config import Config, explain, read_yaml
from lapse.core.types import nearest
from lapse.workflows.paper_tables.settings import Scale

Changes = dict[Literal["all", "pretrain", "diffvqa"], tuple[str, ...]]
_SPECS = resources.files("lapse.workflows.paper_tables") / "specs"


class RowSpec(Config):
    """One row: presets in order for each scale, further changes, and the numbers of the paper.

    `own_length`: the last preset keeps its length at every scale (one pass over the answers).
    `answer_tasks`: the tasks that the last run answers; () for those that it was trained on.
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
    answer_tasks: tuple[str, ...] = ()
    printed: dict[str, float] = Field(default_factory=dict)
    published_size: str = ""
    note: str = ""

    def presets(self, scale: Scale) -> tuple[str, ...]:
        """The presets of the row's runs at a scale; () where the row has none."""
        return {"paper": self.paper, "small": self.small, "tiny": self.tiny}[scale]

    def scale_changes(self, scale: Scale) -> Changes:
        """Changes of the presets of this row at one scale only."""
        changes: Changes = getattr(self, f"{scale}_changes")
        return changes


class TableSpec(Config):
    """A table: rows, columns ("task/score"), and how the smaller scales are shortened.

    `kind` "cases" shows answers to a few test pairs instead of scores (Table 3). `floor` is a row
    that every other row should exceed, such as a random answer: the table counts the rows that
    exceed it in the columns of `main` (default: the first column) and lists the others.
    """

    title: str
    section: str = ""
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
    def _check_names(self) -> TableSpec:
        keys = [row.key for row in self.rows]
        if len(set(keys)) < len(keys):
            raise ValueError(f"rows {keys} are not all different: give each row its own key")
        for name, key in (("ours", self.ours), ("floor", self.floor)):
            if key not in keys and (name == "ours" or key):
                raise ValueError(f"{name} is {key!r}, the rows are {', '.join(keys)}")
        for title in self.main:
            if title not in self.columns:
                raise ValueError(f"main is {title!r}, the columns are {', '.join(self.columns)}")
        for row in self.rows:
            unknown = sorted(row.printed.keys() - self.columns.keys())
            if unknown:
                raise ValueError(f"row {row.key!r} prints {unknown[0]!r}, which is not a column")
            if not (row.paper or row.small or row.tiny):
                raise ValueError(f"row {row.key!r} has no presets: give paper, small or tiny")
        return self

    def limit(self, scale: Scale) -> int | None:
        """How many samples are answered at a scale; None for all."""
        return {"paper": None, "small": self.small_limit, "tiny": self.tiny_limit}[scale]

    def shared_changes(self, scale: Scale) -> Changes:
        """Changes of the presets of every row at one scale."""
        return {"paper": {}, "small": self.small, "tiny": self.tiny}[scale]

    @property
    def main_columns(self) -> tuple[str, ...]:
        """The columns in which a row should exceed the floor."""
        return self.main or tuple(self.columns)[:1]


def table_names() -> list[str]:
    """Names of the tables that ship with the package."""
    return sorted(item.name.removesuffix(".yaml") for item in _SPECS.iterdir())


def read_table(source: str | Path) -> TableSpec:
    """Read a table of the package by its name, or a YAML file by its path.

    Raises:
        ValueError: no such table, or a wrong key (named by its full path).
    """
    path = Path(source)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise ValueError(f"no table file {path}")
        values = read_yaml(path)
    elif str(source) in table_names():
        values = yaml.safe_load((_SPECS / f"{source}.yaml").read_text(encoding="utf-8"))
    else:
        raise ValueError(f"no table {str(source)!r}; {nearest(str(source), table_names())}")
    if not isinstance(values, dict):
        raise ValueError(f"{source}: a table is a mapping, got {type(values).__name__}")
    try:
        return TableSpec.model_validate(values)
    except ValidationError as error:
        raise ValueError(f"{source}: {explain(error)}") from None
