"""Attention and feed-forward layers that encoder, captioner and GPT-2 share.

Legend: B rows  H heads  Q queries  K keys  D width  d width of a head
Source: Vaswani et al., 2017; pre-norm residual blocks as in SigLIP and GPT-2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

# Under this many keys, a CPU that needs gradients is faster with plain products than with
# the fused kernel (1.3 to 1.6 times per training step; experiments/log.md).
PLAIN_KEYS = 512
EPSILON = 1e-6  # of the norms of SigLIP
# Which queries may attend to which keys: a bool tensor, True where allowed; "causal": backwards
# only, which fused kernels compute without a mask at half the cost; None: all to all.
Mask: TypeAlias = Tensor | Literal["causal"] | None


# Without cuDNN's kernel: it builds an execution plan for every new shape, which takes about a
# second, and the length of the texts changes in every step.
KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Mask = None, dropout: float = 0.0
) -> Tensor:
    """Scaled dot-product attention; picks the faster of two equal computations.

    Args:
        query: [B, H, Q, d].
        key, value: [B, H, K, d] (or broadcastable in B).
        mask: "causal" (then Q = K), or a tensor broadcastable to [B, H, Q, K], or None.
        dropout: probability of dropping an attention weight.

    Returns:
        [B, H, Q, d]
    """
    is_plain = query.device.type == "cpu" and torch.is_grad_enabled() and key.shape[-2] < PLAIN_KEYS
    if not is_plain:
        is_causal = isinstance(mask, str)
        given = None if isinstance(mask, str) else mask
        with sdpa_kernel(KERNELS) if query.is_cuda else nullcontext():
            return F.scaled_dot_product_attention(
                query, key, value, attn_mask=given, dropout_p=dropout, is_causal=is_causal
            )
    if isinstance(mask, str):
        length = key.shape[-2]
        mask = torch.ones(length, length, dtype=torch.bool, device=key.device).tril()
    scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)  # [B, H, Q, K]
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1)
    if dropout:
        weights = F.dropout(weights, dropout)
    return weights @ value


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, T, D] -> [B, H, T, d]."""
    batch, length, width = x.shape
    return x.view(batch, length, heads, width // heads).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """[B, H, T, d] -> [B, T, D]."""
    batch, heads, length, width = x.shape
    return x.transpose(1, 2).reshape(batch, length, heads * width)


class Mlp(nn.Module):
    """Two linear layers around GELU (tanh form, as SigLIP and GPT-2 use)."""

    def __init__(self, width: int, hidden: int, *, bias: bool = True) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        out: Tensor = self.down(F.gelu(self.up(x), approximate="tanh"))
        return out


class SelfAttention(nn.Module):
    """Multi-head self-attention over one set of tokens."""

    def __init__(self, width: int, heads: int, *, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, T, D] -> query, key, value, each [B, H, T, d]."""
        parts = self.query_key_value(x).chunk(3, dim=-1)
        query, key, value = (split_heads(part, self.heads) for part in parts)
        return query, key, value

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """[B, T, D] -> [B, T, D]."""
        out: Tensor = self.out(join_heads(attend(*self.project(x), mask)))
        return out


class PreNormBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), as in SigLIP."""

    def __init__(self, width: int, heads: int, mlp_width: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width, eps=EPSILON)
        self.attention = SelfAttention(width, heads)
        self.norm_mlp = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = Mlp(width, mlp_width)

    def forward(self, x: Tensor, mask: Mask = None) -> Tensor:
        """[B, T, D] -> [B, T, D]."""
        x = x + self.attention(self.norm_attention(x), mask)
        out: Tensor = x + self.mlp(self.norm_mlp(x))
        return out


def run_block(block: Callable[..., Any], *inputs: Any, is_saving: bool) -> Any:
    """The output of a block; `is_saving` recomputes it in the backward pass to save memory."""
    if is_saving and torch.is_grad_enabled():
        return checkpoint(block, *inputs, use_reentrant=False)
    return block(*inputs)


def normal_parameter(*shape: int, std: float = 0.02) -> nn.Parameter:
    """A learned table, normal with deviation `std`."""
    return nn.Parameter(nn.init.normal_(torch.empty(*shape), std=std))


def init_linear(module: nn.Module, std: float) -> None:
    """Every linear layer below `module`: normal weights of deviation `std`, zero bias."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=std)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
