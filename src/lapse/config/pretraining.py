"""Configuration of the stage-1 methods other than the captioner."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lapse.config import Config, EncoderConfig, LanguageModelConfig
from lapse.config.models import heads_divide_width


class TextEncoderConfig(Config):
    """SigLIP text transformer (Zhai et al., 2023); the So400m sizes, longer texts than its 64."""

    width: int = Field(1152, ge=8)
    """Width of the token vectors."""
    layers: int = Field(27, ge=1, le=1000)
    """Number of transformer blocks."""
    heads: int = Field(16, ge=1)
    """Number of attention heads; must divide the width."""
    mlp_width: int = Field(4304, ge=8)
    """Width of the hidden layer of each MLP."""
    max_tokens: int = Field(256, ge=8)
    """Text positions; longer texts are truncated and counted."""

    _divides = heads_divide_width("text encoder")


class ContrastiveConfig(Config):
    """What both contrastive methods have."""

    encoder: EncoderConfig = EncoderConfig()
    """Image encoder."""
    text: TextEncoderConfig = TextEncoderConfig()
    """Text encoder."""
    temperature: float = Field(10.0, gt=0.0)
    """Initial value of the learned inverse temperature."""
    bias: float | None = None
    """Initial value of the learned bias. `null` means -log(B - 1) for B contrasted rows, where
    the loss of random vectors is least; SigLIP's -10 suits batches of tens of thousands."""


class GlobalContrastiveConfig(ContrastiveConfig):
    """Image against report under the sigmoid loss (SigLIP, algorithm 1)."""

    identical_texts: Literal["negative", "ignored"] = "negative"
    """Whether an identical report of another image is a negative, as published, or ignored."""


class RegionalContrastiveConfig(ContrastiveConfig):
    """Regions of the token grid against their phrases under the sigmoid loss."""

    roi_side: int = Field(3, ge=1)
    """Bins of RoIAlign along each side."""
    roi_samples: int = Field(2, ge=1)
    """Sampling points of a bin along each side."""
    identical_texts: Literal["negative", "ignored"] = "ignored"
    """Whether an identical phrase of another region is a negative or ignored."""


class QFormerConfig(Config):
    """Querying transformer of BLIP-2 (Li et al., 2023b): BERT base with 32 queries."""

    queries: int = Field(32, ge=1)
    """Number of learned queries."""
    width: int = Field(768, ge=8)
    """Width of the token vectors."""
    layers: int = Field(12, ge=1, le=1000)
    """Number of transformer blocks."""
    heads: int = Field(12, ge=1)
    """Number of attention heads; must divide the width."""
    mlp_width: int = Field(3072, ge=8)
    """Width of the hidden layer of each MLP."""
    cross_every: int = Field(2, ge=1)
    """Cross-attention to the image in every n-th layer, starting with the first."""
    max_tokens: int = Field(512, ge=8)
    """Text positions."""
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Dropout probability."""
    norm_image: bool = False
    """A trained LayerNorm on the visual tokens, as published behind a frozen encoder."""
    weights: str | None = None
    """BERT's weights for the first stage: a local folder, or a hub id with a pinned revision;
    needs `data.vocabulary: bert`. Null: random weights.
    """

    _divides = heads_divide_width("Q-Former")


class Blip2Config(Config):
    """BLIP-2, first stage: three losses over one Q-Former (3.2)."""

    encoder: EncoderConfig = EncoderConfig()
    """Image encoder."""
    qformer: QFormerConfig = QFormerConfig()
    """Querying transformer."""
    embedding_width: int = Field(256, ge=8)
    """Width of the contrastive space."""
    temperature: float = Field(0.07, gt=0.0)
    """Initial value of the learned temperature."""
    label_smoothing: float = Field(0.1, ge=0.0, lt=1.0)
    """Label smoothing of the contrastive loss."""
    train_encoder: bool = True
    """False keeps the image encoder frozen, as published; that needs a pretrained encoder
    (`init_encoder`).
    """
    contrast_over: Literal["rank", "all"] = "rank"
    """Whether contrast and hard negatives are among the pairs of each rank, or of all ranks, as
    published.
    """


class Blip2WriterConfig(Config):
    """BLIP-2, second stage: a language model reads the queries and writes the report (3.3)."""

    encoder: EncoderConfig = EncoderConfig()
    """Image encoder."""
    qformer: QFormerConfig = QFormerConfig()
    """Querying transformer."""
    language_model: LanguageModelConfig = LanguageModelConfig()
    """Language model that reads the queries."""
    train_encoder: bool = False
    """Train the image encoder instead of keeping it frozen."""
    train_language_model: bool = False
    """False keeps the language model frozen, as published; that needs pretrained weights."""


class FindingHeadConfig(Config):
    """Classifier of the findings in a region; it replaces a finding detector."""

    hidden: int = Field(1024, ge=8)
    """Width of the features."""
    classes: Literal["vindr", "scene_graph"] = "vindr"
    """Set of classes: the 22 of VinDr-CXR (EKAID), or the names of the scene graph (RG-AG)."""


class FindingsConfig(Config):
    """Findings of each region, on a frozen encoder; trained before EKAID and RG-AG."""

    encoder: EncoderConfig = EncoderConfig()
    """Image encoder."""
    finding_head: FindingHeadConfig = FindingHeadConfig()
    """Classifier of the findings."""
    train_encoder: bool = False
    """Train the image encoder instead of keeping it frozen."""
