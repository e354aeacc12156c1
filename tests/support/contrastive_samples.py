"""Four small images with reports and regions, for the tests of the pretraining methods."""

from __future__ import annotations

import torch

from lapse.config import EncoderConfig
from lapse.config.pretraining import TextEncoderConfig
from lapse.core.tokenizer import Tokenizer, box_text, trimmed_ids
from lapse.core.types import Box, Sample
from lapse.data.loading.batch import Batch, collate, encode_sample

ENCODER = EncoderConfig(
    image_size=32, patch_size=8, channels=3, width=24, layers=2, heads=3, mlp_width=48
)
TEXT = TextEncoderConfig(width=24, layers=2, heads=3, mlp_width=48, max_tokens=24)
REPORTS = ("Small left effusion.", "No acute finding.", "Edema has come.", "No acute finding.")
BOXES = (Box(0.0, 0.0, 0.5, 0.5), Box(0.5, 0.25, 1.0, 1.0))
PHRASES = ("There is edema.", "There is no edema.")


def reports() -> list[Sample]:
    return [
        Sample(f"cap/{key}", "cap", (key,), f"p{key}", "cap:", "", f" {text}")
        for key, text in zip("abcd", REPORTS, strict=True)
    ]


def regions() -> list[Sample]:
    """Two regions of each image; the phrases repeat."""
    samples = []
    for image, key in enumerate("abcd"):
        for index, box in enumerate(BOXES):
            text = PHRASES[(image + index) % 2] if image < 3 else f"Image {image} place {index}."
            samples.append(
                Sample(
                    f"gcap/{key}/{index}",
                    "gcap",
                    (key,),
                    f"p{key}",
                    "gcap:",
                    box_text(box, 32),
                    f" {text}",
                    box,
                )
            )
    return samples


TOKENIZER = Tokenizer(
    trimmed_ids([" ".join((s.prefix, s.given, s.answer)) for s in (*reports(), *regions())])
)


def batch(rows: list[Sample]) -> Batch:
    generator = torch.Generator().manual_seed(3)
    pixels = {
        key: torch.randint(0, 256, (32, 32), dtype=torch.uint8, generator=generator)
        for key in "abcd"
    }
    return collate(rows, [encode_sample(row, TOKENIZER, 48) for row in rows], pixels)
