"""Removal of references to earlier examinations from reports and phrases (paper, section 4.1).

The paper trains on reports without references to prior studies and does not say how they were
removed. Three methods are available:

    rules               a lexicon of temporal words, applied to sentences and clauses
    classifier:/folder  a local token classifier with the labels KEEP and REMOVE
    none                the text is unchanged

The removed texts are returned, so that they can be counted and listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lapse.core.types import nearest
from lapse.data.reports.prior_classifier import ClassifierRemover
from lapse.data.reports.prior_rules import RuleRemover

PRIORS = ("rules", "none")
CLASSIFIER = "classifier:"


class PriorRemover(Protocol):
    """A method of removing references to earlier examinations."""

    @property
    def name(self) -> str:
        """The name of the method, recorded in the store."""

    def remove(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The remaining text, and the removed sentences, clauses or words in order."""


@dataclass(frozen=True, slots=True)
class NoRemoval:
    """Returns every text unchanged."""

    name: str = "none"

    def remove(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The text, and nothing removed."""
        return text, ()


def prior_remover(method: str) -> PriorRemover:
    """The remover of that name.

    Args:
        method: "rules", "none", or "classifier:" and the folder of a token classifier.

    Raises:
        ValueError: the name is unknown, or the classifier cannot be opened.

    >>> prior_remover("rules").remove("There is new edema. No effusion.")
    ('No effusion.', ('There is new edema.',))
    """
    if method == "rules":
        return RuleRemover()
    if method == "none":
        return NoRemoval()
    if method.startswith(CLASSIFIER) and method != CLASSIFIER:
        return ClassifierRemover(Path(method.removeprefix(CLASSIFIER)))
    known = (*PRIORS, f"{CLASSIFIER}/folder")
    raise ValueError(f"unknown removal of priors {method!r}; {nearest(method, known)}")
