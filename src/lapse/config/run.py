"""Configuration of a run: data, optimizer, training, generation, initialization."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, model_validator

from lapse.config.augment import AugmentConfig
from lapse.config.base import Config, explain
from lapse.core import registry

Stage = Literal["pretrain", "diffvqa"]


class DataConfig(Config):
    """Tasks, and how records become samples."""

    tasks: tuple[str, ...] = ()
    """Tasks that are trained, by registered name or `module:Class`. Empty: those of the model."""
    require_tasks: tuple[str, ...] = ()
    """Further tasks that a record must have a sample of, although none is made. Methods that read
    different tasks then see the same images.
    """
    regions_per_image: int = Field(1, ge=1)
    """Samples of each task per image and step."""
    draw_task: bool = False
    """Draw one of the tasks for each image and epoch, instead of a sample of every task."""
    parallel_fraction: float = Field(0.25, ge=0.0, le=1.0)
    """Fraction of the samples of `parallel_tasks` that are predicted in parallel (CapPa)."""
    parallel_tasks: tuple[str, ...] = ("cap",)
    """Tasks with samples that are predicted in parallel. The paper names captions only (3.2.1)."""
    parallel_attention: Literal["full", "none"] = "full"
    """Whether the places of a sample that is predicted in parallel attend to each other, as in
    CapPa, or each to itself and the image alone.
    """
    parallel_prefix: Literal["visible", "hidden"] = "visible"
    """Whether such a sample shows its task prefix, or the mask token in its place."""
    parallel_length: Literal["known", "unknown"] = "known"
    """Whether such a sample has as many places as its text has tokens, or all places of the
    decoder, as in CapPa, so that the end is predicted too.
    """
    loss_on_prefix: bool = False
    """Whether the loss includes the task prefix, except its first token."""
    loss_on_given: bool = True
    """Whether the loss includes the given part of a sample, not only the answer."""
    max_tokens: int = Field(256, ge=8)
    """Maximum tokens of a sample; longer texts are truncated and counted."""
    second_tasks: tuple[str, ...] = ()
    """Tasks of a second batch in every step, of `train.batch_size` texts too; they may read
    another kind of record. Each batch is averaged over its targets, and the two losses are added.
    """
    strip_punctuation: bool = False
    """Train on questions and answers without punctuation, of at most 100 words each."""
    vocabulary: Literal["full", "trimmed", "words", "bert"] = "full"
    """GPT-2's full vocabulary; only the tokens of the training texts ("trimmed", for small
    models); the words of the training texts; or BERT's word pieces (`vocabulary_file`). A model
    with GPT-2 needs one of the first two.
    """
    vocabulary_file: str | None = None
    """The `vocab.txt` of a BERT model, or its folder, for `vocabulary: bert`."""
    max_records: int | None = Field(None, ge=1)
    """Use at most this many training records. Null: all."""
    cache_features: Literal["none", "bf16", "fp32"] = "none"
    """Store the tokens of a frozen encoder on disk in this precision and train on them."""
    augment: AugmentConfig = AugmentConfig()
    """Changes of training films and pairs. Validation is never changed."""

    @model_validator(mode="after")
    def _known_tasks(self, info: ValidationInfo) -> DataConfig:
        names = (*self.tasks, *self.second_tasks, *self.require_tasks, *self.parallel_tasks)
        for task in names:
            registry.find("tasks", task, registered_only=_is_registered_only(info))
        return self

    @model_validator(mode="after")
    def _consistent(self) -> DataConfig:
        if (self.vocabulary == "bert") != (self.vocabulary_file is not None):
            raise ValueError(
                f"vocabulary is {self.vocabulary!r} and vocabulary_file is "
                f"{self.vocabulary_file!r}: 'bert' needs the file, the others do not read it"
            )
        if self.second_tasks and self.cache_features != "none":
            raise ValueError(
                "second_tasks and cache_features cannot be combined: set cache_features to 'none'"
            )
        if self.augment.fraction and self.cache_features != "none":
            raise ValueError(
                "augment.fraction and cache_features cannot be combined, because every film is "
                "another one in each epoch: set cache_features to 'none'"
            )
        return self


class OptimConfig(Config):
    """AdamW and its schedule. Set exactly one of `warmup_steps` and `warmup_fraction`."""

    learning_rate: float = Field(1e-4, gt=0.0)
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW coefficients."""
    weight_decay: float = Field(1e-2, ge=0.0)
    """Decoupled weight decay."""
    warmup_steps: int | None = Field(None, ge=0)
    """Steps of linear warm-up."""
    warmup_fraction: float | None = Field(None, ge=0.0, le=1.0)
    """Linear warm-up as a fraction of all steps."""
    warmup_start_learning_rate: float = Field(0.0, ge=0.0)
    """Learning rate from which the warm-up rises."""
    schedule: Literal["cosine", "constant", "polynomial"] = "cosine"
    """Learning-rate schedule after the warm-up: half a cosine, no change, or a straight line
    (polynomial of degree one)."""
    end_learning_rate: float = Field(0.0, ge=0.0)
    """Learning rate at the end of a cosine or polynomial schedule."""
    scalar_learning_rate: float | None = Field(None, gt=0.0)
    """Learning rate of single numbers (temperature and bias of a contrastive loss), under the
    same schedule. Null: `learning_rate`."""
    clip_norm: float | None = Field(1.0, gt=0.0)
    """Maximum gradient norm. Null: no clipping."""

    @model_validator(mode="after")
    def _consistent(self) -> OptimConfig:
        _check_one_of(self, "warmup_steps", "warmup_fraction")
        for name in ("warmup_start_learning_rate", "end_learning_rate"):
            if getattr(self, name) > self.learning_rate:
                raise ValueError(
                    f"{name} is {getattr(self, name)} and learning_rate, the peak, is "
                    f"{self.learning_rate}: give at most the peak"
                )
        return self


class TrainConfig(Config):
    """Length and schedule of training. Set exactly one of `epochs` and `steps`."""

    batch_size: int = Field(32, ge=1)
    """Samples (texts) per step, over all ranks and accumulation steps."""
    gradient_accumulation_steps: int = Field(1, ge=1)
    """Split each step into this many parts to save memory."""
    epochs: int | float | None = Field(None, gt=0)
    """Passes over the training records; a fraction ends within a pass."""
    steps: int | None = Field(None, ge=1)
    """Optimizer steps."""
    eval_every: int = Field(500, ge=1)
    """Steps between two evaluations on the validation split."""
    eval_samples: int = Field(256, ge=1)
    """Validation samples of an evaluation."""
    save_every: int = Field(500, ge=1)
    """Steps between two checkpoints."""
    keep_checkpoints: int = Field(2, ge=1)
    """Number of newest checkpoints that are kept."""
    keep: Literal["last", "best"] = "last"
    """Weights of the finished run: those of the last step, or those with the lowest
    validation loss. Prediction, export and later runs read them.
    """
    log_every: int = Field(10, ge=1)
    """Steps between two lines of `metrics.jsonl`."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Autocast precision. "auto" is bf16 on a GPU; on a CPU both are timed for a second when the
    run starts, and the choice is kept in `run.json`.
    """
    num_workers: int = Field(0, ge=0)
    """Processes that read and collate batches ahead; 0 reads in the main process."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """How ranks hold the model: "ddp" is a copy each, "fsdp" a shard each of weights, gradients and
    optimizer state.
    """
    compile: Literal["none", "inductor", "aot_eager"] = "none"
    """Backend of `torch.compile` for the blocks of encoders and decoders. "inductor" is the
    default backend of PyTorch and needs a C++ compiler, or Triton on a GPU; "aot_eager" runs the
    traced operations without generated code, which is useful to find errors.
    """
    seed: int = 0
    """Seed of weights and data order."""

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        _check_one_of(self, "epochs", "steps")
        return self


class GenerationConfig(Config):
    """Beam search; width 10 as in the paper (4.4)."""

    num_beams: int = Field(10, ge=1, le=256)
    """Beam width."""
    max_new_tokens: int = Field(96, ge=1, le=4096)
    """Maximum tokens of an answer."""
    length_penalty: float = Field(1.0, ge=-10.0, le=10.0)
    """Exponent of the length by which the log-probability of a hypothesis is divided."""
    batch_size: int = Field(16, ge=1, le=65536)
    """Samples per generated batch."""


class RunConfig(Config):
    """Everything that defines a run."""

    name: str
    """Name of the run, shown in logs and model cards."""
    stage: Stage
    """Stage 1 is "pretrain", stage 2 is "diffvqa"."""
    model_type: str
    """Pretraining method or VQA system, by registered name or `module:Class`."""
    model: dict[str, Any]
    """Options of the model; the keys depend on `model_type`."""
    init_encoder: str | None = None
    """Source of the image encoder: a stage-1 run folder, an exported model, "packaged", or a
    pretrained checkpoint (folder or pinned hub id).
    """
    init_model: str | None = None
    """Source of all weights of the same model type: a run folder, an exported model or "packaged".
    In stage 2, `init_encoder` then replaces the encoder of this model.
    """
    data: DataConfig
    """Tasks and records."""
    optim: OptimConfig
    """Optimizer."""
    train: TrainConfig
    """Length, batch size, evaluation, checkpoints."""
    generation: GenerationConfig = GenerationConfig()
    """Beam search."""

    @property
    def table(self) -> str:
        """The registry table that `model_type` is looked up in."""
        return "pretraining" if self.stage == "pretrain" else "vqa"

    @model_validator(mode="after")
    def _one_source(self) -> RunConfig:
        both = self.init_encoder is not None and self.init_model is not None
        if both and self.stage == "pretrain":
            raise ValueError(
                f"init_encoder is {self.init_encoder!r} and init_model is {self.init_model!r}: "
                "give at most one of them in stage 1 (a model includes its encoder)"
            )
        return self

    @property
    def class_paths(self) -> tuple[str, ...]:
        """The classes outside lapse that it names as "module:Class"."""
        data = self.data
        names = (*data.tasks, *data.second_tasks, *data.require_tasks, *data.parallel_tasks)
        return tuple(name for name in (self.model_type, *names) if ":" in name)

    @model_validator(mode="after")
    def _default_tasks(self) -> RunConfig:
        if not self.data.tasks:
            tasks = registry.find(self.table, self.model_type).tasks
            if not tasks:
                raise ValueError(f"data.tasks is empty, and {self.model_type!r} has no default")
            object.__setattr__(self, "data", self.data.model_copy(update={"tasks": tasks}))
        return self

    @model_validator(mode="after")
    def _model_options(self, info: ValidationInfo) -> RunConfig:
        try:
            checked = registry.load_config_class(
                self.table, self.model_type, registered_only=_is_registered_only(info)
            ).model_validate(self.model)
        except ValidationError as error:
            raise ValueError(explain(error, prefix="model.")) from None
        if getattr(checked, "bias", 0.0) is None:  # of a contrastive loss
            rows = self.train.batch_size // self.train.gradient_accumulation_steps
            checked = checked.model_copy(update={"bias": -math.log(max(1, rows - 1))})
        object.__setattr__(self, "model", checked.model_dump(mode="json"))
        return self

    def model_config_object(self) -> Any:
        """The options of the model as its own configuration class."""
        return registry.load_config_class(self.table, self.model_type).model_validate(self.model)


def _check_one_of(config: Config, first: str, second: str) -> None:
    values = getattr(config, first), getattr(config, second)
    if values.count(None) != 1:
        raise ValueError(
            f"{first} is {values[0]} and {second} is {values[1]}: give exactly one of them"
        )


def _is_registered_only(info: ValidationInfo) -> bool:
    return bool(info.context and info.context["registered_only"])
