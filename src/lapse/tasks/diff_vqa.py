"""Difference questions of Medical-Diff-VQA: two images and a question -> an answer (3.4)."""

from __future__ import annotations

from collections.abc import Iterator

from lapse.types import Pair, Sample


class DiffVqa:
    """ "what has changed compared to the reference image?" -> " the main image has ...".

    Only the category "difference" is trained and scored, as in the paper (3.3.3). A question
    of another category, where one is asked for, sees the main image alone: the reference id
    that the files carry for it is no input.
    """

    name = "diff_vqa"
    records = "pairs"

    def __init__(self, num_bins: int, categories: tuple[str, ...] = ("difference",)) -> None:
        self.num_bins = num_bins
        self.categories = categories

    def samples(self, record: Pair) -> Iterator[Sample]:
        """One sample where the pair's category is asked for, none otherwise."""
        if record.category not in self.categories:
            return
        images: tuple[str, ...] = (record.main.image,)
        if record.category == "difference":
            images = (record.reference.image, record.main.image)
        yield Sample(
            id=f"diff_vqa/{record.id}",
            task=self.name,
            images=images,
            patient=record.main.patient,
            prefix=record.question,
            given="",
            answer=f" {record.answer.strip()}",
        )
