"""OFA's encoder and decoder (Wang et al., 2022), as PLURAL uses them.

Legend: B rows  I images  K patches of an image  T text tokens  L = I K + T  H heads  D width

    [image; image; text] --+ type, norm, dropout--> blocks with biased attention --> [L, D]
    text of the answer   --+ norm, dropout--------> blocks: causal attention, cross-attention, FFN

Type 1 marks the prior image, type 0 the main image and the text. Padding of the text is masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from lapse.config.vqa import OfaConfig
from lapse.models.layers.normformer import BiasedAttention, NormedFeedForward, Pair, Residual
from lapse.models.layers.padding import PaddedTokens
from lapse.models.layers.position_bias import (
    AbsoluteBias,
    RelativeBias,
    image_distances,
    text_distances,
)
from lapse.models.layers.transformer import normal_parameter

TEXT_DISTANCE = 255  # 511 distances of text, 83 x 83 of image
PRIOR, MAIN_OR_TEXT = 1, 0
MASKED = -1e9


@dataclass(frozen=True, slots=True)
class Images:
    """The image tokens of each row, prior first.

    Attributes:
        tokens: [B, I, K, D_v], from the trunk.
        places: [B, I, K] int64, row * side + column of each token, `side` as in `OfaConfig`.
    """

    tokens: Tensor
    places: Tensor


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the decoder attends to.

    Attributes:
        states: [B, L, D].
        positions: [B, L, D], normalised embeddings of the positions.
        is_used: [B, L] bool, False on padding of the text.
    """

    states: Tensor
    positions: Tensor
    is_used: Tensor


Segment = tuple[slice, Tensor]  # positions of the text or an image, and the distances within


class EncoderBlock(nn.Module):
    """Self-attention and feed-forward layer."""

    def __init__(self, config: OfaConfig, drop_path: float) -> None:
        super().__init__()
        width = config.width
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = BiasedAttention(width, config.heads)
        self.mlp = NormedFeedForward(width, config.mlp_width)
        self.residual = Residual(config.dropout, drop_path)
        self.image_bias = RelativeBias((2 * config.side - 1) ** 2 + 3, config.heads)
        self.text_bias = RelativeBias(2 * TEXT_DISTANCE + 1, config.heads)

    def forward(self, x: Tensor, absolute: Tensor, segments: list[Segment]) -> Tensor:
        """[B, L, D] -> [B, L, D]; the last segment is the text."""
        bias = absolute.clone()
        *images, (text, distances_in_text) = segments
        for image, distances in images:
            bias[:, :, image, image] += self.image_bias(distances)
        bias[:, :, text, text] += self.text_bias(distances_in_text)
        normed = self.norm_attention(x)
        x = self.residual(x, self.attention(normed, self.attention.project(normed), bias))
        out: Tensor = self.residual(x, self.mlp(self.norm_mlp(x)))
        return out


class OfaEncoder(nn.Module):
    """Images and a text -> states.

    Weights: PyTorch's linear default; positions and types normal with deviation 0.02; relative
    biases zero.

    Args:
        image_width: D_v, of the trunk's tokens.
    """

    def __init__(self, config: OfaConfig, image_width: int) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.project = nn.Linear(image_width, width)
        self.types = normal_parameter(2, width)
        self.image_positions = normal_parameter(config.side**2 + 1, width)
        self.text_positions = normal_parameter(config.max_tokens, width)
        self.norm_image, self.norm_text = nn.LayerNorm(width), nn.LayerNorm(width)
        self.norm_image_position = nn.LayerNorm(width)
        self.norm_text_position = nn.LayerNorm(width)
        self.absolute = AbsoluteBias(width, config.heads)
        self.blocks = nn.ModuleList(EncoderBlock(config, rate) for rate in _rates(config))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, images: Images, words: Tensor, text: PaddedTokens) -> Encoded:
        """Encode images and text together.

        Args:
            images: one or two per row.
            words: [B, T, D], the embedded text.
        """
        batch, num_images, num_patches, _ = images.tokens.shape
        prior = torch.tensor([PRIOR, MAIN_OR_TEXT][-num_images:], device=words.device)
        pictures = self.project(images.tokens) + self.types[prior][:, None]
        pictures = self.dropout(self.norm_image(pictures)).flatten(1, 2)
        texts = self.dropout(self.norm_text(words + self.types[MAIN_OR_TEXT]))
        x = torch.cat([pictures, texts], dim=1)
        places = images.places.flatten(1)
        of_images = self.norm_image_position(self.image_positions[places + 1])
        of_text = self.norm_text_position(self.text_positions[: words.shape[1]])
        positions = torch.cat([of_images, of_text.expand(batch, -1, -1)], dim=1)
        seen = places.new_ones(batch, num_images * num_patches, dtype=torch.bool)
        is_used = torch.cat([seen, text.is_used], dim=1)
        absolute = self.absolute(positions, positions)
        absolute = absolute.masked_fill(~is_used[:, None, None], MASKED)
        segments = self._segments(images.places, words.shape[1])
        for block in self.blocks:
            x = block(x, absolute, segments)
        return Encoded(self.norm(x), positions, is_used)

    def _segments(self, places: Tensor, length: int) -> list[Segment]:
        _, num_images, num_patches = places.shape
        segments = []
        for index, of_image in enumerate(places.unbind(1)):
            part = slice(index * num_patches, (index + 1) * num_patches)
            segments.append((part, image_distances(of_image, self.config.side)))
        start = num_images * num_patches
        distances = text_distances(length, TEXT_DISTANCE, places.device)
        return [*segments, (slice(start, start + length), distances)]


class DecoderBlock(nn.Module):
    """Causal self-attention, cross-attention and feed-forward layer."""

    def __init__(self, config: OfaConfig, drop_path: float) -> None:
        super().__init__()
        width = config.width
        self.norm_self, self.norm_cross, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.attention = BiasedAttention(width, config.heads)
        self.cross = BiasedAttention(width, config.heads)
        self.mlp = NormedFeedForward(width, config.mlp_width)
        self.residual = Residual(config.dropout, drop_path)
        self.text_bias = RelativeBias(2 * TEXT_DISTANCE + 1, config.heads)

    def forward(
        self, x: Tensor, past: Pair | None, memory: Pair, biases: Pair
    ) -> tuple[Tensor, Pair]:
        """New tokens [B, T, D] -> [B, T, D], and the keys and values of all tokens so far.

        Args:
            past: keys and values of the tokens before them.
            memory: keys and values of the encoded input.
            biases: of self-attention and of cross-attention.
        """
        normed = self.norm_self(x)
        pair = self.attention.project(normed)
        if past is not None:
            pair = (torch.cat([past[0], pair[0]], 2), torch.cat([past[1], pair[1]], 2))
        x = self.residual(x, self.attention(normed, pair, biases[0]))
        x = self.residual(x, self.cross(self.norm_cross(x), memory, biases[1]))
        x = self.residual(x, self.mlp(self.norm_mlp(x)))
        return x, pair


@dataclass(slots=True)
class DecoderState:
    """The decoder during generation.

    Attributes:
        past: keys and values of each layer; () before the first token.
        memory: of each layer, [B, H, L, d].
        cross: [B, H, max_tokens, L], the bias of cross-attention.
        length: tokens read so far.
    """

    past: tuple[Pair, ...]
    memory: tuple[Pair, ...]
    cross: Tensor
    length: int = 0

    def reorder(self, rows: Tensor) -> None:
        """Keep these rows, in this order (also repeated)."""
        self.past = tuple((key[rows], value[rows]) for key, value in self.past)
        self.memory = tuple((key[rows], value[rows]) for key, value in self.memory)
        self.cross = self.cross[rows]


class OfaDecoder(nn.Module):
    """Texts -> hidden states, with attention to encoded inputs.

    Weights: as `OfaEncoder`.
    """

    def __init__(self, config: OfaConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.positions = normal_parameter(config.max_tokens, width)
        self.norm_text, self.norm_position = nn.LayerNorm(width), nn.LayerNorm(width)
        self.absolute = AbsoluteBias(width, config.heads)
        self.absolute_cross = AbsoluteBias(width, config.heads)
        self.blocks = nn.ModuleList(DecoderBlock(config, rate) for rate in _rates(config))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)

    def start(self, encoded: Encoded, num_tokens: int) -> DecoderState:
        """The state before the first of at most `num_tokens` tokens."""
        cross = self.absolute_cross(self._normed(num_tokens)[None], encoded.positions)
        cross = cross.masked_fill(~encoded.is_used[:, None, None], MASKED)
        memory = tuple(block.cross.project(encoded.states) for block in self._layers())
        return DecoderState((), memory, cross)

    def read(self, words: Tensor, state: DecoderState) -> Tensor:
        """Read further tokens: embedded [B, T, D] -> hidden [B, T, D]; the state grows by T."""
        start, stop = state.length, state.length + words.shape[1]
        x = self.dropout(self.norm_text(words))
        positions = self._normed(stop)[None]
        absolute = self.absolute(positions[:, start:], positions)
        distances = text_distances(stop, TEXT_DISTANCE, words.device)[:, start:]
        index = torch.arange(stop, device=words.device)
        is_later = index[None, :] > index[start:, None]
        cross = state.cross[:, :, start:stop]
        pairs = []
        for layer, block in enumerate(self._layers()):
            bias = (absolute + block.text_bias(distances)).masked_fill(is_later, MASKED)
            past = state.past[layer] if state.past else None
            x, pair = block(x, past, state.memory[layer], (bias, cross))
            pairs.append(pair)
        state.past, state.length = tuple(pairs), stop
        hidden: Tensor = self.norm(x)
        return hidden

    def _normed(self, length: int) -> Tensor:
        if length > self.config.max_tokens:
            raise ValueError(
                f"a text of {length} tokens exceeds the {self.config.max_tokens} text positions: "
                "raise model.ofa.max_tokens or lower data.max_tokens"
            )
        positions: Tensor = self.norm_position(self.positions[:length])
        return positions

    def _layers(self) -> list[DecoderBlock]:
        return cast("list[DecoderBlock]", list(self.blocks))


def _rates(config: OfaConfig) -> list[float]:
    """The probability of leaving out each block: from zero to `drop_path`."""
    last = max(1, config.layers - 1)
    return [config.drop_path * layer / last for layer in range(config.layers)]
