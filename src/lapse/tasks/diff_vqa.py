"""Questions of Medical-Diff-VQA and MS-CXR-T: one or two images and a question -> an answer (3.4).

diff_vqa      what has changed: reference and main image
vqa           the six other categories: the main image alone; the reference id that the
              files carry for them too is no input
medical_vqa   all seven, each seeing what it may see
diff_vqa_boxes, diff_vqa_reports
              the samples of diff_vqa (same task, same ids), which also carry the boxes of the
              anatomy (EKAID), or boxes and the training reports (RG-AG)
progression   MS-CXR-T, for evaluation: the difference question again, whose true answer
              is a list of progressions
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lapse.types import Box, Pair, Sample, Study

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
        studies: tuple[Study, ...] = (record.main,)
        if record.category in PAIRED:
            studies = (record.reference, record.main)
        yield Sample(
            id=f"{self.name}/{record.id}",
            task=self.name,
            images=tuple(study.image for study in studies),
            patient=record.main.patient,
            prefix=record.question,
            given="",
            answer=f" {record.answer.strip()}",
            **self.more(studies),
        )

    def more(self, _: tuple[Study, ...]) -> dict[str, Any]:
        """Further fields of a sample; none here."""
        return {}


class DiffVqaBoxes(DiffVqa):
    """diff_vqa whose samples carry the boxes of both images' anatomy."""

    def more(self, studies: tuple[Study, ...]) -> dict[str, Any]:
        """The boxes."""
        return {"boxes": tuple(_boxes(study) for study in studies)}


class DiffVqaReports(DiffVqa):
    """diff_vqa whose samples carry both images' boxes and reports; the reports only teach."""

    def more(self, studies: tuple[Study, ...]) -> dict[str, Any]:
        """Boxes and reports."""
        return {
            "boxes": tuple(_boxes(study) for study in studies),
            "reports": tuple(" ".join(study.report.split()) for study in studies),
        }


def _boxes(study: Study) -> tuple[tuple[str, Box], ...]:
    return tuple((place.name, place.box) for place in study.regions if place.box is not None)


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
