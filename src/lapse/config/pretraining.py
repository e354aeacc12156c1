"""Sizes and choices of the stage-1 methods beside the captioner. No torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lapse.config import Config, EncoderConfig, LanguageModelConfig, check_heads


class TextEncoderConfig(Config):
    """SigLIP text transformer (Zhai et al., 2023); the So400m sizes, longer texts than its 64."""

    width: int = Field(1152, ge=8)
    layers: int = Field(27, ge=1)
    heads: int = Field(16, ge=1)
    mlp_width: int = Field(4304, ge=8)
    max_tokens: int = Field(256, ge=8)

    @model_validator(mode="after")
    def _divides(self) -> TextEncoderConfig:
        check_heads(self.width, self.heads, "text encoder")
        return self


class GlobalContrastiveConfig(Config):
    """Image against report under the sigmoid loss (SigLIP, algorithm 1).

    `temperature` and `bias` are where the learned values begin. `identical_texts`: whether the
    report of another image that reads the same is a negative, as published, or left out.
    """

    encoder: EncoderConfig = EncoderConfig()
    text: TextEncoderConfig = TextEncoderConfig()
    temperature: float = Field(10.0, gt=0.0)
    bias: float = -10.0
    identical_texts: Literal["negative", "ignored"] = "negative"


class RegionalContrastiveConfig(Config):
    """Regions of the token grid against their phrases under the sigmoid loss.

    `roi_side`: bins of RoIAlign along each side; `roi_samples`: points per bin along each side.
    """

    encoder: EncoderConfig = EncoderConfig()
    text: TextEncoderConfig = TextEncoderConfig()
    roi_side: int = Field(3, ge=1)
    roi_samples: int = Field(2, ge=1)
    temperature: float = Field(10.0, gt=0.0)
    bias: float = -10.0
    identical_texts: Literal["negative", "ignored"] = "ignored"


class QFormerConfig(Config):
    """Querying transformer of BLIP-2 (Li et al., 2023b): BERT base with 32 queries.

    `cross_every`: cross-attention to the image in every so many layers, from the first on.
    """

    queries: int = Field(32, ge=1)
    width: int = Field(768, ge=8)
    layers: int = Field(12, ge=1)
    heads: int = Field(12, ge=1)
    mlp_width: int = Field(3072, ge=8)
    cross_every: int = Field(2, ge=1)
    max_tokens: int = Field(512, ge=8)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _divides(self) -> QFormerConfig:
        check_heads(self.width, self.heads, "Q-Former")
        return self


class Blip2Config(Config):
    """BLIP-2, first stage: three losses over one Q-Former (3.2).

    `train_encoder` False keeps the image encoder frozen, as published; that needs a pretrained
    one (`init_encoder`). `embedding_width`: of the contrastive space.
    """

    encoder: EncoderConfig = EncoderConfig()
    qformer: QFormerConfig = QFormerConfig()
    embedding_width: int = Field(256, ge=8)
    temperature: float = Field(0.07, gt=0.0)
    label_smoothing: float = Field(0.1, ge=0.0, lt=1.0)
    train_encoder: bool = True


class Blip2WriterConfig(Config):
    """BLIP-2, second stage: a language model reads the queries and writes the report (3.3).

    `train_language_model` False keeps it frozen, as published; that needs a pretrained one.
    """

    encoder: EncoderConfig = EncoderConfig()
    qformer: QFormerConfig = QFormerConfig()
    language_model: LanguageModelConfig = LanguageModelConfig()
    train_encoder: bool = False
    train_language_model: bool = False
