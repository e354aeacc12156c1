"""Image with the boxes of the anatomy -> the findings of each region, from the scene graph."""

from __future__ import annotations

from collections.abc import Iterator

from lapse.core.types import Sample, Study
from lapse.data.tasks.base import ImageTask
from lapse.data.tasks.reports import located_regions

NO_FINDING = "none"


class RegionFindings(ImageTask):
    """ "findings:" -> " right lung: lung opacity, pneumonia; spine: scoliosis"."""

    name = "region_findings"

    def samples(self, record: Study) -> Iterator[Sample]:
        """One sample if a region has a box; a region without a described finding has none."""
        boxes = located_regions(record)
        if not boxes:
            return
        findings = tuple(
            (region.name, region.findings)
            for region in record.regions
            if region.box is not None and not region.is_finding
        )
        yield self.sample(
            record.id,
            record,
            prefix="findings:",
            answer=findings_text(findings),
            boxes=(boxes,),
            findings=(findings,),
        )


def findings_text(findings: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    """The findings of regions as one line, "none" where there is none.

    >>> findings_text((("right lung", ("edema", "pneumonia")), ("spine", ())))
    'right lung: edema, pneumonia'
    """
    parts = [f"{name}: {', '.join(names)}" for name, names in findings if names]
    return "; ".join(parts) or NO_FINDING
