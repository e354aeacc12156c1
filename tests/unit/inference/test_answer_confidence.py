"""Confidence from a beam and from clauses, compared with sums that are written out."""

import math
from dataclasses import replace

import pytest

from lapse.core.changes import Change, render
from lapse.core.grammar import parse
from lapse.core.types import Candidate, Sample
from lapse.inference.answer_confidence import beam_confidence, clause_confidence, log_orders

EDEMA, HERNIA = Change("edema", "added"), Change("hernia", "added")
GONE = Change("edema", "missing")
SAMPLE = Sample("diff_vqa/1", "diff_vqa", ("a", "b"), "p", "what?", "", " x")


def candidate(changes, probability: float, num_tokens: int = 4) -> Candidate:
    return Candidate(render(changes), math.log(probability), num_tokens)


def test_fractions_of_the_beam():
    candidates = [candidate([EDEMA, HERNIA], 0.2), candidate([EDEMA], 0.1), candidate([], 0.1)]
    assert beam_confidence(candidates) == {
        "log_probability": pytest.approx(math.log(0.2), abs=1e-4),
        "mean_log_probability": pytest.approx(math.log(0.2) / 4, abs=1e-4),
        "beam_mass": pytest.approx(0.4),
        "answer": pytest.approx(0.5),
        "beam: added edema": pytest.approx(0.75),
        "beam: added hernia": pytest.approx(0.5),
    }


def test_orders_of_one_list_are_one_answer():
    other = "the main image has additional findings of hernia, and edema than the reference image."
    reordered = Candidate(other, math.log(0.3), 9)
    assert beam_confidence([candidate([EDEMA, HERNIA], 0.3), reordered])["answer"] == 1.0


def test_probabilities_that_underflow_give_no_fractions():
    assert set(beam_confidence([Candidate("x", -2000.0, 5)])) == {
        "log_probability",
        "mean_log_probability",
        "beam_mass",
    }


def test_log_odds_are_against_all_alternatives():
    both, rival = render([EDEMA, HERNIA]).strip(), render([GONE, HERNIA]).strip()
    edema, hernia = render([EDEMA]).strip(), render([HERNIA]).strip()
    table = {both: 0.1, edema: 0.3, hernia: 0.05, rival: 0.04, render([]): 0.2}
    scored = []

    def log_probabilities(samples):
        texts = [sample.answer.strip() for sample in samples]
        scored.extend(texts)
        return [math.log(table[text]) for text in texts]

    beam = [candidate([EDEMA, HERNIA], 0.1), candidate([GONE], 0.05), candidate([], 0.01)]
    values, without_changes = clause_confidence(
        [SAMPLE, replace(SAMPLE, id="2")], [beam, [candidate([], 1.0)]], log_probabilities
    )
    assert without_changes == {}
    # Two orders of the list of both; one list each in the rival of edema, which has two kinds.
    assert values == {
        "clause: added edema": pytest.approx(math.log(2 * 0.1 / (0.05 + 0.04)), abs=1e-4),
        "clause: added hernia": pytest.approx(math.log(2 * 0.1 / 0.3), abs=1e-4),
    }
    assert sorted(scored) == sorted([both, edema, hernia, rival])  # each text is scored once


def test_orders_count_within_lists_only():
    assert log_orders([]) == 0.0
    three = {Change(name, "added") for name in ("edema", "hernia", "fracture")}
    assert log_orders(three | {Change("pneumonia", "missing")}) == pytest.approx(math.log(6))
    assert log_orders({Change("edema", "level", "mild", "severe")}) == 0.0
    assert parse(render(three)).changes == three
