"""Configuration of the compared systems (stage 2).

docs/explanation/baselines.md lists which choice follows which publication.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from lapse.config.base import Config
from lapse.config.models import (
    DecoderConfig,
    EncoderConfig,
    LanguageModelConfig,
    SystemConfig,
    heads_divide_width,
)
from lapse.config.pretraining import FindingHeadConfig, QFormerConfig


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


class Blip2SystemConfig(SystemConfig):
    """BLIP-2 (Li et al., 2023b) on difference questions: queries instead of all visual tokens."""

    qformer: QFormerConfig = QFormerConfig()
    """Querying transformer."""
    language_model: LanguageModelConfig = LanguageModelConfig()
    """Language model that writes the answer."""
    train_language_model: bool = True
    """False keeps GPT-2 frozen, as published; that needs `language_model.weights`."""


class RealConfig(SystemConfig):
    """After ReAL's abstract (Lu et al., 2024): a branch for the residual image, aligned with the
    features. Its text and code are not available.
    """

    residual: EncoderConfig = EncoderConfig()
    """Encoder of the residual image; needs the same token grid as `encoder`."""
    language_model: LanguageModelConfig = LanguageModelConfig()
    """Language model that writes the answer."""
    registration: Literal["shift", "affine", "flow", "none"] = "shift"
    """How the reference is aligned: "shift" is phase correlation, "affine" adds scale, rotation
    and shear to it, "flow" is optical flow (extra `registration`), "none" subtracts without
    alignment.
    """
    max_shift: float = Field(0.15, gt=0.0, le=0.5)
    """Largest shift that registration accepts, as a fraction of the image side."""
    align_tokens: float = Field(0.5, ge=0.0)
    """Weight of the alignment loss of single tokens."""
    align_image: float = Field(0.5, ge=0.0)
    """Weight of the alignment loss of the image means."""
    align: Literal["cosine", "mse", "contrast"] = "cosine"
    """Form of the alignment: cosine or squared distance of residual and difference feature, or
    contrast of both over the batch (temperature 0.07).
    """
    align_stop: Literal["difference", "none"] = "difference"
    """Whether the difference feature gets no gradient from the alignment."""
    residual_sign: Literal["signed", "absolute"] = "signed"
    """Whether the residual image keeps its sign."""

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


class PluralConfig(SystemConfig):
    """PLURAL-style: one encoder-decoder over both images and the question."""

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
    train_encoder: bool = True


class RgagConfig(SystemConfig):
    """RG-AG-style: one model generates both reports, then the answer from them."""

    language_model: LanguageModelConfig = LanguageModelConfig()
    """Language model that writes the answer."""
    report_tokens: int = Field(160, ge=4)
    """Maximum tokens of a report."""
    report_weight: float = Field(1.0, ge=0.0)
    """Weight of the report loss."""


class EkaidConfig(SystemConfig):
    """EKAID-style: graphs of anatomical regions, their difference, an LSTM with attention."""

    width: int = Field(512, ge=8)
    """Width of the graph nodes."""
    heads: int = Field(8, ge=1)
    """Number of attention heads of the graph; must divide the width."""
    words: int = Field(300, ge=8)
    """Width of the word embeddings."""
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Dropout probability."""

    _divides = heads_divide_width("graph")


class EkaidPublishedConfig(SystemConfig):
    """EKAID as its program is (Hu et al., 2023): 52 nodes, relation graphs, gates, a writer."""

    finding_head: FindingHeadConfig = FindingHeadConfig()
    """Finding head of a run of `findings`, frozen; must match it."""
    width: int = Field(1024, ge=8)
    """Width of the graph nodes."""
    heads: int = Field(4, ge=1)
    """Number of attention heads of the graph; must divide the width."""
    graph: Literal["as_run", "as_described"] = "as_run"
    """The relations as the released program runs them (a chain, one direction), or as its lines
    describe them (in parallel, both directions).
    """
    question_words: int = Field(20, ge=4)
    """Words of a question; shorter ones are padded and read with their padding."""
    word_width: int = Field(300, ge=8)
    """Width of the word vectors."""
    pooling_width: int = Field(128, ge=8)
    """Hidden width of the weight of a node."""
    writer_width: int = Field(512, ge=8)
    """Width of the two LSTMs of the writer."""
    word_kinds: int = Field(16, ge=1)
    """Kinds of words that the writer distinguishes."""
    graph_dropout: float = Field(0.2, ge=0.0, lt=1.0)
    """Dropout probability of question and graph."""
    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    """Dropout probability of pooling and writer."""
    attention_penalty: float = Field(2.5e-3, ge=0.0)
    """Weight of the sum of the node weights in the loss."""
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)
    """Label smoothing of the word loss."""

    _divides = heads_divide_width("graph")


class OfaConfig(Config):
    """Encoder and decoder of OFA (Wang et al., 2022); the base size."""

    width: int = Field(768, ge=8)
    """Width of the token vectors."""
    layers: int = Field(6, ge=1)
    """Number of blocks of the encoder, and of the decoder."""
    heads: int = Field(12, ge=1)
    """Number of attention heads; must divide the width."""
    mlp_width: int = Field(3072, ge=8)
    """Width of the hidden layer of each MLP."""
    side: int = Field(42, ge=2)
    """Side of the table of image positions; at least that of the token grid."""
    max_tokens: int = Field(1024, ge=8)
    """Text positions."""
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Dropout probability."""
    drop_path: float = Field(0.1, ge=0.0, lt=1.0)
    """Probability of leaving out a layer of the last block; rises from zero over the blocks."""

    _divides = heads_divide_width("OFA")


class PluralPublishedConfig(Config):
    """PLURAL as its program is (Cho et al., 2024): OFA over two images and the question."""

    encoder: EncoderConfig = EncoderConfig()
    """Image trunk: a ResNet of transformers (`hf_config`), trained with the rest."""
    ofa: OfaConfig = OfaConfig()
    """Encoder and decoder."""
    weights: str | None = None
    """Folder with OFA's weights as `model.safetensors` under this model's names. Null: random
    weights, or those of `init_model`.
    """
    freeze_tokens: bool = False
    """Keep the token embeddings as they are, as published; needs `weights`."""
    further_tokens: int = Field(0, ge=0)
    """Entries of the output in addition to the vocabulary: OFA's image codes and location bins."""
    sample_patches: int | None = Field(None, ge=1)
    """Visual tokens of each image that are drawn in each step, for rows of two images. Null: all.
    """
    label_smoothing: float = Field(0.1, ge=0.0, lt=1.0)
    """Probability that is spread over all other tokens."""
    drop_worst: float = Field(0.0, ge=0.0, lt=1.0)
    """Fraction of the highest token losses that do not count."""
    drop_worst_after: int = Field(200000, ge=0)
    """Steps after which `drop_worst` begins."""
    train_encoder: bool = True
    """Train the image trunk instead of keeping it frozen."""

    @model_validator(mode="after")
    def _grid_fits(self) -> PluralPublishedConfig:
        grid = math.isqrt(self.encoder.num_tokens)
        if grid > self.ofa.side:
            raise ValueError(
                f"the trunk gives {grid} x {grid} tokens and ofa.side is {self.ofa.side}: raise it"
            )
        return self


RGAG_LANGUAGE_MODEL = LanguageModelConfig(width=512, layers=13, heads=8)


class RgagReportConfig(SystemConfig):
    """RG-AG's report generator (Dalla Serra et al., 2025): anatomical tokens, then a report."""

    finding_head: FindingHeadConfig = FindingHeadConfig(classes="scene_graph")
    """Finding head of a run of `findings`, frozen; must match it."""
    language_model: LanguageModelConfig = RGAG_LANGUAGE_MODEL
    """Language model, from random weights."""


class RgagPublishedConfig(RgagReportConfig):
    """RG-AG's answer generator: answers from anatomical tokens and predicted reports.

    Encoder, finding head and language model have the sizes of the report generator, whose run
    `init_model` names.
    """

    report_tokens: int = Field(160, ge=4)
    """Maximum tokens of a report."""
    train_reports: Literal["predicted", "true"] = "predicted"
    """Reports in the prompts of training; at inference they are always predicted."""
    reports: Literal["main", "both"] = "main"
    """Whether the prompt has the report of the main image, or also that of the reference."""
