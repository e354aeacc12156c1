"""From a preset or a YAML file, with a.b=value overrides, to a checked configuration."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lapse.config.base import explain
from lapse.config.run import RunConfig
from lapse.core.types import nearest


def preset_names() -> list[str]:
    """Names of the presets that ship with the package."""
    folder = resources.files("lapse") / "presets"
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml"))


def preset_description(name: str) -> str:
    """The first sentence of the comment at the top of a preset."""
    lines = (resources.files("lapse") / "presets" / f"{name}.yaml").read_text("utf-8").splitlines()
    comment = [line.removeprefix("# ") for line in lines if line.startswith("# ")]
    return " ".join(comment).partition(". ")[0].partition("  ")[0].rstrip(".")


def load_config(source: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> RunConfig:
    """Read a preset by name or a YAML file by path, apply a.b=value overrides, check it.

    Raises:
        ValueError: unknown preset, unknown key, or a value outside its limits; the message
            names the full path of the key and the nearest known name.
    """
    path = Path(source)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise ValueError(f"no configuration file {path}")
        values = read_yaml(path)
    elif str(source) in preset_names():
        text = (resources.files("lapse") / "presets" / f"{source}.yaml").read_text("utf-8")
        values = _parse(text, str(source))
    else:
        raise ValueError(f"no preset {str(source)!r}; {nearest(str(source), preset_names())}")
    if not isinstance(values, dict):
        raise ValueError(f"{source}: a configuration is a mapping, got {type(values).__name__}")
    for override in overrides:
        _apply(values, override)
    try:
        return check_config(values)
    except ValueError as error:
        if overrides or not path.is_file():
            raise
        raise ValueError(f"{path}: {error}") from None


def check_config(values: dict[str, Any], *, registered_only: bool = False) -> RunConfig:
    """A RunConfig from plain values, with one clear sentence for each problem.

    Args:
        values: as in a YAML file.
        registered_only: refuse "module:Class" as a name of a model or task, which would import a
            module. Set it for values from a file of somebody else.
    """
    try:
        return RunConfig.model_validate(values, context={"registered_only": registered_only})
    except ValidationError as error:
        raise ValueError(explain(error)) from None


def _apply(values: dict[str, Any], override: str) -> None:
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise ValueError(f"override {override!r} is not of the form a.b=value")
    *parents, last = path.split(".")
    node = values
    for part in parents:
        child = node.setdefault(part, {})
        if not isinstance(child, dict):
            raise ValueError(f"override {override!r}: {part!r} holds {child!r}, not a group")
        node = child
    node[last] = _parse(text, f"override {override!r}")


def read_yaml(path: Path) -> Any:
    """The value of a YAML file.

    Raises:
        ValueError: not UTF-8, not YAML, or nested too deeply; names the file.
    """
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged, it is not UTF-8: {error}") from None


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise ValueError(f"{source}: its values are nested too deeply") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is not YAML: {' '.join(str(error).split())}") from None
