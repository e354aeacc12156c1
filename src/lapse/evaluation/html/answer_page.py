"""The HTML report of one answer: both films with regions, changes, input checks, the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lapse.evaluation.html.case_card import CaseImage, ChangeLine
from lapse.evaluation.html.render import render


@dataclass(frozen=True, slots=True)
class AnswerPage:
    """What the page shows.

    Attributes:
        status: "changed", "unchanged", "undecided" or "unguarded".
        images: the reference and the main film.
        changes: stated changes, with their confidence as mark.
        unsure: changes that are not stated.
        reasons: why the answer is undecided.
        issues: lines of the input checks.
        notes: how the words of confidence are meant.
    """

    question: str
    answer: str
    status: str
    images: Sequence[CaseImage]
    changes: Sequence[ChangeLine]
    unsure: Sequence[ChangeLine]
    reasons: Sequence[str]
    issues: Sequence[str]
    notes: Sequence[str]
    facts: Mapping[str, str]


def render_answer_page(page: AnswerPage) -> str:
    """The page as HTML text."""
    return render("answer_page", title="Comparison of two films", page=page)
