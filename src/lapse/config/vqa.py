"""Configuration of the compared systems (stage 2).

docs/explanation/baselines.md lists which choice follows which publication.
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
    """Image-blind baseline: answers from the training answers alone."""

    strategy: Literal["constant", "random"]
    """Which training answer is given: "constant" is the one with the highest mean ROUGE-L against
    training answers, "random" is drawn for each question.
    """
    max_answers: int = Field(8192, ge=1)
    """Maximum number of training answers that are kept, a random sample of all."""
    max_answer: int = Field(160, ge=1)
    """Maximum tokens of an answer."""


class Blip2SystemConfig(Config):
    """BLIP-2 (Li et al., 2023b) on difference questions: queries instead of all visual tokens."""

    encoder: EncoderConfig = EncoderConfig()
    """Image encoder; in stage 2 it must match the encoder that `init_encoder` loads."""
    qformer: QFormerConfig = QFormerConfig()
    """Querying transformer."""
    language_model: LanguageModelConfig = LanguageModelConfig()
    """Language model that writes the answer."""
    label_smoothing: float = Field(0.11, ge=0.0, lt=1.0)
    """Label smoothing of the token loss."""
    train_encoder: bool = False
    """Train the image encoder instead of keeping it frozen."""
    train_language_model: bool = True
    """False keeps GPT-2 frozen, as published; that needs `language_model.weights`."""


class RealConfig(Config):
    """ReAL (Lu et al., 2024): a branch for the residual image, aligned with the features."""

    encoder: EncoderConfig = EncoderConfig()
    """Image encoder; in stage 2 it must match the encoder that `init_encoder` loads."""
    residual: EncoderConfig = EncoderConfig()
    """Encoder of the residual image; needs the same token grid as `encoder`."""
    language_model: LanguageModelConfig = LanguageModelConfig()
    """Language model that writes the answer."""
    registration: Literal["shift", "flow", "none"] = "shift"
    """How the reference is aligned: "shift" is phase correlation, "flow" optical flow (extra
    `registration`), "none" subtracts without alignment.
    """
    max_shift: float = Field(0.15, gt=0.0, le=0.5)
    """Largest shift that registration accepts, as a fraction of the image side."""
    align_tokens: float = Field(0.5, ge=0.0)
    """Weight of the alignment loss of single tokens."""
    align_image: float = Field(0.5, ge=0.0)
    """Weight of the alignment loss of the image means."""
    label_smoothing: float = Field(0.11, ge=0.0, lt=1.0)
    """Label smoothing of the token loss."""
    train_encoder: bool = False
    """Train the image encoder instead of keeping it frozen."""

    @model_validator(mode="after")
    def _same_grid(self) -> RealConfig:
        size, num_tokens = self.encoder.image_size, self.encoder.num_tokens
        if (self.residual.image_size, self.residual.num_tokens) != (size, num_tokens):
            raise ValueError(
                f"the residual branch reads {self.residual.image_size} px as "
                f"{self.residual.num_tokens} tokens, the encoder {size} px as {num_tokens}: they "
                "are aligned token by token and need the same grid"
            )
        return self


class PluralConfig(Config):
    """PLURAL (Cho et al., 2024): one encoder-decoder over both images and the question."""

    encoder: EncoderConfig = EncoderConfig()
    """Image encoder; in stage 2 it must match the encoder that `init_encoder` loads."""
    layers: int = Field(6, ge=1, le=1000)
    """Number of encoder blocks over both images and the question."""
    decoder: DecoderConfig = DecoderConfig(width=768, layers=6, heads=12, mlp_width=3072)
    """Answer decoder."""
    question_tokens: int = Field(48, ge=4)
    """Maximum tokens of a question."""
    past_report: bool = False
    """Also read the report of the reference study. No other system has this input."""
    report_tokens: int = Field(128, ge=4)
    """Maximum tokens of the past report."""
    label_smoothing: float = Field(0.11, ge=0.0, lt=1.0)
    """Label smoothing of the token loss."""
    train_encoder: bool = True
    """Train the image encoder instead of keeping it frozen."""


class RgagConfig(Config):
    """RG-AG (Dalla Serra et al., 2025): generates both reports, then the answer from them."""

    encoder: EncoderConfig = EncoderConfig()
    """Image encoder; in stage 2 it must match the encoder that `init_encoder` loads."""
    language_model: LanguageModelConfig = LanguageModelConfig()
    """Language model that writes the answer."""
    report_tokens: int = Field(160, ge=4)
    """Maximum tokens of a report."""
    report_weight: float = Field(1.0, ge=0.0)
    """Weight of the report loss."""
    label_smoothing: float = Field(0.11, ge=0.0, lt=1.0)
    """Label smoothing of the token loss."""
    train_encoder: bool = False
    """Train the image encoder instead of keeping it frozen."""


class EkaidConfig(Config):
    """EKAID (Hu et al., 2023): graphs of anatomical regions, their difference, an LSTM."""

    encoder: EncoderConfig = EncoderConfig()
    """Image encoder; in stage 2 it must match the encoder that `init_encoder` loads."""
    width: int = Field(512, ge=8)
    """Width of the graph nodes."""
    heads: int = Field(8, ge=1)
    """Number of attention heads of the graph; must divide the width."""
    words: int = Field(300, ge=8)
    """Width of the word embeddings."""
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Dropout probability."""
    label_smoothing: float = Field(0.11, ge=0.0, lt=1.0)
    """Label smoothing of the token loss."""
    train_encoder: bool = False
    """Train the image encoder instead of keeping it frozen."""

    @model_validator(mode="after")
    def _divides(self) -> EkaidConfig:
        check_heads(self.width, self.heads, "graph")
        return self
