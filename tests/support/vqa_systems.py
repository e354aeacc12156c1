"""Small VQA systems of every kind, and a batch for them."""

import torch

from lapse.config import DecoderConfig, EncoderConfig, LanguageModelConfig, PrefixLMConfig
from lapse.config.pretraining import FindingHeadConfig, QFormerConfig
from lapse.config.vqa import (
    Blip2SystemConfig,
    EkaidConfig,
    EkaidPublishedConfig,
    OfaConfig,
    PluralConfig,
    PluralPublishedConfig,
    RealConfig,
    RgagConfig,
    RgagPublishedConfig,
)
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.core.types import Box, Sample
from lapse.data.loading.batch import Batch, collate, encode_sample
from lapse.models.vqa.blip2 import Blip2Answerer
from lapse.models.vqa.ekaid import Ekaid
from lapse.models.vqa.ekaid_published import EkaidPublished
from lapse.models.vqa.plural import Plural
from lapse.models.vqa.plural_published import PluralPublished
from lapse.models.vqa.prefix_lm import PrefixLM
from lapse.models.vqa.real import ReAL
from lapse.models.vqa.rgag import RGAG
from lapse.models.vqa.rgag_published import RgagPublished

ENCODER = EncoderConfig(
    image_size=32, patch_size=8, channels=1, width=24, layers=1, heads=2, mlp_width=48
)
GPT2 = LanguageModelConfig(width=32, layers=2, heads=2, max_positions=64, dropout=0.0)
DECODER = DecoderConfig(width=32, layers=2, heads=2, mlp_width=48, max_tokens=40)
QFORMER = QFormerConfig(
    queries=5, width=24, layers=2, heads=2, mlp_width=48, max_tokens=40, dropout=0.0
)
SYSTEMS = {
    "prefix_lm": (PrefixLM, PrefixLMConfig(encoder=ENCODER, language_model=GPT2)),
    "blip2": (
        Blip2Answerer,
        Blip2SystemConfig(encoder=ENCODER, qformer=QFORMER, language_model=GPT2),
    ),
    "ekaid": (Ekaid, EkaidConfig(encoder=ENCODER, width=32, heads=2, words=24, dropout=0.0)),
    "ekaid_published": (
        EkaidPublished,
        EkaidPublishedConfig(
            encoder=ENCODER,
            finding_head=FindingHeadConfig(hidden=24),
            width=32,
            heads=2,
            word_width=24,
            pooling_width=16,
            writer_width=16,
            graph_dropout=0.0,
            dropout=0.0,
        ),
    ),
    "plural": (
        Plural,
        PluralConfig(
            encoder=ENCODER, layers=1, decoder=DECODER, question_tokens=24, report_tokens=12
        ),
    ),
    "plural_published": (
        PluralPublished,
        PluralPublishedConfig(
            encoder=ENCODER,
            ofa=OfaConfig(
                width=32,
                layers=2,
                heads=2,
                mlp_width=48,
                side=5,
                max_tokens=40,
                dropout=0.0,
                drop_path=0.0,
            ),
            further_tokens=3,
        ),
    ),
    "real": (ReAL, RealConfig(encoder=ENCODER, residual=ENCODER, language_model=GPT2)),
    "rgag_published": (
        RgagPublished,
        RgagPublishedConfig(
            encoder=ENCODER,
            finding_head=FindingHeadConfig(hidden=24, classes="scene_graph"),
            language_model=GPT2,
            report_tokens=12,
        ),
    ),
    "rgag": (
        RGAG,
        RgagConfig(encoder=ENCODER, language_model=GPT2, report_tokens=12),
    ),
}
REPORTS = {"a": "edema is seen", "b": "no change", "c": "a fracture"}
BOXES = {
    "a": (("carina", Box(0.4, 0.3, 0.6, 0.5)), ("right lung", Box(0.1, 0.1, 0.5, 0.9))),
    "b": (("carina", Box(0.5, 0.3, 0.7, 0.5)), ("spine", Box(0.4, 0.1, 0.6, 0.9))),
    "c": (("right lung", Box(0.2, 0.2, 0.5, 0.8)), ("carina", Box(0.4, 0.4, 0.6, 0.6))),
}


def samples() -> list[Sample]:
    """Four questions about pairs of three images, with boxes and reports."""
    words = ["edema", "hernia", "fracture", "nothing"]
    questions = ["what has changed?", "what has changed in the left lung area?"]
    images = [("a", "b"), ("b", "a"), ("a", "c"), ("c", "b")]
    return [
        Sample(
            f"diff_vqa/{i}", "diff_vqa", images[i], "p", questions[i % 2], "", f" {words[i]}.",
            boxes=tuple(BOXES[key] for key in images[i]),
            reports=tuple(REPORTS[key] for key in images[i]),
        )
        for i in range(4)
    ]  # fmt: skip


TOKENIZER = Tokenizer(
    trimmed_ids(
        [s.prefix + s.answer for s in samples()]
        + [f" {report}" for report in REPORTS.values()]
        + ["report: reference: main:"]
    )
)


def batch(rows=None) -> Batch:
    """A batch of these samples; the pixels depend on the keys of the images only."""
    rows = samples() if rows is None else rows
    generator = torch.Generator().manual_seed(3)
    pixels = {
        key: torch.randint(0, 256, (32, 32), dtype=torch.uint8, generator=generator)
        for key in "abc"
    }
    return collate(rows, [encode_sample(row, TOKENIZER, 40) for row in rows], pixels)


def build(name: str, **options):
    """A system with random weights; options replace values of its configuration."""
    torch.manual_seed(0)
    kind, config = SYSTEMS[name]
    return kind(config.model_copy(update=options), TOKENIZER)
