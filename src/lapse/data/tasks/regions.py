"""Regions of one image, their phrases and boxes (paper 3.1)."""

from __future__ import annotations

from collections.abc import Iterator

from lapse.core.tokenizer import box_text
from lapse.core.types import Sample, Study
from lapse.data.tasks.base import ImageTask


class Aref(ImageTask):
    """Automatic referring: "aref: There is no edema." -> " [61, 66, 95, 110]".

    Several regions may share a phrase; the paper excludes AREF from its evaluation for that reason.
    """

    name = "aref"

    def samples(self, record: Study) -> Iterator[Sample]:
        """One sample per phrase of a region that has a box."""
        for region in record.regions:
            if region.box is None:
                continue
            box = box_text(region.box, self.num_bins)
            for index, phrase in enumerate(region.phrases):
                name = f"{record.id}/{region.name}/{index}"
                yield self.sample(
                    name, record, prefix="aref:", given=phrase, answer=box, box=region.box
                )


class Gcap(ImageTask):
    """Grounded captioning (Table 1): "gcap: [61, 66, 95, 110]" -> " There is no edema."."""

    name = "gcap"

    def samples(self, record: Study) -> Iterator[Sample]:
        """One sample per described region with a box; its phrases are joined in order."""
        for region in record.regions:
            if region.box is not None and region.phrases:
                name, box = f"{record.id}/{region.name}", box_text(region.box, self.num_bins)
                text = " ".join(region.phrases)
                yield self.sample(
                    name, record, prefix="gcap:", given=box, answer=text, box=region.box
                )


class Caref(ImageTask):
    """Conditional referring: "caref: carina:" -> " There is no edema. [61, 66, 95, 110]".

    Scored by Acc@0.5 (4.2).
    """

    name = "caref"

    def samples(self, record: Study) -> Iterator[Sample]:
        """One sample per described region with a box; its phrases are joined in order.

        Boxes of findings give none: the prompt would name what the phrase says.
        """
        for region in record.regions:
            if region.box is not None and region.phrases and not region.is_finding:
                name, given = f"{record.id}/{region.name}", f"{region.name}:"
                answer = f"{' '.join(region.phrases)} {box_text(region.box, self.num_bins)}"
                yield self.sample(
                    name, record, prefix="caref:", given=given, answer=answer, box=region.box
                )
