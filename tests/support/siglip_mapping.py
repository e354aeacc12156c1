"""Our contrastive model's weights under the names of transformers' SiglipModel, for its tests."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import SiglipConfig, SiglipModel

from lapse.models.backbones.siglip_format import INNER, QKV, siglip_config, to_siglip


def text_state(state: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """A TextEncoder's tensors as SiglipTextModel's."""
    tensors = {
        "embeddings.token_embedding.weight": state["tokens.weight"],
        "embeddings.position_embedding.weight": state["positions"],
    }
    for kind in ("weight", "bias"):
        tensors[f"final_layer_norm.{kind}"] = state[f"norm.{kind}"]
        tensors[f"head.{kind}"] = state[f"head.{kind}"]
        layer = 0
        while f"blocks.{layer}.mlp.up.{kind}" in state:
            thirds = state[f"blocks.{layer}.attention.query_key_value.{kind}"].chunk(3)
            for name, third in zip(QKV, thirds, strict=True):
                tensors[f"encoder.layers.{layer}.{name}.{kind}"] = third
            for name, siglip_name in INNER.items():
                tensors[f"encoder.layers.{layer}.{siglip_name}.{kind}"] = state[
                    f"blocks.{layer}.{name}.{kind}"
                ]
            layer += 1
    return {prefix + name: tensor for name, tensor in tensors.items()}


def pool_state(state: dict[str, Tensor], prefix: str = "head.") -> dict[str, Tensor]:
    """An AttentionPool's tensors as SigLIP's head."""
    tensors = {
        "probe": state["probe"],
        "attention.in_proj_weight": state["query_key_value.weight"],
        "attention.in_proj_bias": state["query_key_value.bias"],
    }
    for kind in ("weight", "bias"):
        tensors[f"attention.out_proj.{kind}"] = state[f"out.{kind}"]
        tensors[f"layernorm.{kind}"] = state[f"norm.{kind}"]
        tensors[f"mlp.fc1.{kind}"] = state[f"mlp.up.{kind}"]
        tensors[f"mlp.fc2.{kind}"] = state[f"mlp.down.{kind}"]
    return {prefix + name: tensor for name, tensor in tensors.items()}


def complete_siglip(method: torch.nn.Module, vocabulary: int) -> SiglipModel:
    """transformers' SiglipModel with the weights of a GlobalContrastive."""
    text, encoder = method.config.text, method.config.encoder
    vision = {k: v for k, v in siglip_config(encoder).items() if k != "architectures"}
    vision["vision_use_head"] = True
    siglip = SiglipModel(
        SiglipConfig(
            vision_config=vision,
            text_config={
                "vocab_size": vocabulary,
                "hidden_size": text.width,
                "intermediate_size": text.mlp_width,
                "num_hidden_layers": text.layers,
                "num_attention_heads": text.heads,
                "max_position_embeddings": text.max_tokens,
                "projection_size": encoder.width,
                "pad_token_id": 0,
                "bos_token_id": 1,
                "eos_token_id": 2,
            },
        )
    )
    state = {f"vision_model.{k}": v for k, v in to_siglip(
        method.encoder.state_dict(), with_prefix=False).items()}  # fmt: skip
    state |= pool_state(method.pool.state_dict(), "vision_model.head.")
    state |= text_state(method.text.state_dict(), "text_model.")
    state["logit_scale"] = method.contrast.log_temperature.detach().reshape(1)
    state["logit_bias"] = method.contrast.bias.detach().reshape(1)
    missing, unexpected = siglip.load_state_dict(state, strict=False)
    assert not unexpected and all("position_ids" in key for key in missing)
    return siglip.eval()
