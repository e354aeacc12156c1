"""Configuration of the paper's models, both stages."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from lapse.config.base import Config


def heads_divide_width(what: str) -> Any:
    """A validator that refuses a `width` that the `heads` of a configuration do not divide."""

    def check(config: Any) -> Any:
        if config.width % config.heads:
            raise ValueError(f"{what}: {config.heads} heads do not divide width {config.width}")
        return config

    return model_validator(mode="after")(check)


class EncoderConfig(Config):
    """SigLIP vision transformer (paper 4.1; So400m sizes, docs/explanation/deviations.md 1)."""

    image_size: int = Field(448, ge=16)
    """Side of the square input image in pixels."""
    patch_size: int = Field(14, ge=1)
    """Side of a patch in pixels."""
    channels: Literal[1, 3] = 3
    """Colour channels; grey images are repeated for 3."""
    width: int = Field(1152, ge=8)
    """Width of the token vectors."""
    layers: int = Field(27, ge=1, le=1000)
    """Number of transformer blocks."""
    heads: int = Field(12, ge=1)
    """Number of attention heads; must divide the width. 12 as in the paper; the weights of SigLIP
    So400m have 16.
    """
    mlp_width: int = Field(4304, ge=8)
    """Width of the hidden layer of each MLP."""
    stem: Literal["patch", "conv", "conv_batch"] = "patch"
    """Patch embedding: "patch" is one linear layer (the paper), "conv" a stack of convolutions for
    small models, "conv_batch" the same with batch norm. The stacks cannot be written in SigLIP's
    format.
    """
    activation_checkpointing: bool = False
    """Keep only the input of each block and recompute the block in the backward pass."""
    hf_config: dict[str, Any] | None = None
    """`config.json` of a Hugging Face encoder of another architecture, as
    `lapse.models.backbones.pretrained_encoder.encoder_config_of` returns it. The sizes above then
    describe that encoder.
    """

    _divides = heads_divide_width("encoder")

    @model_validator(mode="after")
    def _stem_fits(self) -> EncoderConfig:
        if self.stem != "patch" and (self.width % 8 or self.patch_size.bit_count() != 1):
            raise ValueError(
                f"encoder: a stem of convolutions needs a patch that is a power of two and a "
                f"width that 8 divides, got patch {self.patch_size} and width {self.width}"
            )
        return self

    @property
    def num_tokens(self) -> int:
        """Visual tokens of one image (a remainder at the border is dropped, as SigLIP does)."""
        return (self.image_size // self.patch_size) ** 2


class DecoderConfig(Config):
    """Captioning decoder: causal self-attention, cross-attention in every layer (3.2.1)."""

    width: int = Field(1024, ge=8)
    """Width of the token vectors."""
    layers: int = Field(12, ge=1, le=1000)
    """Number of transformer blocks."""
    heads: int = Field(16, ge=1)
    """Number of attention heads; must divide the width."""
    mlp_width: int = Field(4096, ge=8)
    """Width of the hidden layer of each MLP."""
    max_tokens: int = Field(448, ge=8)
    """Text positions; longer texts are truncated and counted."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout probability."""
    bias: bool = True
    """Whether linear layers and norms have a bias; CapPa's have none."""
    tied: bool = True
    """Whether the output layer is the token embedding; CapPa has its own, zero at the start."""
    activation_checkpointing: bool = False
    """Keep only the input of each block and recompute the block in the backward pass."""

    _divides = heads_divide_width("decoder")


class CaptionerConfig(Config):
    """Stage 1 of the paper, and CapPa: encoder, two-layer adapter, decoder."""

    encoder: EncoderConfig = EncoderConfig()
    """Image encoder."""
    adapter_width: int = Field(1024, ge=8)
    """Hidden width of the two-layer adapter."""
    decoder: DecoderConfig = DecoderConfig()
    """Captioning decoder."""


class LanguageModelConfig(Config):
    """GPT-2, by default the medium size."""

    width: int = Field(1024, ge=8)
    """Width of the token vectors."""
    layers: int = Field(24, ge=1, le=1000)
    """Number of transformer blocks."""
    heads: int = Field(16, ge=1)
    """Number of attention heads; must divide the width."""
    max_positions: int = Field(1024, ge=8)
    """Text positions."""
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Dropout probability."""
    weights: str | None = None
    """GPT-2 weights: a local folder, or a hub id with a pinned revision ("openai-
    community/gpt2-medium@<40 hex digits>"). Null: random weights.
    """
    take: Literal["all", "blocks"] = "all"
    """What is taken from `weights`: everything, or the blocks without the biases of their queries,
    keys and values, as the paper's code does; token and position tables are then random.
    """
    activation_checkpointing: bool = False
    """Keep only the input of each block and recompute the block in the backward pass."""

    _divides = heads_divide_width("language model")


class SystemConfig(Config):
    """What all systems with an image encoder have."""

    encoder: EncoderConfig = EncoderConfig()
    """Image encoder; in stage 2 it must match the encoder that `init_encoder` loads."""
    label_smoothing: float = Field(0.11, ge=0.0, lt=1.0)
    """Label smoothing of the token loss."""
    train_encoder: bool = False
    """Train the image encoder instead of keeping it frozen."""


class PrefixLMConfig(SystemConfig):
    """Stage 2 of the paper: frozen encoder, temporal embeddings, adapter, GPT-2 (3.4)."""

    language_model: LanguageModelConfig = LanguageModelConfig()
    """Language model that writes the answer."""
    temporal: Literal["token", "image"] = "token"
    """Temporal embeddings: one per visual token (equation 2) or one per image."""
    visual_positions: Literal["extend", "interpolate", "learned"] = "extend"
    """How the visual tokens get GPT-2 positions (docs/explanation/deviations.md 3)."""
    pool: int = Field(1, ge=1)
    """Side of the square of visual tokens that is averaged into one token."""
    images: Literal["both", "main", "reference", "none"] = "both"
    """Images that the language model sees. "none", "main" and "reference" are image-blind
    baselines.
    """
    difference_tokens: bool = False
    """Whether the tokens of the main image minus those of the reference follow the tokens of both
    images (not in the paper).
    """

    @model_validator(mode="after")
    def _difference_needs_both(self) -> PrefixLMConfig:
        if self.difference_tokens and self.images != "both":
            raise ValueError(
                f"model.difference_tokens=true needs model.images=both, got {self.images!r}"
            )
        return self
