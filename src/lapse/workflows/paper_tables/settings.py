"""What a command adds to the configurations of a table: overrides, and the weights of GPT-2.

--set train.steps=5             every run whose configuration has the key
--set diffvqa:train.steps=5     the runs of one stage
--language-model FOLDER         every GPT-2 of the size of these weights
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from lapse.config import RunConfig, Stage
from lapse.config.base import flatten
from lapse.core.types import nearest

Scale = Literal["tiny", "small", "paper"]
RANDOM = "random"
STAGES: tuple[Stage, ...] = ("pretrain", "diffvqa")
LENGTH_KEYS = ("train.steps", "train.epochs")  # giving one replaces the other
SIZES = {"width": "n_embd", "layers": "n_layer", "heads": "n_head"}
MEDIUM = {"width": 1024, "layers": 24, "heads": 16}  # GPT-2 medium, the language model of the paper


@dataclass(frozen=True, slots=True)
class Setting:
    """One override. `stage` None: both stages."""

    key: str
    value: str
    stage: Stage | None = None

    def applies_to(self, config: RunConfig) -> bool:
        """Whether the configuration is of the stage and has the key."""
        keys = flatten(config.model_dump())
        has_key = any(f"{key}.".startswith(f"{self.key}.") for key in keys)
        return self.stage in (None, config.stage) and has_key

    def overrides(self) -> list[str]:
        """As `load_config` reads them."""
        others = [key for key in LENGTH_KEYS if key != self.key and self.key in LENGTH_KEYS]
        return [*(f"{key}=null" for key in others), f"{self.key}={self.value}"]


def parse_settings(texts: Sequence[str]) -> tuple[Setting, ...]:
    """Read "a.b=value" and "stage:a.b=value".

    Raises:
        ValueError: another form, or an unknown stage.
    """
    settings = []
    for text in texts:
        key, separator, value = text.partition("=")
        stage, colon, rest = key.rpartition(":")
        if not separator or not rest:
            raise ValueError(f"setting {text!r} is not of the form key=value or stage:key=value")
        if colon and stage not in STAGES:
            raise ValueError(f"setting {text!r}: no stage {stage!r}; {nearest(stage, STAGES)}")
        settings.append(Setting(rest, value, cast("Stage | None", stage or None)))
    return tuple(settings)


def overrides_of(
    settings: Sequence[Setting], config: RunConfig, *, keeps_length: bool = False
) -> list[str]:
    """The overrides that apply to a run; `keeps_length`: without those of its length."""
    return [
        override
        for setting in settings
        if setting.applies_to(config) and not (keeps_length and setting.key in LENGTH_KEYS)
        for override in setting.overrides()
    ]


def check_settings(settings: Sequence[Setting], configs: Sequence[RunConfig]) -> None:
    """Refuse a setting that no run has.

    Raises:
        ValueError: names the keys of the runs that are nearest.
    """
    for setting in settings:
        if not any(setting.applies_to(config) for config in configs):
            keys = sorted({key for config in configs for key in flatten(config.model_dump())})
            where = f" of stage {setting.stage}" if setting.stage else ""
            hint = nearest(setting.key, keys).rpartition("; ")[2]
            raise ValueError(
                f"no run{where} has the key {setting.key!r}"
                + (f"; {hint}" if hint.startswith("did you mean") else "")
            )


@dataclass(frozen=True, slots=True)
class LanguageModelChoice:
    """The first weights of GPT-2 in the runs of a table.

    Attributes:
        weights: an absolute folder, or a pinned hub id; None for random weights.
        sizes: width, layers and heads of these weights.
    """

    weights: str | None = None
    sizes: Mapping[str, int] | None = None

    @property
    def description(self) -> str:
        """For tables and logs."""
        return self.weights or "random weights"

    def overrides(self, config: RunConfig) -> list[str]:
        """The override of a run whose language model has the sizes and names no weights."""
        model = config.model.get("language_model")
        if self.sizes is None or not model or model.get("weights") is not None:
            return []
        if any(model[name] != size for name, size in self.sizes.items()):
            return []
        return [f"model.language_model.weights={self.weights}"]


def read_language_model(source: str | None, scale: Scale) -> LanguageModelChoice:
    """Check a --language-model before anything is trained.

    Args:
        source: a folder of transformers, a pinned hub id, "random", or None for no choice.
        scale: "paper" requires a choice, and GPT-2 medium.

    Raises:
        ValueError: no choice at the scale of the paper, no such folder, or other sizes.
    """
    if source is None and scale == "paper":
        raise ValueError(
            "the paper starts stage 2 from the weights of GPT-2 medium: give --language-model "
            "FOLDER (or a pinned hub id), or --language-model random, which every table then states"
        )
    if source is None or source == RANDOM:
        return LanguageModelChoice()
    from lapse.models.backbones.hub import local_folder, read_json

    raw = read_json(local_folder(source, "--language-model") / "config.json")
    sizes = {name: raw.get(key) for name, key in SIZES.items()}
    if raw.get("model_type") != "gpt2" or not all(isinstance(v, int) for v in sizes.values()):
        raise ValueError(f"--language-model {source} is a {raw.get('model_type')!r}, not a GPT-2")
    if scale == "paper" and sizes != MEDIUM:
        raise ValueError(
            f"--language-model {source} has {_show(sizes)}, GPT-2 medium has {_show(MEDIUM)}"
        )
    folder = Path(source)
    weights = str(folder.resolve()) if folder.is_dir() else source
    return LanguageModelChoice(weights, cast("Mapping[str, int]", sizes))


def _show(sizes: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {size}" for name, size in sizes.items())
