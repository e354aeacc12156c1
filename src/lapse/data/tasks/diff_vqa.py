"""Questions of Medical-Diff-VQA and MS-CXR-T: one or two images and a question -> an answer (3.4).

The samples with boxes or reports have the task name and the ids of those without.
"""

from __future__ import annotations

from collections.abc import Iterator

from lapse.core.types import Pair, Sample, Study
from lapse.data.tasks.base import ImageTask
from lapse.data.tasks.reports import located_regions

SINGLE = ("abnormality", "presence", "view", "location", "level", "type")
PAIRED = ("difference", "progression", "expert_changes")  # with the reference as an input
TRAINED_ON = {"expert_changes": "diff_vqa"}  # the task of its training answers, if another


class DiffVqa(ImageTask):
    """ "what has changed compared to the reference image?" -> " the main image has ...".

    Only the category "difference" is trained and scored, as in the paper (3.3.3).
    """

    name = "diff_vqa"
    records = "pairs"

    categories: tuple[str, ...] = ("difference",)
    paired: tuple[str, ...] = PAIRED
    extra_fields: tuple[str, ...] = ()  # further fields of its samples

    def samples(self, record: Pair) -> Iterator[Sample]:
        """One sample if the category of the pair belongs to this task, else none."""
        if record.category not in self.categories:
            return
        studies: tuple[Study, ...] = (record.main,)
        if record.category in self.paired:
            studies = (record.reference, record.main)
        boxes = tuple(map(located_regions, studies)) if "boxes" in self.extra_fields else ()
        if record.split == "train" and boxes and not all(boxes):
            return  # not trainable; other splits keep it, so that all systems are scored on it
        reports = [" ".join(study.report.split()) for study in studies]
        yield self.sample(
            record.id,
            *studies,
            prefix=record.question,
            answer=record.answer.strip(),
            boxes=boxes,
            reports=tuple(reports) if "reports" in self.extra_fields else (),
        )


class DiffVqaBoxes(DiffVqa):
    """diff_vqa with the anatomy boxes of both images (EKAID).

    Training pairs with an image that has no box are left out, and counted.
    """

    extra_fields = ("boxes",)


class DiffVqaReports(DiffVqa):
    """diff_vqa with the boxes and reports of both images (RG-AG).

    Reports are used in training only.
    """

    extra_fields = ("boxes", "reports")


class Vqa(DiffVqa):
    """ "is there evidence of edema in this image?" -> " no", from the main image alone.

    The files give a reference image for these six categories too, which is not an input.
    """

    name = "vqa"
    categories = SINGLE


class MedicalVqa(DiffVqa):
    """All seven categories of Medical-Diff-VQA in one task."""

    name = "medical_vqa"
    categories = ("difference", *SINGLE)


class MedicalVqaBoxes(MedicalVqa):
    """medical_vqa with both images and their boxes in every category, as EKAID reads them."""

    paired = ("difference", *SINGLE)
    extra_fields = ("boxes",)


class MedicalVqaReports(MedicalVqa):
    """medical_vqa with the boxes and reports of its images (RG-AG)."""

    extra_fields = ("boxes", "reports")


class Progression(DiffVqa):
    """MS-CXR-T, for evaluation: the progression of five findings, as a difference question.

    Scored by `progression`.
    """

    name = "progression"
    categories = ("progression",)


class ExpertChanges(DiffVqa):
    """Changes of three labels by expert readers of NIH ChestX-ray14, as a difference question.

    For evaluation only.
    """

    name = "expert_changes"
    categories = ("expert_changes",)
