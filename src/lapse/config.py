"""Configuration as data: frozen pydantic models, YAML presets, and a.b=value overrides.

The resolved configuration is printed, saved in the run folder, and is the only input of
`predict`. Layer 2: no torch here, so that a wrong name is reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lapse import registry
from lapse.types import nearest


class Config(BaseModel):
    """Base of all: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def check_heads(width: int, heads: int, what: str) -> None:
    """Refuse a width that the heads do not divide."""
    if width % heads:
        raise ValueError(f"{what}: {heads} heads do not divide width {width}")


class EncoderConfig(Config):
    """SigLIP vision transformer (paper 4.1; So400m sizes, docs/deviations.md 1).

    `stem`: the paper's one layer of patches, or convolutions for small models ("conv_batch":
    with batch norm), which cannot be written in SigLIP's format.
    `foreign`: the architecture of another kind of encoder, as its config.json has it
    (`lapse.models.warm_start.encoder_config_of` writes it); the sizes then describe that one.
    """

    image_size: int = Field(448, ge=16)
    patch_size: int = Field(14, ge=1)
    channels: Literal[1, 3] = 3
    width: int = Field(1152, ge=8)
    layers: int = Field(27, ge=1)
    heads: int = Field(16, ge=1)
    mlp_width: int = Field(4304, ge=8)
    stem: Literal["patch", "conv", "conv_batch"] = "patch"
    checkpoint_blocks: bool = False
    foreign: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _divides(self) -> EncoderConfig:
        check_heads(self.width, self.heads, "encoder")
        if self.stem != "patch" and (self.width % 8 or self.patch_size.bit_count() != 1):
            raise ValueError(
                f"encoder: a stem of convolutions needs a patch that is a power of two and a "
                f"width that 8 divides, got patch {self.patch_size} and width {self.width}"
            )
        return self

    @property
    def num_tokens(self) -> int:
        """Visual tokens of one image (a remainder at the border is dropped, as SigLIP does)."""
        return (self.image_size // self.patch_size) ** 2


class DecoderConfig(Config):
    """Captioning decoder: causal self-attention, cross-attention in every layer (3.2.1)."""

    width: int = Field(1024, ge=8)
    layers: int = Field(12, ge=1)
    heads: int = Field(16, ge=1)
    mlp_width: int = Field(4096, ge=8)
    max_tokens: int = Field(448, ge=8)
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    checkpoint_blocks: bool = False

    @model_validator(mode="after")
    def _divides(self) -> DecoderConfig:
        check_heads(self.width, self.heads, "decoder")
        return self


class CaptionerConfig(Config):
    """Stage 1 of the paper, and CapPa: encoder, two-layer adapter, decoder."""

    encoder: EncoderConfig = EncoderConfig()
    adapter_width: int = Field(1024, ge=8)
    decoder: DecoderConfig = DecoderConfig()


class LanguageModelConfig(Config):
    """GPT-2 (medium by default). `weights` is a local folder or a hub id; None is random.

    A hub id must pin its revision: "openai-community/gpt2-medium@<40 hex digits>".
    """

    width: int = Field(1024, ge=8)
    layers: int = Field(24, ge=1)
    heads: int = Field(16, ge=1)
    positions: int = Field(1024, ge=8)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    weights: str | None = None
    checkpoint_blocks: bool = False

    @model_validator(mode="after")
    def _divides(self) -> LanguageModelConfig:
        check_heads(self.width, self.heads, "language model")
        return self


class PrefixLMConfig(Config):
    """Stage 2 of the paper: frozen encoder, temporal embeddings, adapter, GPT-2 (3.4).

    `temporal`: one embedding per visual token (equation 2) or one per image.
    `visual_positions`: how the visual tokens get GPT-2 positions (docs/deviations.md 3).
    `pool`: side of the square of visual tokens that is averaged into one.
    `images`: which images the language model sees; "none" and "main" are the blind rows.
    """

    encoder: EncoderConfig = EncoderConfig()
    language_model: LanguageModelConfig = LanguageModelConfig()
    temporal: Literal["token", "image"] = "token"
    visual_positions: Literal["extend", "interpolate", "learned"] = "extend"
    pool: int = Field(1, ge=1)
    images: Literal["both", "main", "reference", "none"] = "both"
    label_smoothing: float = Field(0.11, ge=0.0, lt=1.0)
    train_encoder: bool = False


class DataConfig(Config):
    """Which tasks, and how records become rows.

    `cache_features`: how a frozen encoder's tokens are kept on the disk (lapse.features).
    `records_with`: further tasks that a record must have a sample of, though none is made. So
    methods that read other tasks still see the same images.
    """

    tasks: tuple[str, ...]
    records_with: tuple[str, ...] = ()
    regions_per_image: int = Field(1, ge=1)
    parallel_fraction: float = Field(0.25, ge=0.0, le=1.0)
    train_given: bool = True
    max_tokens: int = Field(256, ge=8)
    vocabulary: Literal["full", "trimmed"] = "full"
    limit: int | None = Field(None, ge=1)
    cache_features: Literal["none", "bf16", "fp32"] = "none"

    @model_validator(mode="after")
    def _known_tasks(self) -> DataConfig:
        if not self.tasks:
            raise ValueError("tasks is empty: name at least one task")
        for task in (*self.tasks, *self.records_with):
            if ":" not in task and task not in registry.names("tasks"):
                raise ValueError(f"no task {task!r}; {nearest(task, registry.names('tasks'))}")
        return self


class OptimConfig(Config):
    """AdamW and its schedule. Exactly one of warmup_steps and warmup_fraction is given."""

    learning_rate: float = Field(1e-4, gt=0.0)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(1e-2, ge=0.0)
    warmup_steps: int | None = Field(None, ge=0)
    warmup_fraction: float | None = Field(None, ge=0.0, le=1.0)
    schedule: Literal["cosine", "constant"] = "cosine"
    clip_norm: float | None = Field(1.0, gt=0.0)

    @model_validator(mode="after")
    def _one_warmup(self) -> OptimConfig:
        if (self.warmup_steps is None) == (self.warmup_fraction is None):
            raise ValueError(
                f"warmup_steps is {self.warmup_steps} and warmup_fraction is "
                f"{self.warmup_fraction}: give exactly one of them"
            )
        return self


class LoopConfig(Config):
    """Length and rhythm of the loop. Exactly one of `epochs` and `steps` is given.

    `batch_size` counts rows (texts) over all ranks and accumulation steps. `parallel` says how
    several ranks hold the model: a copy each ("ddp") or a share each ("fsdp").
    """

    batch_size: int = Field(32, ge=1)
    accumulate: int = Field(1, ge=1)
    epochs: int | None = Field(None, ge=1)
    steps: int | None = Field(None, ge=1)
    validate_every: int = Field(500, ge=1)
    validate_samples: int = Field(256, ge=1)
    save_every: int = Field(500, ge=1)
    keep_checkpoints: int = Field(2, ge=1)
    log_every: int = Field(10, ge=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    workers: int = Field(0, ge=0)
    parallel: Literal["ddp", "fsdp"] = "ddp"
    seed: int = 0

    @model_validator(mode="after")
    def _one_length(self) -> LoopConfig:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                f"epochs is {self.epochs} and steps is {self.steps}: give exactly one of them"
            )
        return self


class DecodeConfig(Config):
    """How answers are written: beam search 10 as in the paper (4.4)."""

    beams: int = Field(10, ge=1)
    max_tokens: int = Field(96, ge=1)
    length_penalty: float = 1.0
    batch_size: int = Field(16, ge=1)


class RunConfig(Config):
    """Everything that decides a run. `model` holds the options of the method or system.

    `init_encoder`: a stage-1 run whose encoder a system begins with. `init_model`: a run of the
    same system whose weights it begins with (training in stages). Stage 2 takes both: the model,
    then the other encoder in it. Either may be a saved model folder, or "packaged" for the model
    in the package.
    """

    name: str
    stage: Literal["pretrain", "diffvqa"]
    model_name: str
    model: dict[str, Any]
    init_encoder: str | None = None
    init_model: str | None = None
    data: DataConfig
    optim: OptimConfig
    loop: LoopConfig
    decode: DecodeConfig = DecodeConfig()

    @property
    def table(self) -> str:
        """The registry table that `model_name` is looked up in."""
        return "methods" if self.stage == "pretrain" else "systems"

    @model_validator(mode="after")
    def _one_beginning(self) -> RunConfig:
        both = self.init_encoder is not None and self.init_model is not None
        if both and self.stage == "pretrain":
            raise ValueError(
                f"init_encoder is {self.init_encoder!r} and init_model is {self.init_model!r}: "
                "give at most one of them in stage 1 (a whole model holds an encoder)"
            )
        return self

    @model_validator(mode="after")
    def _model_options(self) -> RunConfig:
        try:
            checked = registry.config_class(self.table, self.model_name).model_validate(self.model)
        except ValidationError as error:
            raise ValueError(explain(error, prefix="model.")) from None
        object.__setattr__(self, "model", checked.model_dump(mode="json"))
        return self

    def model_config_object(self) -> Any:
        """The options of the model as its own configuration class."""
        return registry.config_class(self.table, self.model_name).model_validate(self.model)


def preset_names() -> list[str]:
    """Names of the presets that ship with the package."""
    folder = resources.files("lapse") / "presets"
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml"))


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
        text = path.read_text(encoding="utf-8")
    elif str(source) in preset_names():
        text = (resources.files("lapse") / "presets" / f"{source}.yaml").read_text("utf-8")
    else:
        raise ValueError(f"no preset {str(source)!r}; {nearest(str(source), preset_names())}")
    values = yaml.safe_load(text)
    if not isinstance(values, dict):
        raise ValueError(f"{source}: a configuration is a mapping, got {type(values).__name__}")
    for override in overrides:
        _apply(values, override)
    return check_config(values)


def check_config(values: dict[str, Any]) -> RunConfig:
    """A RunConfig from plain values, with one clear sentence for each problem."""
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise ValueError(explain(error)) from None


def explain(error: ValidationError, prefix: str = "") -> str:
    """pydantic's findings as "a.b: what, and the nearest known name", one line each."""
    lines = []
    for item in error.errors():
        path = prefix + ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            owner = _model_at(error.title, item["loc"][:-1])
            known = list(owner.model_fields) if owner else []
            lines.append(f"{path}: unknown key; {nearest(str(item['loc'][-1]), known)}")
        elif item["type"] == "missing":
            lines.append(f"{path}: required, but not given")
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
    """Every configuration class that has been imported."""
    for kind in owner.__subclasses__():
        yield kind
        yield from _kinds(kind)


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
    node[last] = yaml.safe_load(text)
