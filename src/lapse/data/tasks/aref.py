"""AREF, automatic referring expressions: phrase -> box (paper 3.1)."""

from __future__ import annotations

from collections.abc import Iterator

from lapse.core.tokenizer import box_text
from lapse.core.types import Sample, Study


class Aref:
    """ "aref: There is no edema." -> " [61, 66, 95, 110]".

    Several regions may share a phrase; the paper excludes AREF from its evaluation for that reason.
    """

    name = "aref"
    records = "studies"

    def __init__(self, num_bins: int) -> None:
        self.num_bins = num_bins

    def samples(self, record: Study) -> Iterator[Sample]:
        """One sample per phrase of a region that has a box."""
        for region in record.regions:
            if region.box is None:
                continue
            for index, phrase in enumerate(region.phrases):
                yield Sample(
                    id=f"aref/{record.id}/{region.name}/{index}",
                    task=self.name,
                    images=(record.image,),
                    patient=record.patient,
                    prefix="aref:",
                    given=phrase,
                    answer=f" {box_text(region.box, self.num_bins)}",
                    box=region.box,
                )
