"""A source that delivers less than half of what it should is an error, before the slow part starts.

Renamed columns, folders at another depth or reports of another layout cost no single record an
error: without this check a store would lack its regions, its questions or its captions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

SAMPLE = 512  # studies whose report and regions are read before the images are

Item = TypeVar("Item")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceCount:
    """What a source delivers and what it should deliver.

    Attributes:
        what: "images with a box", for messages.
        hint: what to check if the source delivers too little.
    """

    what: str
    count: int
    expected: int
    hint: str

    @property
    def is_low(self) -> bool:
        """Whether it delivers less than half."""
        return 2 * self.count < self.expected

    def __str__(self) -> str:
        return f"{self.what}: {self.count} of {self.expected} ({self.hint})"


def check_sources(counts: Iterable[SourceCount], *, is_subset: bool) -> None:
    """Refuse sources that deliver less than half; a subset is only warned about.

    Raises:
        ValueError: a source delivers less than half and `is_subset` is False.
    """
    low = [str(count) for count in counts if count.is_low]
    if not low:
        return
    problem = f"less than half of what the raw data should give: {'; '.join(low)}"
    if not is_subset:
        raise ValueError(f"{problem}. Correct the files, or use --subset to continue without")
    logger.warning("%s", problem)


def even_sample(items: Sequence[Item]) -> Sequence[Item]:
    """At most SAMPLE items at equal distances."""
    return items[:: max(1, -(-len(items) // SAMPLE))]
