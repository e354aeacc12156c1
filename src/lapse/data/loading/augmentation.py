"""Changed records of training: films under a draw, exchanged pairs, one film twice.

    record of an epoch -> the same record with other films, boxes and answer -> tasks -> samples

What is drawn depends on (seed, stage, epoch, record, slot) only (lapse.core.seeding), so workers,
ranks, prefetching and resuming change nothing. The draw of a film is part of its image key:

    "img#draw17"    img under draw 17        "img#draw17fixed"    the same without geometry
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lapse.config import RunConfig
from lapse.core.changes import UNCHANGED, invert, render
from lapse.core.grammar import parse
from lapse.core.seeding import derive_index, derive_seed, derive_uniform
from lapse.core.types import Pair, Study
from lapse.data.tasks.base import Record, Task
from lapse.images.film_augmentation import augment_film, draw_film, moved_box

MARK, FIXED = "#draw", "fixed"
_KEY = re.compile(rf"(.*){MARK}(\d+)({FIXED})?")
DIFFERENCE = "difference"


class Augmenter:
    """Changes the records and the films of a run.

    Args:
        pixels: image key of the store -> [S, S] uint8.
        config: the run; reads `data.augment`, `train.seed` and `stage`.
    """

    def __init__(self, pixels: Callable[[str], NDArray[np.uint8]], config: RunConfig) -> None:
        self._pixels, self.options = pixels, config.data.augment
        self._key = (config.train.seed, config.stage, "augment")

    def changed(self, record: Record, tasks: Sequence[Task], epoch: int) -> Record:
        """The record as it is seen in an epoch; every task has a sample of it.

        A geometry that moves all regions of a task out of the image is left out.
        """
        key = (*self._key, epoch, record.id)
        if isinstance(record, Pair):
            record = self._pair(record, key)
        moved = self._films(record, key, has_geometry=True)
        if all(any(True for _ in task.samples(moved)) for task in tasks):
            return moved
        return self._films(record, key, has_geometry=False)

    def pixels(self, key: str) -> NDArray[np.uint8]:
        """The film of a key, under the draw that the key contains. # [S, S]"""
        match = _KEY.fullmatch(key)
        if match is None:
            return self._pixels(key)
        image, seed, fixed = match.groups()
        draw = draw_film(self.options, int(seed), has_geometry=not fixed)
        return augment_film(np.asarray(self._pixels(image)), draw)

    def _pair(self, pair: Pair, key: tuple[str | int, ...]) -> Pair:
        if pair.category != DIFFERENCE:
            return pair
        number = derive_uniform(*key, "pair")
        if number < self.options.repeated_films:
            return repeated(pair, is_main=derive_index(2, *key, "which film") == 1)
        if number < self.options.repeated_films + self.options.exchanged_pairs:
            return exchanged(pair) or pair
        return pair

    def _films(self, record: Record, key: tuple[str | int, ...], *, has_geometry: bool) -> Record:
        if isinstance(record, Pair):
            reference = self._film(record.reference, (*key, 0), has_geometry=has_geometry)
            main = self._film(record.main, (*key, 1), has_geometry=has_geometry)
            return replace(record, reference=reference, main=main)
        return self._film(record, (*key, 0), has_geometry=has_geometry)

    def _film(self, study: Study, key: tuple[str | int, ...], *, has_geometry: bool) -> Study:
        if derive_uniform(*key, "whether") >= self.options.fraction:
            return study
        seed = derive_seed(*key, "film") >> 1
        image = f"{study.image}{MARK}{seed}{'' if has_geometry else FIXED}"
        if not has_geometry:
            return replace(study, image=image)
        draw = draw_film(self.options, seed)
        regions = tuple(
            region if region.box is None else replace(region, box=moved_box(region.box, draw))
            for region in study.regions
        )
        return replace(study, image=image, regions=regions)


def exchanged(pair: Pair) -> Pair | None:
    """The pair in the other order with the inverted answer; None if the answer is not read."""
    parsed = parse(pair.answer)
    if not parsed.is_parsed:
        return None
    answer = render(invert(parsed.changes)).strip()
    return replace(pair, reference=pair.main, main=pair.reference, answer=answer)


def repeated(pair: Pair, *, is_main: bool) -> Pair:
    """One film of a pair as both films, with the answer "nothing has changed"."""
    study = pair.main if is_main else pair.reference
    return replace(pair, reference=study, main=study, answer=UNCHANGED)


def changed_answers(records: Sequence[Record]) -> Iterator[str]:
    """The answers that changed pairs may have, for a vocabulary."""
    yield f" {UNCHANGED}"
    for record in records:
        if isinstance(record, Pair) and record.category == DIFFERENCE:
            other = exchanged(record)
            if other is not None:
                yield f" {other.answer}"
