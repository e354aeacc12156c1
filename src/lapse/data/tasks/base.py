"""The base of all tasks: samples have the images of one study, or of a reference and a main one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias

from lapse.core.types import Pair, Sample, Study

Record: TypeAlias = Study | Pair  # a task reads one of the two


class Task(Protocol):
    """One record -> its samples."""

    name: str
    records: str

    def samples(self, record: Record) -> Iterator[Sample]:
        """All samples of one record, always in the same order."""
        ...


class ImageTask:
    """The base of all tasks. `num_bins`: the numbers of coordinate tokens along a side."""

    name = ""
    records = "studies"

    def __init__(self, num_bins: int) -> None:
        self.num_bins = num_bins

    def sample(
        self,
        record_id: str,
        *studies: Study,
        prefix: str,
        answer: str,
        given: str = "",
        **further: Any,
    ) -> Sample:
        """A sample about the images of these studies; the last is the main study."""
        return Sample(
            id=f"{self.name}/{record_id}",
            task=self.name,
            images=tuple(study.image for study in studies),
            patient=studies[-1].patient,
            prefix=prefix,
            given=given,
            answer=f" {answer}",
            **further,
        )
