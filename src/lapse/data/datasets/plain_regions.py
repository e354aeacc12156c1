"""The boxes of one image of own films or of a public release -> its regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lapse.core.types import FINDING_BOX, Box, Region
from lapse.data.datasets.plain_boxes import BoxRow
from lapse.data.datasets.plain_findings import known_finding
from lapse.data.datasets.region_reader import RegionReader
from lapse.data.datasets.scene_graph import Frame, original_box
from lapse.data.reports.prior_removal import PriorRemover


class PlainRegions(RegionReader):
    """Builds the regions.

    Args:
        remover: removes references to earlier examinations from the phrases.
    """

    name = "boxes"

    def __init__(self, remover: PriorRemover | None = None) -> None:
        super().__init__((), (), remover)

    def regions(
        self, image: str, boxes: Sequence[BoxRow], size: tuple[int, int]
    ) -> tuple[Region, ...]:
        """The boxes of one image with their phrases; a second box of a region is numbered.

        Args:
            size: its height and width in pixels.
        """
        phrases: dict[tuple[str, Box], list[str]] = {}
        for row in boxes:
            example = row.cells.name
            if row.size is not None and row.size != size:
                self.skipped.add("box drawn on an image of another size", example)
                continue
            frame = Frame(1, 1) if row.unit == "fraction" else Frame(*size)
            box, is_clipped = original_box(row.corners, frame)
            if box is None:
                self.skipped.add("box outside its image", example)
                continue
            if is_clipped:
                self.noted.add("box clipped to its image", example)
            phrases.setdefault((region_name(row.region), box), []).append(row.phrase)
        counts: Counter[str] = Counter()
        regions = []
        for (name, box), texts in phrases.items():
            counts[name] += 1
            cleaned: dict[str, str] = {}
            self.add_phrases(cleaned, filter(None, texts), f"{image} {name}")
            if any(texts) and not cleaned:
                self.noted.add("region without phrases", f"{image} {name}")
            number = f" {counts[name]}" if counts[name] > 1 else ""
            regions.append(Region(f"{name}{number}", tuple(cleaned.values()), box))
        return tuple(regions)


def region_name(name: str) -> str:
    """The name of a region; that of a finding says so.

    >>> region_name("carina"), region_name("Pneumothorax")
    ('carina', 'finding: pneumothorax')
    """
    finding = known_finding(name)
    return name if finding is None else f"{FINDING_BOX}{finding}"
