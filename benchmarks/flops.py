"""Floating-point operations of the models, counted analytically.

Legend: N visual tokens  T text tokens  D width  L layers  V tokens of the table

A product of [m, k] and [k, n] has 2 m k n operations. Projections, attention scores and their use
are counted; norms, activations and softmax are not (under 1%). A causal mask halves attention if
the kernel skips masked positions (`is_skipping`). The backward pass has twice the operations of
the forward pass, except where no gradient is needed. A test compares the counts with
torch.utils.flop_counter.
"""

from __future__ import annotations

from collections.abc import Sequence

from lapse.config import (
    CaptionerConfig,
    DecoderConfig,
    EncoderConfig,
    LanguageModelConfig,
    PrefixLMConfig,
)
from lapse.core.tokenizer import SIZE

TERA = 1e12


def matrix(rows: float, inside: float, columns: float) -> float:
    """A matrix product [rows, inside] x [inside, columns]."""
    return 2.0 * rows * inside * columns


def attention(queries: float, keys: float, width: float) -> float:
    """Scores and their use, all heads."""
    return 2 * matrix(queries, width, keys)


def patches(config: EncoderConfig) -> float:
    """The patch embedding of one image."""
    return matrix(config.num_tokens, config.channels * config.patch_size**2, config.width)


def encoder(config: EncoderConfig) -> float:
    """One image through the encoder, forward."""
    tokens, width = config.num_tokens, config.width
    block = matrix(tokens, width, 4 * width + 2 * config.mlp_width)
    return patches(config) + config.layers * (block + attention(tokens, tokens, width))


def adapter(tokens: float, into: float, hidden: float, out: float) -> float:
    """The two layers between vision and text, forward."""
    return matrix(tokens, into, hidden) + matrix(tokens, hidden, out)


def cross_memory(config: DecoderConfig, visual: int) -> float:
    """Keys and values of one image in every layer of the decoder, forward."""
    return config.layers * matrix(visual, config.width, 2 * config.width)


def decoder(config: DecoderConfig, tokens: int, visual: int) -> float:
    """One text through the decoder, without the keys and values of the image and without logits."""
    width = config.width
    block = matrix(tokens, width, 6 * width + 2 * config.mlp_width)
    scores = attention(tokens, tokens, width) + attention(tokens, visual, width)
    return config.layers * (block + scores)


def logits(rows: float, width: float, vocabulary: int = SIZE) -> float:
    """The output layer at some positions, forward."""
    return matrix(rows, width, vocabulary)


def language_model(config: LanguageModelConfig, tokens: int, *, is_skipping: bool = True) -> float:
    """One sequence through the blocks of GPT-2, forward."""
    width = config.width
    block = matrix(tokens, width, 12 * width)
    scores = attention(tokens, tokens, width) * (0.5 if is_skipping else 1.0)
    return config.layers * (block + scores)


def pretraining_step(
    config: CaptionerConfig,
    texts: Sequence[Sequence[int]],
    targets: int,
    *,
    vocabulary: int = SIZE,
    shares_image: bool = True,
) -> float:
    """Forward and backward of one step of stage 1.

    Args:
        config: sizes.
        texts: for each image, the lengths of its texts.
        targets: positions with a loss, over the step.
        vocabulary: rows of the token table.
        shares_image: False encodes the image for every text.
    """
    visual, vision, text = config.encoder.num_tokens, config.encoder, config.decoder
    per_image = 3 * encoder(vision) - patches(vision)  # pixels need no gradient
    per_image += 3 * adapter(visual, vision.width, config.adapter_width, text.width)
    per_image += 3 * cross_memory(text, visual)
    num_passes = len(texts) if shares_image else sum(len(lengths) for lengths in texts)
    of_texts = sum(3 * decoder(text, length, visual) for row in texts for length in row)
    return num_passes * per_image + of_texts + 3 * logits(targets, text.width, vocabulary)


def finetuning_step(
    config: PrefixLMConfig,
    lengths: Sequence[int],
    targets: int,
    *,
    vocabulary: int = SIZE,
    is_cached: bool = False,
    is_skipping: bool = True,
) -> float:
    """Forward and backward of one step of stage 2 with a frozen encoder.

    Args:
        config: sizes.
        lengths: text tokens of each pair.
        targets: positions with a loss, over the step.
        vocabulary: rows of the token table.
        is_cached: whether the tokens of the encoder are read from disk.
        is_skipping: whether attention skips masked positions.
    """
    vision, model = config.encoder, config.language_model
    visual = vision.num_tokens // config.pool**2
    total = 3 * logits(targets, model.width, vocabulary)
    for length in lengths:
        total += 0.0 if is_cached else 2 * encoder(vision)
        total += 2 * 3 * adapter(visual, vision.width, model.width, model.width)
        total += 3 * language_model(model, 2 * visual + length, is_skipping=is_skipping)
    return total


def beam_answer(config: PrefixLMConfig, prompt: int, new_tokens: int, beams: int) -> float:
    """One answer to cached visual tokens: the prefix once, then `new_tokens` steps of all beams."""
    model = config.language_model
    prefix = 2 * config.encoder.num_tokens // config.pool**2 + prompt
    total = language_model(model, prefix) + logits(1, model.width)
    for step in range(new_tokens):
        block = matrix(beams, model.width, 12 * model.width)
        total += model.layers * (block + beams * attention(1, prefix + step + 1, model.width))
        total += logits(beams, model.width)
    return total
