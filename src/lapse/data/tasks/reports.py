"""Reports as answers, from one image or two; without boxes as in PLURAL, with boxes as in RG-AG.

The prompts without boxes are PLURAL's. A pair is used once, with its difference question.
"""

from __future__ import annotations

from collections.abc import Iterator

from lapse.core.types import Box, Pair, Sample, Study
from lapse.data.tasks.base import ImageTask

FINDINGS_PROMPT = "what does the image describe?"
IMPRESSION_PROMPT = "what is the summary of the image?"
REPORT_PROMPT = "report:"


class _Reports(ImageTask):
    """A section of the report of the last of some studies."""

    prompt = FINDINGS_PROMPT
    section = "findings"  # attribute of Study
    has_boxes = False

    def _samples(self, record_id: str, *studies: Study) -> Iterator[Sample]:
        text = " ".join(getattr(studies[-1], self.section).split())
        boxes = tuple(map(located_regions, studies)) if self.has_boxes else ()
        is_training = studies[-1].split == "train"
        if not text or (is_training and boxes and not all(boxes)):
            return
        yield self.sample(record_id, *studies, prefix=self.prompt, answer=text, boxes=boxes)


class ReportSingle(_Reports):
    """One image -> the findings section of its report."""

    name = "report_single"

    def samples(self, record: Study) -> Iterator[Sample]:
        """One sample, or none if the study has no such text."""
        yield from self._samples(record.id, record)


class ImpressionSingle(ReportSingle):
    """One image -> the impression of its report."""

    name = "impression_single"
    prompt = IMPRESSION_PROMPT
    section = "impression"


class ReportSingleBoxes(ReportSingle):
    """One image with its boxes -> its complete report."""

    name = "report_single_boxes"
    prompt = REPORT_PROMPT
    section = "report"
    has_boxes = True


class ReportPair(_Reports):
    """Reference and main image -> the findings section of the main study."""

    name = "report_pair"
    records = "pairs"

    def samples(self, record: Pair) -> Iterator[Sample]:
        """One sample of a difference question, none of the others or without such a text."""
        if record.category == "difference":
            yield from self._samples(record.id, record.reference, record.main)


class ImpressionPair(ReportPair):
    """Reference and main image -> the impression of the main study."""

    name = "impression_pair"
    prompt = IMPRESSION_PROMPT
    section = "impression"


class ReportPairBoxes(ReportPair):
    """Reference and main image with their boxes -> the complete report of the main study."""

    name = "report_pair_boxes"
    prompt = REPORT_PROMPT
    section = "report"
    has_boxes = True


def located_regions(study: Study) -> tuple[tuple[str, Box], ...]:
    """The parts of the anatomy that have a box; that of a finding would give the answer away."""
    return tuple(
        (region.name, region.box)
        for region in study.regions
        if region.box is not None and not region.is_finding
    )
