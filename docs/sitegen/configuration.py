"""The configuration reference, generated from the pydantic classes and the presets."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import resources
from itertools import pairwise, takewhile
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from lapse.config import RunConfig, preset_names
from lapse.core import registry

HEADER = """# Configuration

A run is defined by one YAML file: a preset by name, or a path. Override any key with
`a.b=value` after the name, for example `lapse train diffvqa-lapse --data STORE --out RUN
optim.learning_rate=5e-5`. Values are YAML. The resolved configuration is printed, saved in the
run folder as `config.yaml`, and is the only configuration that `lapse predict` reads. Unknown keys
and values outside their limits are errors.

This page is generated from the configuration classes.
"""
SEPARATOR = "\\|"  # a bar inside a cell of a table
STAGES = {"pretraining": "Stage 1 models", "vqa": "Stage 2 models"}


def model_classes() -> Iterator[tuple[str, str, type[BaseModel]]]:
    """Registry table, registered name and configuration class of every model."""
    for table in STAGES:
        for name in registry.names(table):
            yield table, name, registry.load_config_class(table, name)


def all_classes() -> list[type[BaseModel]]:
    """RunConfig, the classes of all models, and every class nested in them, once each."""
    found: dict[type[BaseModel], None] = {}
    queue: list[type[BaseModel]] = [RunConfig, *(kind for _, _, kind in model_classes())]
    while queue:
        kind = queue.pop(0)
        if kind not in found:
            found[kind] = None
            queue += [
                nested
                for field in kind.model_fields.values()
                for nested in _nested_classes(field.annotation)
            ]
    return list(found)


def descriptions(kind: type[BaseModel]) -> dict[str, str]:
    """Key -> description: the string below the field in the source, or Field(description=)."""
    texts = {
        name: field.description for name, field in kind.model_fields.items() if field.description
    }
    for owner in reversed(kind.__mro__):
        if issubclass(owner, BaseModel) and owner is not BaseModel:
            texts |= _strings_below_fields(owner)
    return texts


def _strings_below_fields(kind: type[BaseModel]) -> dict[str, str]:
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(kind)))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef)).body
    texts = {}
    for node, after in pairwise(body):
        match node, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[name] = " ".join(text.split())
    return texts


def configuration_page() -> str:
    """The page as Markdown."""
    run_classes: list[type[BaseModel]] = [
        RunConfig,
        *(k for k in all_classes() if k.__module__ == RunConfig.__module__),
    ]
    models = list(model_classes())
    shown = {*run_classes, *(kind for _, _, kind in models)}
    parts = [HEADER, "## The run", _table(RunConfig)]
    for kind in dict.fromkeys(run_classes):
        if kind is not RunConfig:
            parts.append(_section(kind))
    for table, title in STAGES.items():
        parts.append(f"## {title}")
        for owner, name, kind in models:
            if owner == table:
                parts.append(f"### `model_type: {name}`, {title.lower().removesuffix(' models')}")
                tasks = ", ".join(f"`{task}`" for task in registry.find(table, name).tasks)
                parts += [f"{_first_line(kind)} Default tasks: {tasks}.", _table(kind)]
    parts.append("## Parts of models")
    parts += [_section(kind) for kind in all_classes() if kind not in shown]
    parts += ["## Presets", _presets()]
    return "\n\n".join(parts) + "\n"


def _section(kind: type[BaseModel]) -> str:
    return "\n\n".join([f"### {kind.__name__}", _first_line(kind), _table(kind)])


def _first_line(kind: type[BaseModel]) -> str:
    return (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")


def _table(kind: type[BaseModel]) -> str:
    texts = descriptions(kind)
    rows: list[list[str]] = [["key", "type", "default", "description"], ["---"] * 4]
    for name, field in kind.model_fields.items():
        kinds = [_type(field.annotation), *_limits(field)]
        rows.append([f"`{name}`", ", ".join(kinds), _default(field), texts.get(name, "")])
    return "\n".join(
        "| " + " | ".join(c.replace("|", SEPARATOR) for c in row) + " |" for row in rows
    )


def _nested_classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _nested_classes(inner)


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(_type(part) for part in inner)
    if origin is tuple and inner[-1] is Ellipsis:
        return f"list of {_type(inner[0])}"
    if origin is tuple:
        return f"{len(inner)} {_type(inner[0])}s"
    if origin is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    plain = {int: "integer", float: "number", bool: "boolean", str: "string", type(None): "null"}
    return plain.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _limits(field: FieldInfo) -> Iterator[str]:
    for item in field.metadata:
        if isinstance(item, annotated_types.Ge):
            yield f"at least {item.ge:g}"
        elif isinstance(item, annotated_types.Gt):
            yield f"above {item.gt:g}"
        elif isinstance(item, annotated_types.Le):
            yield f"at most {item.le:g}"
        elif isinstance(item, annotated_types.Lt):
            yield f"below {item.lt:g}"


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, BaseModel):
        changed = default.model_dump(exclude_unset=True)
        return ", ".join(f"`{key}: {value}`" for key, value in changed.items()) or "defaults below"
    if isinstance(default, tuple):
        return f"`[{', '.join(str(item) for item in default)}]`"
    if default is None or isinstance(default, bool):
        default = {None: "null", True: "true", False: "false"}[default]
    return f"`{default}`"


def _presets() -> str:
    rows = ["| preset | description |", "| --- | --- |"]
    folder = resources.files("lapse") / "presets"
    for name in preset_names():
        lines = (folder / f"{name}.yaml").read_text("utf-8").splitlines()
        header = takewhile(lambda line: line.startswith("#"), lines)
        text = [line.lstrip("# ") for line in header]
        about = takewhile(lambda line: not line.startswith(("lapse ", "torchrun ")), text)
        rows.append(f"| `{name}` | {' '.join(about).replace('|', SEPARATOR)} |")
    return "\n".join(rows)
