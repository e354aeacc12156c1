"""What decides a run besides its model: data, optimizer, loop, decoding, what it begins with."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from lapse.config.base import Config, explain
from lapse.core import registry
from lapse.core.types import nearest

Stage = Literal["pretrain", "diffvqa"]


class DataConfig(Config):
    """Which tasks, and how records become rows.

    `cache_features`: how a frozen encoder's tokens are kept on the disk
    (lapse.training.feature_cache).
    `require_tasks`: further tasks that a record must have a sample of, though none is made. So
    methods that read other tasks still see the same images.
    """

    tasks: tuple[str, ...]
    require_tasks: tuple[str, ...] = ()
    regions_per_image: int = Field(1, ge=1)
    parallel_fraction: float = Field(0.25, ge=0.0, le=1.0)
    loss_on_given: bool = True
    max_tokens: int = Field(256, ge=8)
    vocabulary: Literal["full", "trimmed"] = "full"
    max_records: int | None = Field(None, ge=1)
    cache_features: Literal["none", "bf16", "fp32"] = "none"

    @model_validator(mode="after")
    def _known_tasks(self) -> DataConfig:
        if not self.tasks:
            raise ValueError("tasks is empty: name at least one task")
        for task in (*self.tasks, *self.require_tasks):
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


class TrainConfig(Config):
    """Length and rhythm of the loop. Exactly one of `epochs` and `steps` is given.

    `batch_size` counts rows (texts) over all ranks and accumulation steps. `parallel` says how
    several ranks hold the model: a copy each ("ddp") or a share each ("fsdp").
    """

    batch_size: int = Field(32, ge=1)
    gradient_accumulation_steps: int = Field(1, ge=1)
    epochs: int | None = Field(None, ge=1)
    steps: int | None = Field(None, ge=1)
    eval_every: int = Field(500, ge=1)
    eval_samples: int = Field(256, ge=1)
    save_every: int = Field(500, ge=1)
    keep_checkpoints: int = Field(2, ge=1)
    log_every: int = Field(10, ge=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    num_workers: int = Field(0, ge=0)
    parallel: Literal["ddp", "fsdp"] = "ddp"
    seed: int = 0

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                f"epochs is {self.epochs} and steps is {self.steps}: give exactly one of them"
            )
        return self


class GenerationConfig(Config):
    """How answers are written: beam search 10 as in the paper (4.4)."""

    num_beams: int = Field(10, ge=1)
    max_new_tokens: int = Field(96, ge=1)
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
    stage: Stage
    model_type: str
    model: dict[str, Any]
    init_encoder: str | None = None
    init_model: str | None = None
    data: DataConfig
    optim: OptimConfig
    train: TrainConfig
    generation: GenerationConfig = GenerationConfig()

    @property
    def table(self) -> str:
        """The registry table that `model_type` is looked up in."""
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
            checked = registry.config_class(self.table, self.model_type).model_validate(self.model)
        except ValidationError as error:
            raise ValueError(explain(error, prefix="model.")) from None
        object.__setattr__(self, "model", checked.model_dump(mode="json"))
        return self

    def model_config_object(self) -> Any:
        """The options of the model as its own configuration class."""
        return registry.config_class(self.table, self.model_type).model_validate(self.model)
