"""GCAP, grounded captioning: box -> phrase (paper 3.1, scored in Table 1)."""

from __future__ import annotations

from collections.abc import Iterator

from lapse.core.tokenizer import box_text
from lapse.core.types import Sample, Study


class Gcap:
    """ "gcap: [61, 66, 95, 110]" -> " There is no edema."."""

    name = "gcap"
    records = "studies"

    def __init__(self, num_bins: int) -> None:
        self.num_bins = num_bins

    def samples(self, record: Study) -> Iterator[Sample]:
        """One sample per described region with a box; its phrases are joined in order."""
        for region in record.regions:
            if region.box is None or not region.phrases:
                continue
            yield Sample(
                id=f"gcap/{record.id}/{region.name}",
                task=self.name,
                images=(record.image,),
                patient=record.patient,
                prefix="gcap:",
                given=box_text(region.box, self.num_bins),
                answer=f" {' '.join(region.phrases)}",
                box=region.box,
            )
