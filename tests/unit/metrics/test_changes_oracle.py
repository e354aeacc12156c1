"""Every change score against counting written out, on answers that hypothesis makes up.

The oracle never reads a text: it is given the sets of changes from which the texts were written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lapse.core.grammar import UNCHANGED, Change, render
from lapse.core.types import Prediction
from lapse.metrics.changes import Changes

FINDINGS = ("edema", "hernia", "pleural effusion")
LEVELS = (("mild", "severe"), ("severe", "mild"), ("mild", "moderate to severe"))
QUESTIONS = (
    "what has changed compared to the reference image?",
    "what has changed in the left lung area?",
    "what has changed in the right lung area?",
)
CHANGES = st.one_of(
    st.builds(Change, st.sampled_from(FINDINGS), st.sampled_from(("added", "missing"))),
    st.builds(
        lambda name, levels: Change(name, "level", *levels),
        st.sampled_from(FINDINGS),
        st.sampled_from(LEVELS),
    ),
)


@dataclass(frozen=True)
class Answer:
    """What an answer says, its words not understood, and whether it says that nothing changed."""

    changes: frozenset[Change]
    is_unchanged: bool
    has_odd_words: bool

    @property
    def text(self) -> str:
        parts = [UNCHANGED] if self.is_unchanged else []
        parts += [render(self.changes)] if self.changes else []
        return " ".join([*parts, *(["banana"] if self.has_odd_words else [])])

    @property
    def is_parsed(self) -> bool:
        return not self.has_odd_words and (self.is_unchanged or bool(self.changes))


ANSWERS = st.builds(
    Answer, st.frozensets(CHANGES, max_size=4), st.booleans(), st.sampled_from((False, False, True))
)


@dataclass(frozen=True)
class Row:
    """One question about one pair of studies, with what was said and what is true."""

    pair: int
    question: str
    said: Answer
    true: Answer


def near(true: Answer) -> st.SearchStrategy[tuple[Answer, Answer]]:
    """The truth with any answer, with itself, or with what says nearly the same."""
    quiet = replace(true, is_unchanged=not true.is_unchanged)
    odd = replace(true, has_odd_words=not true.has_odd_words)
    return st.tuples(st.one_of(ANSWERS, st.sampled_from((true, quiet, odd))), st.just(true))


ROWS = st.lists(
    st.builds(
        lambda pair, question, answers: Row(pair, question, *answers),
        st.integers(0, 2),
        st.sampled_from(QUESTIONS),
        ANSWERS.flatmap(near),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: (row.pair, row.question),
)


def predictions(rows: list[Row]) -> list[Prediction]:
    return [
        Prediction(
            f"diff_vqa/{row.pair}/9/{n}", "diff_vqa", row.said.text, (row.true.text,), "p",
            row.question,
        )
        for n, row in enumerate(rows)
    ]  # fmt: skip


def oracle(rows: list[Row], seen: Callable[[Change], object] = lambda c: c) -> dict[str, float]:
    """All scores by looping over findings and changes; 0 / 0 of a pooled score is 0.

    Args:
        rows: the questions.
        seen: what of a change counts.
    """
    found: dict[str, float] = {}

    def pooled(name: str, keep: Callable[[Row, Change], bool]) -> bool:
        right = said = true = 0
        for row in rows:
            ours = {seen(c) for c in row.said.changes if keep(row, c)}
            theirs = {seen(c) for c in row.true.changes if keep(row, c)}
            said, true = said + len(ours), true + len(theirs)
            right += sum(1 for c in ours for other in theirs if c == other)
        found[f"{name} precision"] = right / said if said else 0.0
        found[f"{name} recall"] = right / true if true else 0.0
        found[f"{name} F1"] = 2 * right / (said + true) if said + true else 0.0
        return bool(said or true)

    pooled("change", lambda row, c: True)
    for kind in ("added", "missing", "level"):
        pooled(kind, lambda row, c, kind=kind: c.kind == kind)
    for finding in FINDINGS:
        for kind in ("", "added", "missing", "level"):
            name = f"{finding} {kind}".strip()
            if not pooled(
                name,
                lambda row, c, kind=kind, own=finding: c.finding == own and kind in ("", c.kind),
            ):
                for part in ("precision", "recall", "F1"):
                    del found[f"{name} {part}"]
    for side in ("left", "right"):
        pooled(f"{side}-side change", lambda row, c, side=side: side in row.question)
        del found[f"{side}-side change precision"], found[f"{side}-side change recall"]
        if not any(side in row.question for row in rows):
            del found[f"{side}-side change F1"]
    return found | _shares(rows) | _means(rows)


def _shares(rows: list[Row]) -> dict[str, float]:
    """Shares of findings and of questions; one of nothing is absent."""
    parts: dict[str, list[bool]] = {
        name: []
        for name in (
            "level accuracy", "wrong direction", "hallucination rate", "omission rate",
            "side errors",
        )
    }  # fmt: skip
    for row in rows:
        for finding in FINDINGS:
            ours = {c for c in row.said.changes if c.finding == finding}
            theirs = {c for c in row.true.changes if c.finding == finding}
            if ours:
                parts["hallucination rate"].append(not theirs)
            if theirs:
                parts["omission rate"].append(not ours)
            kinds = [sorted({c.kind for c in group}) for group in (ours, theirs)]
            if kinds == [["level"], ["level"]]:
                parts["level accuracy"].append(ours == theirs)
            if all(kind in (["added"], ["missing"]) for kind in kinds):
                parts["wrong direction"].append(kinds[0] != kinds[1])
        for sister in rows:
            sides = [s for s in ("left", "right") for one in (row, sister) if s in one.question]
            if sister.pair != row.pair or sides != ["left", "right"] or sister is row:
                continue
            if sister.true.changes != row.true.changes:
                parts["side errors"].append(
                    row.said.is_parsed and row.said.changes == sister.true.changes
                )
    return {name: sum(hits) / len(hits) for name, hits in parts.items() if hits}


def _means(rows: list[Row]) -> dict[str, float]:
    """Means over all answers."""
    exact = contradicts = unparsed = 0
    for row in rows:
        one, two = row.said, row.true
        exact += one.is_parsed and two.is_parsed and one == two
        named = [c.finding for c in one.changes]
        contradicts += len(set(named)) < len(named) or (one.is_unchanged and bool(named))
        unparsed += not one.is_parsed
    counts = {
        "exact match": exact,
        "contradiction rate": contradicts,
        "unparsed rate": unparsed,
    }
    return {name: count / len(rows) for name, count in counts.items()}


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_every_score_equals_counting_written_out(rows):
    found = {name: score.value for name, score in Changes()(predictions(rows)).items()}
    assert found == pytest.approx(oracle(rows))


@pytest.mark.parametrize("seen", [lambda c: c.finding, lambda c: (c.finding, c.kind)])
def test_an_oracle_that_overlooks_direction_or_levels_differs(seen):
    """The defect: if either were overlooked by the scores, the test above would see it."""
    said = Answer(frozenset({Change("edema", "level", "mild", "severe")}), False, False)
    true = Answer(frozenset({Change("edema", "level", "severe", "mild")}), False, False)
    rows = [Row(0, QUESTIONS[0], said, true)]
    assert oracle(rows, seen)["change F1"] == 1.0
    assert oracle(rows)["change F1"] == Changes()(predictions(rows))["change F1"].value == 0.0
