"""Sizes and choices of the compared systems (stage 2): plain values, no torch.

They stand beside the models they size, so that a wrong key is reported without importing torch.
Which choice follows which publication is said in docs/baselines.md.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lapse.config import (
    Config,
    DecoderConfig,
    EncoderConfig,
    LanguageModelConfig,
    check_heads,
)
from lapse.config.pretraining import QFormerConfig


class BlindConfig(Config):
    """Answers from the training answers alone; no image is looked at.

    `strategy`: the one answer that is worth most, or one drawn for each question.
    `max_answers`: how many training answers are kept; beyond that a fair sample of all of them.
    """

    strategy: Literal["constant", "random"]
    max_answers: int = Field(8192, ge=1)
    max_answer: int = Field(160, ge=1)


class Blip2SystemConfig(Config):
    """BLIP-2 (Li et al., 2023b) on difference questions: queries instead of all visual tokens.

    `train_language_model` False keeps GPT-2 frozen, as published; it then needs `weights`.
    """

    encoder: EncoderConfig = EncoderConfig()
    qformer: QFormerConfig = QFormerConfig()
    language_model: LanguageModelConfig = LanguageModelConfig()
    label_smoothing: float = Field(0.11, ge=0.0, lt=1.0)
    train_encoder: bool = False
    train_language_model: bool = True


class RealConfig(Config):
    """ReAL (Lu et al., 2024): a branch for the residual image, aligned with the features.

    `registration`: "shift" moves the reference by phase correlation, "flow" bends it by optical
    flow (scikit-image, extra "registration"), "none" subtracts as it is.
    `align_tokens`, `align_image`: weights of the two alignment losses.
    """

    encoder: EncoderConfig = EncoderConfig()
    residual: EncoderConfig = EncoderConfig()
    language_model: LanguageModelConfig = LanguageModelConfig()
    registration: Literal["shift", "flow", "none"] = "shift"
    max_shift: float = Field(0.15, gt=0.0, le=0.5)
    align_tokens: float = Field(0.5, ge=0.0)
    align_image: float = Field(0.5, ge=0.0)
    label_smoothing: float = Field(0.11, ge=0.0, lt=1.0)
    train_encoder: bool = False

    @model_validator(mode="after")
    def _same_grid(self) -> RealConfig:
        ours = (self.encoder.image_size, self.encoder.num_tokens)
        theirs = (self.residual.image_size, self.residual.num_tokens)
        if ours != theirs:
            raise ValueError(
                f"the residual branch reads {theirs[0]} px as {theirs[1]} tokens, the encoder "
                f"{ours[0]} px as {ours[1]}: aligned token by token, they need the same grid"
            )
        return self


class PluralConfig(Config):
    """PLURAL (Cho et al., 2024): one encoder-decoder over both images and the question.

    `past_report`: also read the reference study's report, which the other systems do not have.
    """

    encoder: EncoderConfig = EncoderConfig()
    layers: int = Field(6, ge=1)
    decoder: DecoderConfig = DecoderConfig(width=768, layers=6, heads=12, mlp_width=3072)
    question_tokens: int = Field(48, ge=4)
    past_report: bool = False
    report_tokens: int = Field(128, ge=4)
    label_smoothing: float = Field(0.11, ge=0.0, lt=1.0)
    train_encoder: bool = True


class RgagConfig(Config):
    """RG-AG (Dalla Serra et al., 2025): write the reports, then answer with them in view."""

    encoder: EncoderConfig = EncoderConfig()
    language_model: LanguageModelConfig = LanguageModelConfig()
    report_tokens: int = Field(160, ge=4)
    report_weight: float = Field(1.0, ge=0.0)
    label_smoothing: float = Field(0.11, ge=0.0, lt=1.0)
    train_encoder: bool = False


class EkaidConfig(Config):
    """EKAID (Hu et al., 2023): graphs of anatomical regions, their difference, an LSTM."""

    encoder: EncoderConfig = EncoderConfig()
    width: int = Field(512, ge=8)
    heads: int = Field(8, ge=1)
    words: int = Field(300, ge=8)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    label_smoothing: float = Field(0.11, ge=0.0, lt=1.0)
    train_encoder: bool = False

    @model_validator(mode="after")
    def _divides(self) -> EkaidConfig:
        check_heads(self.width, self.heads, "graph")
        return self
