"""The first weights of a run: random, from an earlier run, or from a published model.

init_encoder    a run folder or an exported model: its encoder, and the further parts that a model
                loads; "packaged": the model of this package
                a folder of transformers or a pinned hub id:
                `lapse.models.backbones.pretrained_encoder`
init_model      a run of the same model, or of a model whose weights this one inherits; an exported
                model, "packaged", or a pinned hub id: its part for this stage

RUN/initialization.json keeps what was loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lapse.config import EncoderConfig, RunConfig, Stage
from lapse.core.files import write_text
from lapse.core.json_files import read_json_object
from lapse.core.tokenizer import Tokenizer
from lapse.models.backbones.hub import local_folder
from lapse.models.backbones.pretrained_encoder import read_encoder
from lapse.models.interface import (
    HasEncoder,
    HasOrigin,
    InheritsWeights,
    LoadsParts,
    TrainableModel,
    has_encoder,
)
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.training import run_folder
from lapse.training.checkpoint import MODEL, Checkpoint, result_checkpoint
from lapse.training.exported_model import (
    DEFAULT,
    PACKAGED,
    is_exported_model,
    read_exported_model,
)
from lapse.training.weight_files import load_weights, read_tensors

INITIALIZATION = "initialization.json"


@dataclass(frozen=True, slots=True)
class InitReport:
    """The source of the weights of a run before its first step.

    Attributes:
        messages: one sentence per source.
        sha256: configuration key -> SHA-256 of the exported model that it names.
    """

    messages: tuple[str, ...] = ()
    sha256: Mapping[str, str] = field(default_factory=dict)


def write_init_report(folder: Path, report: InitReport) -> None:
    """Write initialization.json of a run folder."""
    write_text(folder / INITIALIZATION, json.dumps(asdict(report), indent=1) + "\n")


def read_init_report(folder: Path) -> InitReport:
    """Read initialization.json of a run folder; an empty report if there is none."""
    path = folder / INITIALIZATION
    if not path.is_file():
        return InitReport()
    values: Any = read_json_object(path)
    try:
        return InitReport(tuple(values["messages"]), dict(values["sha256"]))
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path} is damaged: it lacks messages or sha256") from None


@dataclass(frozen=True, slots=True)
class InitSource:
    """Trained weights that can initialize a run.

    Attributes:
        config: resolved configuration of the run that trained them.
        kept: GPT-2 ids of its vocabulary, None for all.
        tensors: its weights under the names of its model.
        name: of the source, for the log.
        sha256: of an exported model's weights; None for a run.
    """

    config: RunConfig
    kept: Sequence[int] | None
    tensors: dict[str, Tensor]
    name: str
    sha256: str | None = None

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names start with `prefix`, which is removed."""
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}


def resolve_init_source(source: str, key: str, stage: Stage) -> InitSource | None:
    """Read a run folder or one stage of an exported model; None for a folder of another kind.

    Args:
        source: run folder, exported model, "packaged", or "org/name@<40 hex digits>".
        key: the configuration key, for errors.
        stage: the part of an exported model.

    Raises:
        ValueError: no such folder, an unpinned hub id, no valid checkpoint, damaged weights.
    """
    if source != PACKAGED and (Path(source) / run_folder.CONFIG).is_file():
        folder = Path(source)
        config = run_folder.read_config(folder)
        checkpoint = result_checkpoint(folder, config.train.keep).checkpoint
        if checkpoint is None:
            raise ValueError(f"{key} {source} has no valid checkpoint: train it first")
        tensors = read_tensors(checkpoint.folder / MODEL)
        name = f"{source}, step {checkpoint.step}"
        return InitSource(config, run_folder.read_tokenizer(folder).kept, tensors, name)
    folder = DEFAULT if source == PACKAGED else local_folder(source, key)
    if not is_exported_model(folder):
        return None
    model = read_exported_model(folder)
    name = f"{source}, weights {model.sha256[:12]}, images by {model.processing}"
    return InitSource(
        model.configs[stage], model.kept[stage], model.tensors(stage), name, model.sha256
    )


def build_run_model(
    config: RunConfig, tokenizer: Tokenizer, checkpoint: Checkpoint | None
) -> tuple[TrainableModel, InitReport | None]:
    """The model of a run with the weights of a checkpoint, or with its first weights.

    Returns:
        The model on the CPU, and the source of its first weights (None with a checkpoint).

    Raises:
        ValueError: as `initialize_weights`, or the checkpoint does not fit.
    """
    if checkpoint is not None:
        model = run_folder.build_model(run_folder.skip_pretrained_weights(config), tokenizer)
        load_weights(checkpoint.folder / MODEL, model)
        return model, None
    model = run_folder.build_model(config, tokenizer)
    return model, initialize_weights(model, config)


def reads_weights(config: RunConfig) -> bool:
    """Whether the first weights of a run come from files."""
    return (
        config.init_encoder is not None
        or config.init_model is not None
        or run_folder.skip_pretrained_weights(config) is not config
    )


def initialize_weights(model: TrainableModel, config: RunConfig) -> InitReport:
    """Load the weights that `init_model` and `init_encoder` name into a new model.

    With both, `init_encoder` replaces the encoder of `init_model`.

    Raises:
        ValueError: a source has no valid checkpoint, or its weights have other sizes.
    """
    messages: tuple[str, ...] = (model.origin,) if isinstance(model, HasOrigin) else ()
    sha256 = {}
    if config.init_model is not None:
        source = resolve_init_source(config.init_model, "init_model", config.stage)
        if source is None:
            raise ValueError(
                f"init_model {config.init_model} is neither a run folder (no "
                f"{run_folder.CONFIG}) nor an exported model"
            )
        message = _load_model(model, config, source)
        is_same_model = source.config.model_type == config.model_type  # it replaces every part
        messages = (message,) if is_same_model else (message, *messages)
        if source.sha256 is not None:
            sha256["init_model"] = source.sha256
    if config.init_encoder is not None:
        if not has_encoder(model):
            raise ValueError(f"{config.model_type!r} has no encoder: remove init_encoder")
        source = resolve_init_source(config.init_encoder, "init_encoder", "pretrain")
        messages = (*_load_encoder(model, config, source), *messages)
        if source is not None and source.sha256 is not None:
            sha256["init_encoder"] = source.sha256
    elif config.init_model is None and config.stage == "diffvqa" and has_encoder(model):
        messages = ("encoder: random weights (init_encoder is not set)", *messages)
    return InitReport(messages, sha256)


def _load_encoder(
    model: HasEncoder, config: RunConfig, source: InitSource | None
) -> tuple[str, ...]:
    """Load the encoder of a source, or (None) of the pretrained checkpoint `init_encoder`."""
    name = str(config.init_encoder)
    expected = config.model["encoder"]
    if source is None:
        pretrained = read_encoder(name, EncoderConfig.model_validate(expected))
        with _fitting(f"the encoder of {name} does not fit"):
            model.load_encoder(pretrained.state)
        return pretrained.messages
    given = source.config.model["encoder"]
    different = [
        key
        for key in sorted(given.keys() | expected.keys())
        if given.get(key) != expected.get(key) and key != "activation_checkpointing"
    ]
    if different:
        sizes = [f"{key} is {expected.get(key)!r}, there {given.get(key)!r}" for key in different]
        overrides = " ".join(f"model.encoder.{key}={given.get(key)}" for key in different)
        raise ValueError(
            f"the encoder of {name} has other sizes: {'; '.join(sizes)}; give {overrides}"
        )
    with _fitting(f"the encoder of {name} does not fit"):
        model.load_encoder(source.part("encoder."))
    messages = [f"encoder: from {source.name}"]
    if isinstance(model, LoadsParts):
        messages += [model.load_part(p, source.part(f"{p}.")) for p in model.further_parts]
    return tuple(messages)


@contextmanager
def _fitting(what: str) -> Iterator[None]:
    """One sentence in place of the lines of `load_state_dict`."""
    try:
        yield
    except RuntimeError as error:
        raise ValueError(f"{what}: {' '.join(str(error).split())}") from None


def _load_model(model: TrainableModel, config: RunConfig, source: InitSource) -> str:
    """Load all weights of the same model, or the parts that this model inherits from another.

    The two runs may keep different tokens: a token that both keep gets its trained row, a new one
    keeps its random row. Returns one sentence for the log.
    """
    name = config.init_model
    source_type = source.config.model_type
    parent, prefixes = model.inherits if isinstance(model, InheritsWeights) else ("", ())
    if source_type not in {config.model_type, parent}:
        raise ValueError(
            f"init_model {name} is a run of {source_type!r}, this is a run of "
            f"{config.model_type!r}: use a run of the same model"
            + (f" or of {parent!r}" if parent else "")
        )
    tensors, what = dict(source.tensors), "model"
    is_inherited = source_type != config.model_type
    if is_inherited:
        names = [key for key in model.state_dict() if key.startswith(prefixes)]
        missing = [key for key in names if key not in tensors]
        if missing:
            raise ValueError(f"init_model {name} lacks {len(missing)} tensors, first {missing[0]}")
        tensors = {key: tensors[key] for key in names}
        what = " and ".join(prefix.rstrip(".") for prefix in prefixes)
    note = _map_token_rows(model, tensors, source.kept)
    with _fitting(f"the model of {name} does not fit this one"):
        model.load_state_dict(tensors, strict=not is_inherited)
    return f"{what}: from {source.name}{note}"


def _map_token_rows(
    model: TrainableModel, tensors: dict[str, Tensor], kept: Sequence[int] | None
) -> str:
    """Change the token embeddings in `tensors` to the vocabulary of the model; a note on it."""
    note = ""
    for name, module in model.named_modules():
        key = f"{name}.weight"
        if not isinstance(module, TokenEmbedding) or key not in tensors:
            continue
        weight = module.weight.detach().clone()
        ids = torch.arange(len(tensors[key])) if kept is None else torch.tensor(kept)
        if weight.shape[1:] == tensors[key].shape[1:]:
            rows = module.row_of[ids]
            is_known = rows >= 0
            weight[rows[is_known]] = tensors[key][is_known]
            tensors[key] = weight
            note = f", {int(is_known.sum())} of {len(weight)} tokens known to it"
    return note
