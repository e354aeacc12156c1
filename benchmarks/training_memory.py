"""`python -m benchmarks memory`: the memory of a training step of the paper's two stages.

Legend: D width  M hidden width of an MLP  V rows of the token table  h bytes of autocast (2 or 4)

    weights        fp32, and their bf16 copies, which autocast keeps during a step
    gradients      fp32, of trained weights
    optimizer      two fp32 moments of trained weights
    activations    what the backward pass reads, counted layer by layer
    loss           logits of one chunk of targets with their gradient

The sum is an upper limit: gradients grow while activations are freed. Kernels of a GPU need some
working memory besides, and its allocator keeps free blocks. Attention is fused, so it keeps no
scores. Tests compare the activations with the tensors that autograd keeps, in both precisions, and
with the measured peak of a process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from benchmarks import inputs
from benchmarks.gpu import LENGTHS
from lapse.config import (
    CaptionerConfig,
    DecoderConfig,
    EncoderConfig,
    LanguageModelConfig,
    PrefixLMConfig,
    RunConfig,
    load_config,
)
from lapse.core.tokenizer import SIZE, Tokenizer
from lapse.models.layers import token_losses, transformer
from lapse.models.pretraining.captioner import Captioner
from lapse.training.optim import trained_parameters
from lapse.training.run_folder import build_model

FULL, NORM = 4, 8  # bytes of fp32, and of the mean and deviation of a norm
PRESETS = ("pretrain-lapse", "diffvqa-lapse")
CHECKPOINTING = "model.encoder.activation_checkpointing=true"


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Bytes of one training step."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    loss: float

    @property
    def total(self) -> float:
        """The sum of all parts."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.loss


def attention_layer(width: int, heads: int, h: int) -> float:
    """One token through norm and self-attention with a residual."""
    return FULL * width + NORM + h * width + 3 * h * width + h * width + FULL * heads


def mlp_layer(width: int, hidden: int, h: int) -> float:
    """One token through norm and MLP with a residual."""
    return FULL * width + NORM + h * width + 2 * h * hidden


def blocks(per_token: float, width: int, layers: int, *, is_checkpointed: bool) -> float:
    """One token through all blocks; with checkpointing their inputs and one block."""
    return layers * FULL * width + per_token if is_checkpointed else layers * per_token


def encoder(config: EncoderConfig, h: int) -> float:
    """One image through the encoder, its normalized pixels included."""
    per_token = attention_layer(config.width, config.heads, h)
    per_token += mlp_layer(config.width, config.mlp_width, h)
    layers = blocks(
        per_token, config.width, config.layers, is_checkpointed=config.activation_checkpointing
    )
    pixels = config.image_size**2 * (h * config.channels if h < FULL else FULL)
    return pixels + config.num_tokens * (layers + FULL * config.width + NORM)


def adapter(into: int, hidden: int, h: int) -> float:
    """One visual token through the two layers between vision and text."""
    return h * into + 2 * h * hidden


def decoder(config: DecoderConfig, h: int) -> float:
    """One text token through the decoder of the captioner."""
    width = config.width
    # norm, query, its copy arranged by image, attended values, and their copy arranged by row
    cross = FULL * width + NORM + h * width + 3 * h * width + FULL * config.heads
    per_token = attention_layer(width, config.heads, h) + cross
    per_token += mlp_layer(width, config.mlp_width, h)
    layers = blocks(
        per_token, width, config.layers, is_checkpointed=config.activation_checkpointing
    )
    return layers + FULL * width + NORM


def language_model(config: LanguageModelConfig, h: int) -> float:
    """One token through GPT-2, with the masks of its dropout."""
    width = config.width
    masks = 2 * width if config.dropout else 0
    per_token = attention_layer(width, config.heads, h) + mlp_layer(width, 4 * width, h) + masks
    layers = blocks(
        per_token, width, config.layers, is_checkpointed=config.activation_checkpointing
    )
    return layers + FULL * width + NORM + masks / 2


def captioner_activations(
    config: CaptionerConfig, num_images: int, texts: Sequence[int], h: int
) -> float:
    """A step of stage 1; `texts` are the lengths of the texts of each image."""
    visual = config.encoder.num_tokens
    width, layers = config.decoder.width, config.decoder.layers
    per_visual = adapter(config.encoder.width, config.adapter_width, h)
    per_visual += h * width + layers * 2 * h * width  # keys and values of every layer
    per_image = encoder(config.encoder, h) + visual * per_visual
    return num_images * (per_image + sum(texts) * decoder(config.decoder, h))


def prefix_lm_activations(config: PrefixLMConfig, num_pairs: int, text: int, h: int) -> float:
    """A step of stage 2 with a frozen encoder; `text` is the length of question and answer."""
    visual, width = 2 * config.encoder.num_tokens // config.pool**2, config.language_model.width
    per_pair = visual * adapter(config.encoder.width, width, h)
    return num_pairs * (per_pair + (visual + text) * language_model(config.language_model, h))


def loss_bytes(num_targets: int, width: int, vocabulary: int, h: int) -> float:
    """Logits with their softmax and gradient; in chunks also the fp32 gradient of the table."""
    rows = min(num_targets, token_losses.CHUNK)
    logits = rows * vocabulary * (2 * FULL + h)
    is_chunked = num_targets > token_losses.CHUNK
    return logits + (vocabulary * width * (FULL + h) if is_chunked else 0)


def step_memory(config: RunConfig, *, h: int = 2) -> StepMemory:
    """A step of a run of the captioner or of PrefixLM with the batch size of its preset.

    Raises:
        ValueError: another model.
    """
    sizes, batch = config.model_config_object(), config.train.batch_size
    if isinstance(sizes, CaptionerConfig):
        num_images, width = batch // len(LENGTHS), sizes.decoder.width
        activations = captioner_activations(sizes, num_images, LENGTHS, h)
        num_targets = num_images * (sum(LENGTHS) - len(LENGTHS) * inputs.PREFIX)
    elif isinstance(sizes, PrefixLMConfig):
        width, num_targets = sizes.language_model.width, batch * inputs.ANSWER
        activations = prefix_lm_activations(sizes, batch, inputs.QUESTION + inputs.ANSWER, h)
    else:
        raise ValueError(f"{config.model_type!r}: the memory of captioner and prefix_lm is counted")
    with torch.device("meta"):
        model = build_model(config, Tokenizer())
    weights = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for _, p in trained_parameters(model))
    copies = h * weights if h < FULL else 0
    return StepMemory(
        weights=FULL * weights + copies,
        gradients=FULL * trained,
        optimizer=2 * FULL * trained,
        activations=activations,
        loss=loss_bytes(num_targets, width, SIZE, h),
    )


def memory_table() -> str:
    """The paper's presets, and stage 1 with checkpointed encoder blocks, in GB."""
    lines = [
        "| preset | batch | weights | gradients | optimizer | activations | loss | sum, GB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for preset, overrides in ((PRESETS[0], []), (PRESETS[0], [CHECKPOINTING]), (PRESETS[1], [])):
        config = load_config(preset, overrides)
        memory = step_memory(config)
        parts = (memory.weights, memory.gradients, memory.optimizer, memory.activations)
        cells = " | ".join(f"{part / 1e9:.2f}" for part in (*parts, memory.loss, memory.total))
        name = " ".join([preset, *overrides])
        lines.append(f"| {name} | {config.train.batch_size} | {cells} |")
    return "\n".join(lines)


SMALL = CaptionerConfig(
    encoder=EncoderConfig(
        image_size=256, patch_size=8, channels=1, width=128, layers=4, heads=4, mlp_width=512
    ),
    adapter_width=128,
    decoder=DecoderConfig(width=128, layers=2, heads=4, mlp_width=512, max_tokens=64),
)
SMALL_IMAGES, SMALL_TEXTS, SMALL_VOCABULARY = 8, (40, 40, 40, 40), 300


def job(*, num_images: int = SMALL_IMAGES) -> object:
    """A step of a small captioner with fused attention, for `benchmarks.memory.peak_bytes`."""
    transformer.PLAIN_KEYS = 0
    torch.manual_seed(0)
    tokenizer = inputs.small_tokenizer(SMALL_VOCABULARY)
    model = Captioner(SMALL, tokenizer)
    batch = inputs.captions(
        SMALL.encoder.image_size, num_images, SMALL_TEXTS, range(SMALL_VOCABULARY - 1)
    )

    def step() -> None:
        torch.autograd.backward(model.loss(batch)["loss"])

    return step
