"""Options of the paper's models, both stages; other methods and systems keep theirs themselves."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from lapse.config.base import Config


def check_heads(width: int, heads: int, what: str) -> None:
    """Refuse a width that the heads do not divide."""
    if width % heads:
        raise ValueError(f"{what}: {heads} heads do not divide width {width}")


class EncoderConfig(Config):
    """SigLIP vision transformer (paper 4.1; So400m sizes, docs/deviations.md 1).

    `stem`: the paper's one layer of patches, or convolutions for small models ("conv_batch":
    with batch norm), which cannot be written in SigLIP's format.
    `hf_config`: the architecture of another kind of encoder, as its config.json has it
    (`lapse.models.backbones.pretrained_encoder.encoder_config_of` writes it); the sizes then
    describe that one.
    """

    image_size: int = Field(448, ge=16)
    patch_size: int = Field(14, ge=1)
    channels: Literal[1, 3] = 3
    width: int = Field(1152, ge=8)
    layers: int = Field(27, ge=1)
    heads: int = Field(16, ge=1)
    mlp_width: int = Field(4304, ge=8)
    stem: Literal["patch", "conv", "conv_batch"] = "patch"
    activation_checkpointing: bool = False
    hf_config: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _divides(self) -> EncoderConfig:
        check_heads(self.width, self.heads, "encoder")
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
    layers: int = Field(12, ge=1)
    heads: int = Field(16, ge=1)
    mlp_width: int = Field(4096, ge=8)
    max_tokens: int = Field(448, ge=8)
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    activation_checkpointing: bool = False

    @model_validator(mode="after")
    def _divides(self) -> DecoderConfig:
        check_heads(self.width, self.heads, "decoder")
        return self


class CaptionerConfig(Config):
    """Stage 1 of the paper, and CapPa: encoder, two-layer adapter, decoder."""

    encoder: EncoderConfig = EncoderConfig()
    adapter_width: int = Field(1024, ge=8)
    decoder: DecoderConfig = DecoderConfig()


class LanguageModelConfig(Config):
    """GPT-2 (medium by default). `weights` is a local folder or a hub id; None is random.

    A hub id must pin its revision: "openai-community/gpt2-medium@<40 hex digits>".
    """

    width: int = Field(1024, ge=8)
    layers: int = Field(24, ge=1)
    heads: int = Field(16, ge=1)
    max_positions: int = Field(1024, ge=8)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    weights: str | None = None
    activation_checkpointing: bool = False

    @model_validator(mode="after")
    def _divides(self) -> LanguageModelConfig:
        check_heads(self.width, self.heads, "language model")
        return self


class PrefixLMConfig(Config):
    """Stage 2 of the paper: frozen encoder, temporal embeddings, adapter, GPT-2 (3.4).

    `temporal`: one embedding per visual token (equation 2) or one per image.
    `visual_positions`: how the visual tokens get GPT-2 positions (docs/deviations.md 3).
    `pool`: side of the square of visual tokens that is averaged into one.
    `images`: which images the language model sees; "none" and "main" are the blind rows.
    """

    encoder: EncoderConfig = EncoderConfig()
    language_model: LanguageModelConfig = LanguageModelConfig()
    temporal: Literal["token", "image"] = "token"
    visual_positions: Literal["extend", "interpolate", "learned"] = "extend"
    pool: int = Field(1, ge=1)
    images: Literal["both", "main", "reference", "none"] = "both"
    label_smoothing: float = Field(0.11, ge=0.0, lt=1.0)
    train_encoder: bool = False
