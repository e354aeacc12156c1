"""The same models built by transformers with our weights, so that results can be compared.

SigLIP and GPT-2 are converted by `lapse.models.backbones.siglip_format` and `gpt2_weights`.
transformers' GPT-2 with cross-attention has the blocks of our captioning decoder; our two-layer
adapter replaces its linear layer.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpt2_export import to_gpt2
from lapse.models.backbones.decoder import TextDecoder
from lapse.models.backbones.gpt2 import GPT2
from lapse.models.backbones.siglip_format import siglip_config, to_siglip
from lapse.models.pretraining.captioner import Captioner

DECODER_KEYS = {
    "norm_self": "ln_1",
    "self_attention.query_key_value": "attn.c_attn",
    "self_attention.out": "attn.c_proj",
    "norm_cross": "ln_cross_attn",
    "cross_attention.query": "crossattention.q_attn",
    "cross_attention.key_value": "crossattention.c_attn",
    "cross_attention.out": "crossattention.c_proj",
    "norm_mlp": "ln_2",
    "mlp.up": "mlp.c_fc",
    "mlp.down": "mlp.c_proj",
}


def siglip(encoder: Any) -> Any:
    """transformers' SigLIP vision model with the weights of our vision encoder."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    config = SiglipVisionConfig(**_plain(siglip_config(encoder.config)))
    model = SiglipVisionModel(config)
    has_prefix = next(iter(model.state_dict())).startswith("vision_model.")
    model.load_state_dict(to_siglip(encoder.state_dict(), with_prefix=has_prefix))
    return model


def gpt2(model: GPT2, positions: Tensor) -> Any:
    """transformers' GPT-2 with these weights and this position table [L, D]."""
    from transformers import GPT2LMHeadModel

    peer = GPT2LMHeadModel(_gpt2_config(model.config, model.tokens.num_rows, len(positions)))
    state = to_gpt2({**model.state_dict(), "positions": positions})
    missing, unknown = peer.load_state_dict(state, strict=False)
    assert set(missing) <= {"lm_head.weight"} and not unknown, (missing, unknown)
    return peer


def encoder_decoder(captioner: Captioner) -> Any:
    """transformers' VisionEncoderDecoderModel that computes what our captioner does."""
    from transformers import GPT2LMHeadModel, VisionEncoderDecoderModel

    decoder = captioner.decoder
    config = _gpt2_config(decoder.config, decoder.tokens.num_rows, decoder.config.max_tokens)
    config.add_cross_attention, config.is_decoder = True, True
    config.n_inner = decoder.config.mlp_width
    text = GPT2LMHeadModel(config)
    missing, unknown = text.load_state_dict(_decoder_state(decoder), strict=False)
    assert set(missing) <= {"lm_head.weight"} and not unknown, (missing, unknown)
    peer = VisionEncoderDecoderModel(encoder=siglip(captioner.encoder), decoder=text)
    peer.enc_to_dec_proj = copy.deepcopy(captioner.adapter)  # type: ignore[assignment]
    return peer


def _plain(values: dict[str, object]) -> dict[str, Any]:
    """The values that the configuration class accepts."""
    return {key: value for key, value in values.items() if key != "architectures"}


def _gpt2_config(sizes: Any, vocabulary: int, positions: int) -> Any:
    from transformers import GPT2Config

    return GPT2Config(
        n_embd=sizes.width,
        n_layer=sizes.layers,
        n_head=sizes.heads,
        n_positions=positions,
        vocab_size=vocabulary,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
    )


def _decoder_state(decoder: TextDecoder) -> dict[str, Tensor]:
    converted = {
        "transformer.wte.weight": decoder.tokens.weight,
        "transformer.wpe.weight": decoder.positions,
        "transformer.ln_f.weight": decoder.norm.weight,
        "transformer.ln_f.bias": decoder.norm.bias,
    }
    state = decoder.state_dict()
    for layer in range(decoder.config.layers):
        for key, peer_key in DECODER_KEYS.items():
            for kind in ("weight", "bias"):
                value = state[f"blocks.{layer}.{key}.{kind}"]
                transposed = value.t() if value.ndim == 2 else value
                converted[f"transformer.h.{layer}.{peer_key}.{kind}"] = transposed
    return {key: value.detach().clone() for key, value in converted.items()}


def gradient_distance(model: nn.Module, reference: nn.Module) -> float:
    """Largest relative difference of two models' gradients, over all parameters."""
    largest = 0.0
    for (name, parameter), (_, expected) in zip(
        model.named_parameters(), reference.named_parameters(), strict=True
    ):
        if parameter.grad is None or expected.grad is None:
            assert parameter.grad is None and expected.grad is None, name
            continue
        scale = float(expected.grad.norm().clamp(min=1e-6))
        largest = max(largest, float((parameter.grad - expected.grad).norm()) / scale)
    return largest


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    """Backward pass and optimizer step; returns the loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach())
