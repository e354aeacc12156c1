"""What a new run begins with: random weights, an earlier run, or a published checkpoint.

init_encoder    a run of ours: its encoder, and the parts that a system asks for besides
                a folder of transformers or a pinned hub id: `lapse.models.pretrained`
init_model      a run of the same model, or of one whose parts this model inherits
"""

from __future__ import annotations

from pathlib import Path

import torch

from lapse.checkpoint import MODEL, latest_valid, read_tensors
from lapse.config import EncoderConfig, RunConfig
from lapse.models.pretrained import read_encoder
from lapse.models.token_table import TokenTable
from lapse.runs import CONFIG, AnyModel, read_config, read_tokenizer
from lapse.text import Tokenizer


def load_pretrained(model: AnyModel, config: RunConfig) -> tuple[str, ...]:
    """Give a new model the weights of an earlier run: `init_encoder` or `init_model`.

    Returns sentences that say where the weights come from.

    Raises:
        ValueError: that run has no whole checkpoint, or its encoder or model has other sizes.
    """
    told = (str(model.origin),) if hasattr(model, "origin") else ()
    if config.init_model is not None:
        return (begin_from(model, config, Path(config.init_model)), *told)
    if not hasattr(model, "encoder"):
        if config.init_encoder is not None:
            raise ValueError(f"system {config.model_name!r} has no encoder: leave init_encoder out")
        return told
    if config.init_encoder is None:
        if config.stage == "pretrain":
            return told
        return ("encoder: random weights (init_encoder is not set)", *told)
    source = Path(config.init_encoder)
    if not (source / CONFIG).is_file():
        sizes = EncoderConfig.model_validate(config.model["encoder"])
        found_there = read_encoder(config.init_encoder, sizes)
        _take_encoder(model, found_there.state, config.init_encoder)
        return (*found_there.told, *told)
    theirs, ours = read_config(source).model["encoder"], config.model["encoder"]
    different = [
        f"{key} is {ours.get(key)!r}, there {theirs.get(key)!r}"
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key) != ours.get(key) and key != "checkpoint_blocks"
    ]
    if different:
        raise ValueError(f"the encoder of {source} has other sizes: {'; '.join(different)}")
    found = latest_valid(source)
    if found.checkpoint is None:
        raise ValueError(f"init_encoder {source} has no whole checkpoint: train it first")
    weights = found.checkpoint.folder / MODEL
    _take_encoder(model, read_tensors(weights, "encoder."), str(source))
    more = tuple(
        model.load_part(part, read_tensors(weights, f"{part}."))
        for part in getattr(model, "further_parts", ())
    )
    return (f"encoder: from {source}, step {found.checkpoint.step}", *more, *told)


def _take_encoder(model: AnyModel, tensors: dict[str, torch.Tensor], source: str) -> None:
    take = getattr(model, "load_encoder", model.encoder.load_state_dict)
    try:
        take(tensors)
    except RuntimeError as error:
        raise ValueError(
            f"the encoder of {source} does not fit: {' '.join(str(error).split())}"
        ) from None


def begin_from(model: AnyModel, config: RunConfig, source: Path) -> str:
    """Give a new model all weights of an earlier run of the same model (training in stages).

    A class may also take parts of another model's run: its `inherits` names that model and the
    prefixes of the tensors. The two runs may have kept different tokens: a token that both know
    keeps its row, a new one its random row. Returns one sentence that says how many.

    Raises:
        ValueError: another system, other sizes, or no whole checkpoint.
    """
    theirs = read_config(source)
    other, prefixes = getattr(model, "inherits", ("", ()))
    if theirs.model_name not in {config.model_name, other}:
        raise ValueError(
            f"init_model {source} is a run of {theirs.model_name!r}, this is one of "
            f"{config.model_name!r}: begin with a run of the same model"
            + (f" or of {other!r}" if other else "")
        )
    found = latest_valid(source)
    if found.checkpoint is None:
        raise ValueError(f"init_model {source} has no whole checkpoint: train it first")
    tensors = read_tensors(found.checkpoint.folder / MODEL)
    what = "model"
    is_other = theirs.model_name != config.model_name
    if is_other:
        own = model.state_dict()
        lacking = [n for n in own if n.startswith(prefixes) and n not in tensors]
        if lacking:
            raise ValueError(
                f"init_model {source} lacks {len(lacking)} tensors, first {lacking[0]}"
            )
        tensors = {n: tensors[n] for n in own if n.startswith(prefixes)}
        what = " and ".join(part.rstrip(".") for part in prefixes)
    kept = read_tokenizer(source).kept
    ids = torch.arange(Tokenizer().size) if kept is None else torch.tensor(kept)
    told = ""
    for name, part in model.named_modules():
        key = f"{name}.weight"
        if isinstance(part, TokenTable) and key in tensors:
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
    return f"{what}: from {source}, step {found.checkpoint.step}{told}"
