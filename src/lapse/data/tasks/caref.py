"""CAREF, conditional referring expressions: region name -> phrase and box (paper 3.1)."""

from __future__ import annotations

from collections.abc import Iterator

from lapse.core.tokenizer import box_text
from lapse.core.types import Sample, Study


class Caref:
    """ "caref: carina:" -> " There is no edema. [61, 66, 95, 110]"; scored by Acc@0.5 (4.2)."""

    name = "caref"
    records = "studies"

    def __init__(self, num_bins: int) -> None:
        self.num_bins = num_bins

    def samples(self, record: Study) -> Iterator[Sample]:
        """One sample per described region with a box; its phrases are joined in order.

        Boxes of findings give none: the prompt would name what the phrase says.
        """
        for region in record.regions:
            if region.box is None or not region.phrases or region.is_finding:
                continue
            box = box_text(region.box, self.num_bins)
            yield Sample(
                id=f"caref/{record.id}/{region.name}",
                task=self.name,
                images=(record.image,),
                patient=record.patient,
                prefix="caref:",
                given=f"{region.name}:",
                answer=f" {' '.join(region.phrases)} {box}",
                box=region.box,
            )
