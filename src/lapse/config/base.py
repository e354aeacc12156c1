"""The base of all configuration classes, and the error messages of wrong values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from lapse.core.types import nearest


class Config(BaseModel):
    """Base of all: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, {"a.b": value}; tuples become lists.

    >>> flatten({"a": {"b": 1}, "c": (2,)})
    {'a.b': 1, 'c': [2]}
    """
    items: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            items |= flatten(value, f"{prefix}{key}.")
        else:
            items[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return items


def explain(error: ValidationError, prefix: str = "") -> str:
    """The errors of pydantic as "a.b: problem, nearest known name", separated by semicolons."""
    lines = []
    for item in error.errors():
        path = prefix + ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            owner = _model_at(error.title, item["loc"][:-1])
            names = list(owner.model_fields) if owner else []
            lines.append(f"{path}: unknown key; {nearest(str(item['loc'][-1]), names)}")
        elif item["type"] == "missing":
            lines.append(f"{path}: required, but missing")
        else:
            value = item.get("input")
            shown = "" if isinstance(value, dict) else f" (got {value!r})"
            message = item["msg"].removeprefix("Value error, ")
            lines.append(f"{path}: {message}{shown}" if path else f"{message}{shown}")
    return "; ".join(lines)


def _model_at(title: str, location: tuple[int | str, ...]) -> type[BaseModel] | None:
    model = next((kind for kind in _kinds(Config) if kind.__name__ == title), None)
    for part in location:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field else None
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _kinds(owner: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for kind in owner.__subclasses__():
        yield kind
        yield from _kinds(kind)
