"""Questions of Medical-Diff-VQA and MS-CXR-T: one or two images and a question -> an answer (3.4).

diff_vqa      what has changed: reference and main image
vqa           the six other categories: the main image alone; the reference id that the
              files carry for them too is no input
medical_vqa   all seven, each seeing what it may see
progression   MS-CXR-T, for evaluation: the difference question again, whose true answer
              is a list of progressions
"""

from __future__ import annotations

from collections.abc import Iterator

from lapse.types import Pair, Sample

SINGLE = ("abnormality", "presence", "view", "location", "level", "type")
PAIRED = ("difference", "progression")  # categories that see the reference


class DiffVqa:
    """ "what has changed compared to the reference image?" -> " the main image has ...".

    Only the category "difference" is trained and scored, as in the paper (3.3.3).
    """

    name = "diff_vqa"
    records = "pairs"

    categories: tuple[str, ...] = ("difference",)

    def __init__(self, num_bins: int) -> None:
        self.num_bins = num_bins

    def samples(self, record: Pair) -> Iterator[Sample]:
        """One sample where the pair's category is asked for, none otherwise."""
        if record.category not in self.categories:
            return
        images: tuple[str, ...] = (record.main.image,)
        if record.category in PAIRED:
            images = (record.reference.image, record.main.image)
        yield Sample(
            id=f"{self.name}/{record.id}",
            task=self.name,
            images=images,
            patient=record.main.patient,
            prefix=record.question,
            given="",
            answer=f" {record.answer.strip()}",
        )


class Vqa(DiffVqa):
    """ "is there evidence of edema in this image?" -> " no", from the main image alone."""

    name = "vqa"
    categories = SINGLE


class MedicalVqa(DiffVqa):
    """All seven categories of Medical-Diff-VQA in one task."""

    name = "medical_vqa"
    categories = ("difference", *SINGLE)


class Progression(DiffVqa):
    """How five findings went, asked as a difference question; scored by `progression`."""

    name = "progression"
    categories = ("progression",)
