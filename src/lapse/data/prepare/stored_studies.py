"""The studies that went into a store, built again from the plan's columns when they are asked for.

A thousand images that cannot be decoded leave a thousand planned studies outside; a bit for each
image of the plan says which ones are inside.
"""

from __future__ import annotations

from collections.abc import Iterator

from lapse.core.types import Study
from lapse.data.prepare.plan import Plan

NUM_RECENT = 4096  # studies kept for the questions that share them


class StoredStudyIndex:
    """Studies without report and regions, under the plan's protocol, in the store's order.

    Args:
        plan: knows every study.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._frontals = plan.mimic.frontals
        self._is_stored = bytearray(len(self._frontals))
        self._recent: dict[int, Study] = {}

    def mark(self, dicom: str) -> None:
        """The study of this image is stored."""
        number = self._frontals.number(dicom)
        assert number is not None, "a shard holds an image that is not in the plan"
        self._is_stored[number] = True

    def __iter__(self) -> Iterator[Study]:
        return (self._build(number) for number, is_in in enumerate(self._is_stored) if is_in)

    def get(self, key: str, /) -> Study | None:
        """The study of a study number, where the image that stands for it is stored."""
        return self._stored(self._frontals.standing(key))

    @property
    def by_image(self) -> ByImage:
        """The same studies, looked up by their dicom_id."""
        return ByImage(self)

    def of_image(self, dicom: str) -> Study | None:
        """The study of an image, where it is stored."""
        return self._stored(self._frontals.number(dicom))

    def _stored(self, number: int | None) -> Study | None:
        if number is None or not self._is_stored[number]:
            return None
        known = self._recent.get(number)
        if known is None:
            if len(self._recent) >= NUM_RECENT:
                self._recent.clear()
            known = self._recent[number] = self._build(number)
        return known

    def _build(self, number: int) -> Study:
        return self._plan.study(number)


class ByImage:
    """dicom_id -> stored study."""

    def __init__(self, studies: StoredStudyIndex) -> None:
        self._studies = studies

    def get(self, key: str, /) -> Study | None:
        """The study of an image, None where it is not stored."""
        return self._studies.of_image(key)
