"""What a new run begins with: random weights, an earlier run, or a published model.

init_encoder    a run of ours or a saved model folder: its encoder, and the parts that a system
                asks for besides; "packaged": the model in the package
                a folder of transformers or a pinned hub id:
                `lapse.models.backbones.pretrained_encoder`
init_model      a run of the same model, or of one whose parts this model inherits; a saved
                model folder, "packaged", or a pinned hub id: the half of it that this stage trains
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lapse.config import EncoderConfig, RunConfig, Stage
from lapse.core.tokenizer import Tokenizer
from lapse.models.backbones.hub import local_folder
from lapse.models.backbones.pretrained_encoder import read_encoder
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.training.checkpoint import MODEL, latest_valid_checkpoint, read_tensors
from lapse.training.exported_model import DEFAULT, PACKAGED, is_exported_model, read_exported_model
from lapse.training.run_folder import CONFIG, TrainableModel, read_config, read_tokenizer


@dataclass(frozen=True, slots=True)
class InitReport:
    """What the weights of a new run are before its first step.

    Attributes:
        told: sentences that say where they come from.
        sha256: configuration key -> SHA-256 of the saved model that it names.
    """

    told: tuple[str, ...]
    sha256: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class InitSource:
    """Trained weights that a new run can begin with.

    Attributes:
        config: resolved configuration of the run that trained them.
        kept: GPT-2 ids of its vocabulary, None for all.
        tensors: its weights under the names of its model.
        name: where they come from, for what a run says.
        sha256: of a saved model's file; None for a run.
    """

    config: RunConfig
    kept: Sequence[int] | None
    tensors: dict[str, torch.Tensor]
    name: str
    sha256: str | None = None

    def part(self, name: str) -> dict[str, torch.Tensor]:
        """The tensors whose names begin so; the beginning is cut off."""
        return {k.removeprefix(name): v for k, v in self.tensors.items() if k.startswith(name)}


def resolve_init_source(source: str, key: str, stage: Stage) -> InitSource | None:
    """A run of ours or one stage of a saved model; None: a folder of something else.

    Args:
        source: run folder, model folder, "packaged", or "org/name@<40 hex digits>".
        key: the configuration key that holds it, for the errors.
        stage: which half of a saved model.

    Raises:
        ValueError: no such folder, an unpinned hub id, no whole checkpoint, damaged weights.
    """
    if source != PACKAGED and (Path(source) / CONFIG).is_file():
        folder = Path(source)
        found = latest_valid_checkpoint(folder).checkpoint
        if found is None:
            raise ValueError(f"{key} {source} has no whole checkpoint: train it first")
        tensors = read_tensors(found.folder / MODEL)
        name = f"{source}, step {found.step}"
        return InitSource(read_config(folder), read_tokenizer(folder).kept, tensors, name)
    folder = DEFAULT if source == PACKAGED else local_folder(source, key)
    if not is_exported_model(folder):
        return None
    saved = read_exported_model(folder)
    name = f"{source}, weights {saved.sha256[:12]}, images by {saved.resize}"
    tensors = saved.tensors(stage)
    return InitSource(saved.configs[stage], saved.kept[stage], tensors, name, saved.sha256)


def initialize_weights(model: TrainableModel, config: RunConfig) -> InitReport:
    """Give a new model the weights of an earlier run: `init_encoder`, `init_model`, or both.

    Both: all of `init_model`, then the encoder of `init_encoder` in place of its own (stage 2 goes
    on after stage 1 went on).

    Raises:
        ValueError: that run has no whole checkpoint, or its encoder or model has other sizes.
    """
    told = (str(model.origin),) if hasattr(model, "origin") else ()
    sha256 = {}
    if config.init_model is not None:
        earlier = resolve_init_source(config.init_model, "init_model", config.stage)
        if earlier is None:
            raise ValueError(
                f"init_model {config.init_model} is neither a run of ours (no {CONFIG}) nor a "
                "saved model"
            )
        is_whole = earlier.config.model_type == config.model_type  # then no origin is left
        told = (_take_model(model, config, earlier), *(() if is_whole else told))
        if earlier.sha256 is not None:
            sha256["init_model"] = earlier.sha256
    if config.init_encoder is not None:
        if not hasattr(model, "encoder"):
            raise ValueError(f"system {config.model_type!r} has no encoder: leave init_encoder out")
        earlier = resolve_init_source(config.init_encoder, "init_encoder", "pretrain")
        told = (*_take_encoder(model, config, earlier), *told)
        if earlier is not None and earlier.sha256 is not None:
            sha256["init_encoder"] = earlier.sha256
    elif config.init_model is None and config.stage == "diffvqa" and hasattr(model, "encoder"):
        told = ("encoder: random weights (init_encoder is not set)", *told)
    return InitReport(told, sha256)


def _take_encoder(
    model: TrainableModel, config: RunConfig, earlier: InitSource | None
) -> tuple[str, ...]:
    """The encoder of `init_encoder`, a run or model of ours or (None) a published checkpoint."""
    source = str(config.init_encoder)
    ours = config.model["encoder"]
    if earlier is None:
        found = read_encoder(source, EncoderConfig.model_validate(ours))
        _fill_encoder(model, found.state, source)
        return found.told
    theirs = earlier.config.model["encoder"]
    different = [
        f"{key} is {ours.get(key)!r}, there {theirs.get(key)!r}"
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key) != ours.get(key) and key != "activation_checkpointing"
    ]
    if different:
        raise ValueError(f"the encoder of {source} has other sizes: {'; '.join(different)}")
    _fill_encoder(model, earlier.part("encoder."), source)
    more = (
        model.load_part(part, earlier.part(f"{part}."))
        for part in getattr(model, "further_parts", ())
    )
    return (f"encoder: from {earlier.name}", *more)


def _fill_encoder(model: TrainableModel, tensors: dict[str, torch.Tensor], source: str) -> None:
    take = getattr(model, "load_encoder", model.encoder.load_state_dict)
    try:
        take(tensors)
    except RuntimeError as error:
        raise ValueError(
            f"the encoder of {source} does not fit: {' '.join(str(error).split())}"
        ) from None


def _take_model(model: TrainableModel, config: RunConfig, earlier: InitSource) -> str:
    """All weights of an earlier run of the same model (training in stages).

    A class may also take parts of another model's run: its `inherits` names that model and the
    prefixes of the tensors. The two runs may have kept different tokens: a token that both know
    keeps its row, a new one its random row. Returns one sentence that says how many.
    """
    source = config.init_model
    other, prefixes = getattr(model, "inherits", ("", ()))
    trained_as = earlier.config.model_type
    if trained_as not in {config.model_type, other}:
        raise ValueError(
            f"init_model {source} is a run of {trained_as!r}, this is one of "
            f"{config.model_type!r}: begin with a run of the same model"
            + (f" or of {other!r}" if other else "")
        )
    tensors = earlier.tensors
    what = "model"
    is_other = trained_as != config.model_type
    if is_other:
        own = model.state_dict()
        lacking = [n for n in own if n.startswith(prefixes) and n not in tensors]
        if lacking:
            raise ValueError(
                f"init_model {source} lacks {len(lacking)} tensors, first {lacking[0]}"
            )
        tensors = {n: tensors[n] for n in own if n.startswith(prefixes)}
        what = " and ".join(part.rstrip(".") for part in prefixes)
    kept = earlier.kept
    ids = torch.arange(Tokenizer().size) if kept is None else torch.tensor(kept)
    told = ""
    for name, part in model.named_modules():
        key = f"{name}.weight"
        if isinstance(part, TokenEmbedding) and key in tensors:
            rows = part.row_of[ids]
            table = part.weight.detach().clone()
            if table.shape[1:] == tensors[key].shape[1:]:
                table[rows[rows >= 0]] = tensors[key][rows >= 0]
                tensors[key] = table
                told = f", {int((rows >= 0).sum())} of {len(table)} tokens known to it"
    try:
        model.load_state_dict(tensors, strict=not is_other)
    except RuntimeError as error:
        raise ValueError(
            f"the model of {source} does not fit this one: {' '.join(str(error).split())}"
        ) from None
    return f"{what}: from {earlier.name}{told}"
