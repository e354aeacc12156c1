"""The boxes of one image of own films or of a public release -> its regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lapse.core.types import FINDING_BOX, Box, Region
from lapse.data.datasets.plain_boxes import BoxRow
from lapse.data.datasets.plain_findings import known_finding
from lapse.data.datasets.region_reader import RegionReader
from lapse.data.datasets.scene_graph import Frame, original_box
from lapse.data.io.skip_log import SkipLog
from lapse.data.reports.prior_removal import PriorRemover


class PlainRegions:
    """Builds the regions.

    Args:
        remover: removes references to earlier examinations from the phrases.
    """

    name = "boxes"

    def __init__(self, remover: PriorRemover | None = None) -> None:
        self.remover = remover
        self.skipped, self.noted = SkipLog(), SkipLog()

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
        names = tuple(dict.fromkeys(name for name, _ in phrases))
        reader = RegionReader(names, names, self.remover)
        for (name, box), texts in phrases.items():
            counts[name] += 1
            described = [(name, [text for text in texts if text])] if any(texts) else []
            cleaned = reader.phrases(image, described).get(name, ())
            number = f" {counts[name]}" if counts[name] > 1 else ""
            regions.append(Region(f"{name}{number}", cleaned, box))
        self.skipped.merge(reader.skipped)
        self.noted.merge(reader.noted)
        return tuple(regions)

    def take_logs(self) -> tuple[SkipLog, SkipLog]:
        """The logs since the last call; both start again empty."""
        logs = self.skipped, self.noted
        self.skipped, self.noted = SkipLog(), SkipLog()
        return logs


def region_name(name: str) -> str:
    """The name of a region; that of a finding says so.

    >>> region_name("carina"), region_name("Pneumothorax")
    ('carina', 'finding: pneumothorax')
    """
    finding = known_finding(name)
    return name if finding is None else f"{FINDING_BOX}{finding}"
