"""Regions of silver and gold annotations: pixels -> boxes, texts -> phrases, both -> regions.

This is the only place where pixels become fractions of the original image. Dropped and anomalous
items are counted in the logs `skipped` and `noted`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from lapse.core.types import Box, Region
from lapse.data.datasets.scene_graph import (
    Frame,
    original_box,
    original_corners,
    remove_marks,
    strip_headers,
)
from lapse.data.io.skip_log import SkipLog
from lapse.data.reports.prior_removal import NoRemoval, PriorRemover


class RegionReader:
    """Boxes and phrases of the requested regions; the base of the readers of annotations.

    Args:
        names: the regions to read, in this order; others are counted.
        known: all region names that have boxes in the dataset.
        remover: removes references to earlier examinations from the phrases, before the
            de-identification marks ___ are removed, because such references often end in one.

    Attributes:
        skipped: rows, boxes and phrases that were dropped, by reason.
        noted: anomalies of what was kept. Both grow until `take_logs` is called.
        removed: the references to earlier examinations that were removed, in order.
    """

    def __init__(
        self, names: tuple[str, ...], known: tuple[str, ...], remover: PriorRemover | None
    ) -> None:
        self.names = names
        self.known = frozenset((*known, *names))
        self.remover = remover or NoRemoval()
        self.skipped = SkipLog()
        self.noted = SkipLog()
        self.removed: list[str] = []

    def take_logs(self) -> tuple[SkipLog, SkipLog]:
        """The logs of skipped and noted records since the last call; both start again empty."""
        logs = self.skipped, self.noted
        self.skipped, self.noted = SkipLog(), SkipLog()
        return logs

    def boxes(
        self, image: str, items: Iterable[Mapping[str, Any]], size: tuple[int, int] | None
    ) -> dict[str, Box]:
        """Region -> box in fractions of the image.

        Args:
            items: `bbox_name`, corners in pixels of the image (`original_x1` ...) and in the
                224 x 224 letterbox (`x1` ...).
            size: height and width of the image in pixels.
        """
        if size is None:
            self.skipped.add("boxes of an image of unknown size", image)
            return {}
        frame = Frame(*size)
        boxes: dict[str, Box] = {}
        seen: set[str] = set()
        disagreeing = 0
        for item in items:
            name = item.get("bbox_name")
            if not self._is_requested(name, image):
                continue
            if name in seen:
                self.skipped.add("second box of one region", f"{image} {name}")
                continue
            seen.add(name)
            corners = original_corners(item)
            if corners is None:
                self.skipped.add("box without coordinates", f"{image} {name}")
                continue
            if 0 in (item.get("original_width"), item.get("original_height")):
                self.noted.add("box with original size 0", f"{image} {name}")
            disagreeing += not frame.agrees(item, corners)
            box, is_clipped = original_box(corners, frame)
            if box is None:
                self.skipped.add("box without area", f"{image} {name}")
                continue
            if is_clipped:
                self.noted.add("box clipped to its image", f"{image} {name}")
            boxes[name] = box
        if disagreeing:
            self.noted.add("image whose two box frames disagree", image)
        return boxes

    def phrases(
        self, image: str, described: Iterable[tuple[str, Sequence[object]]]
    ) -> dict[str, tuple[str, ...]]:
        """Region -> its cleaned phrases, each once and in order; only regions with phrases."""
        by_region: dict[str, dict[str, str]] = {}
        for name, texts in described:
            if name in self.known and name not in self.names:
                self.noted.add("phrases of a region that is not requested", f"{image} {name}")
                continue
            if name not in self.known:
                self.noted.add("phrases under a name outside the known regions", f"{image} {name}")
            self.add_phrases(by_region.setdefault(name, {}), texts, f"{image} {name}")
        for name, phrases in by_region.items():
            if not phrases:
                self.noted.add("region without phrases", f"{image} {name}")
        return {name: tuple(phrases.values()) for name, phrases in by_region.items() if phrases}

    def add_phrases(self, phrases: dict[str, str], texts: Iterable[object], example: str) -> None:
        """Add the cleaned texts of one region, each once.

        Args:
            phrases: a phrase in lower case -> the phrase.
            example: image and region, for the logs.
        """
        for text in texts:
            cleaned = self._cleaned(text, example)
            if cleaned and cleaned.lower() in phrases:
                self.skipped.add("phrase repeated in its region", example)
            elif cleaned:
                phrases[cleaned.lower()] = cleaned

    def joined(
        self, image: str, boxes: Mapping[str, Box], phrases: Mapping[str, tuple[str, ...]]
    ) -> tuple[Region, ...]:
        """Regions in the order of `names`, then phrases of region names without boxes."""
        for name in self.names:
            if name not in boxes:
                self.noted.add("region without a box", f"{image} {name}")
                if name in phrases:
                    self.noted.add("described region without a box", f"{image} {name}")
        num_undescribed = sum(name not in phrases for name in boxes)
        if num_undescribed:
            self.noted.add("box without phrases", image, num_undescribed)
        ordered = [name for name in self.names if name in boxes or name in phrases]
        ordered += [name for name in phrases if name not in self.known]
        return tuple(Region(name, phrases.get(name, ()), boxes.get(name)) for name in ordered)

    def _is_requested(self, name: object, image: str) -> TypeGuard[str]:
        """Whether the region of a box is requested; other boxes are counted."""
        if not isinstance(name, str) or not name:
            self.skipped.add("box without a region name", image)
            return False
        example = f"{image} {name}"
        if name in self.names:
            return True
        if name in self.known:
            self.noted.add("box of a region that is not requested", example)
        else:
            self.skipped.add("box with a name outside the known regions", example)
        return False

    def _cleaned(self, text: object, example: str) -> str:
        """A phrase in the form used for training, "" where nothing remains of it."""
        if not isinstance(text, str):
            self.skipped.add("phrase that is not text", example)
            return ""
        phrase = strip_headers(text)
        rest, removed = self.remover.remove(phrase)
        self.removed += removed
        if removed:
            self.noted.add("priors: sentence or clause removed", example, len(removed))
        cleaned = remove_marks(rest)
        if not cleaned and remove_marks(phrase):
            self.skipped.add("phrase that only refers to an earlier examination", example)
        elif not cleaned:
            self.skipped.add("phrase without words", example)
        return cleaned
