"""References to earlier examinations leave reports and phrases (paper, section 4.1).

The paper trains on reports without references to prior studies and does not say how they were
removed. Three ways are offered:

    rules               a lexicon of temporal words on sentences and clauses
    classifier:/folder  a local token classifier with the labels KEEP and REMOVE
    none                the text stays as it is

What was removed is handed back, so that it can be counted and listed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from lapse.core.types import nearest
from lapse.data.reports.prior_classifier import ClassifierRemover
from lapse.data.reports.prior_rules import RuleRemover

PRIORS = ("rules", "none")
CLASSIFIER = "classifier:"


class PriorRemover(Protocol):
    """One way to take out what refers to earlier examinations."""

    @property
    def name(self) -> str:
        """What a store says about how its texts were made."""

    def remove(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The text that stays, and the sentences, clauses or words that went, in order."""


@dataclass(frozen=True, slots=True)
class NoRemoval:
    """Leaves every text as it is."""

    name: str = "none"

    def remove(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The text, and nothing removed."""
        return text, ()


class RecordingRemover:
    """A remover that also records what it removes."""

    def __init__(self, remover: PriorRemover) -> None:
        self._remover = remover
        self._removed: list[str] = []

    @property
    def name(self) -> str:
        """The name of the wrapped remover."""
        return self._remover.name

    def remove(self, text: str) -> tuple[str, tuple[str, ...]]:
        """Same as the wrapped remover."""
        rest, removed = self._remover.remove(text)
        self._removed += removed
        return rest, removed

    def take(self) -> list[str]:
        """What was removed since the last call, in order."""
        removed, self._removed = self._removed, []
        return removed


def prior_remover(how: str, *, device: str = "cpu") -> PriorRemover:
    """The remover of that name.

    Args:
        how: "rules", "none" or "classifier:" and the folder of a token classifier.
        device: where a classifier runs.

    Raises:
        ValueError: the name is unknown, or the classifier cannot be opened.

    >>> prior_remover("rules").remove("There is new edema. No effusion.")
    ('No effusion.', ('There is new edema.',))
    """
    if how == "rules":
        return RuleRemover()
    if how == "none":
        return NoRemoval()
    if how.startswith(CLASSIFIER) and how != CLASSIFIER:
        return ClassifierRemover(Path(how.removeprefix(CLASSIFIER)), device=device)
    known = (*PRIORS, f"{CLASSIFIER}/folder")
    raise ValueError(f"no removal of priors {how!r}; {nearest(how, known)}")


def remove_priors(text: str, how: str = "rules") -> tuple[str, tuple[str, ...]]:
    """Take out what refers to earlier examinations from one text, by `prior_remover(how)`.

    The remover is made once a process, so that a classifier is not opened for every text.
    """
    return _remembered(how).remove(text)


@lru_cache(maxsize=2)
def _remembered(how: str) -> PriorRemover:
    return prior_remover(how)


def measure_remover(
    remover: PriorRemover, pairs: Iterable[tuple[str, bool]]
) -> tuple[float, float]:
    """Precision and recall of a remover on sentences that are known to refer back or not.

    A sentence counts as found where the remover takes something out of it. Without a sentence
    found, precision is 1; without one to find, recall is 1.
    """
    found = [(bool(remover.remove(text)[1]), refers) for text, refers in pairs]
    hits = sum(is_found and refers for is_found, refers in found)
    num_found = sum(is_found for is_found, _ in found)
    num_referring = sum(refers for _, refers in found)
    precision = hits / num_found if num_found else 1.0
    recall = hits / num_referring if num_referring else 1.0
    return precision, recall
