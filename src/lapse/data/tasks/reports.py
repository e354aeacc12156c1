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


class ReportSingle(ImageTask):
    """One image -> the findings section of its report."""

    name = "report_single"
    prompt = FINDINGS_PROMPT
    section = "findings"  # attribute of Study
    has_boxes = False

    def samples(self, record: Study | Pair) -> Iterator[Sample]:
        """One sample, or none without such a text; of pairs, only for a difference question."""
        if isinstance(record, Pair) and record.category != "difference":
            return
        studies = (record,) if isinstance(record, Study) else (record.reference, record.main)
        text = " ".join(getattr(studies[-1], self.section).split())
        boxes = tuple(map(located_regions, studies)) if self.has_boxes else ()
        is_training = studies[-1].split == "train"
        if text and not (is_training and boxes and not all(boxes)):
            yield self.sample(record.id, *studies, prefix=self.prompt, answer=text, boxes=boxes)


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


class ReportPair(ReportSingle):
    """Reference and main image -> the findings section of the main study."""

    name = "report_pair"
    records = "pairs"


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
