"""BERT's weights in transformers' format for the Q-Former of BLIP-2 (Li et al., 2023b).

    bert-base-uncased                      Q-Former
    embeddings, masked-language head  ->   tokens, positions, norm, output head
    self-attention of each layer      ->   shared self-attention
    feed-forward layer of each layer  ->   that of the text, and a copy for the queries

Cross-attention, queries and the start token [DEC] have no counterpart and stay random. The start
token [CLS] is a copy of BERT's. Token types, the pooler and next-sentence prediction are not used.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lapse.models.backbones.hub import local_folder, read_weights
from lapse.models.backbones.qformer import QFormer
from lapse.models.backbones.qformer_text import QFormerText

LAYER = "encoder.layer.{}."
EMBEDDINGS = "embeddings."
HEAD = "cls.predictions."


def load_bert(qformer: QFormer, text: QFormerText, source: str | None, cls_token: int) -> str:
    """Load BERT into a Q-Former and its text part; returns one sentence about the source.

    Args:
        qformer: with its text layers.
        text: with BERT's vocabulary.
        source: a folder with model.safetensors, "org/name@<40 hex digits>", or None.
        cls_token: the number of [CLS].

    Raises:
        ValueError: no such folder, pickled weights, or tensors of other sizes.
    """
    if source is None:
        return "Q-Former: random weights (model.qformer.weights is not set)"
    folder = local_folder(source, "model.qformer.weights")
    state = {k.removeprefix("bert."): v for k, v in read_weights(folder, lambda _: True).items()}
    with torch.no_grad():
        for part, renamed in (
            (qformer, _qformer_tensors(state, len(qformer.blocks))),
            (text, _text_tensors(state, len(text.positions), cls_token)),
        ):
            _copy(part, renamed, source)
    return f"Q-Former: pretrained weights of {source}, feed-forward layers copied for the queries"


def _qformer_tensors(state: Mapping[str, Tensor], num_layers: int) -> dict[str, Tensor]:
    renamed = _renamed(state, "norm", f"{EMBEDDINGS}LayerNorm")
    for layer in range(num_layers):
        there, here = LAYER.format(layer), f"blocks.{layer}."
        for kind in ("weight", "bias"):
            parts = [
                _named(state, f"{there}attention.self.{name}.{kind}")
                for name in ("query", "key", "value")
            ]
            renamed[f"{here}attention.query_key_value.{kind}"] = torch.cat(parts)
        renamed |= _renamed(state, f"{here}attention.out", f"{there}attention.output.dense")
        renamed |= _renamed(state, f"{here}norm", f"{there}attention.output.LayerNorm")
        for part in ("mlp_text", "mlp_query"):
            renamed |= _renamed(state, f"{here}{part}.up", f"{there}intermediate.dense")
            renamed |= _renamed(state, f"{here}{part}.down", f"{there}output.dense")
            renamed |= _renamed(state, f"{here}{part}.norm", f"{there}output.LayerNorm")
    return renamed


def _text_tensors(state: Mapping[str, Tensor], length: int, cls_token: int) -> dict[str, Tensor]:
    words = _named(state, f"{EMBEDDINGS}word_embeddings.weight")
    positions = _named(state, f"{EMBEDDINGS}position_embeddings.weight")
    if len(positions) < length:
        raise ValueError(
            f"BERT has {len(positions)} positions, the configuration needs {length}: lower "
            "model.qformer.max_tokens"
        )
    return {
        "tokens.weight": words,
        "positions": positions[:length],
        "starts": words[cls_token][None],  # [CLS]; [DEC] keeps its random row
        **_renamed(state, "transform", f"{HEAD}transform.dense"),
        **_renamed(state, "norm", f"{HEAD}transform.LayerNorm"),
        "bias": _named(state, f"{HEAD}bias"),
    }


def _renamed(state: Mapping[str, Tensor], new: str, old: str) -> dict[str, Tensor]:
    return {f"{new}.{kind}": _named(state, f"{old}.{kind}") for kind in ("weight", "bias")}


def _named(state: Mapping[str, Tensor], name: str) -> Tensor:
    # Checkpoints of 2018 call the gain and shift of a norm gamma and beta.
    older = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
        "LayerNorm.bias", "LayerNorm.beta"
    )
    for key in (name, older):
        if key in state:
            return state[key]
    raise ValueError(f"the weights of BERT lack {name}: give a bert-base-uncased checkpoint")


def _copy(part: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy tensors into the first rows of the parameters with their names."""
    targets = dict(part.named_parameters())
    for name, tensor in tensors.items():
        target = targets[name]
        rows = len(tensor) if name == "starts" else len(target)
        if tensor.shape != target[:rows].shape:
            raise ValueError(
                f"{source}: {name} is {tuple(tensor.shape)}, the configuration needs "
                f"{tuple(target.shape)}: give the sizes and the vocabulary of BERT base"
            )
        target[:rows] = tensor
