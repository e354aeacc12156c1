"""Sureness from a beam and from clauses, against sums that are written out."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from lapse.core.grammar import Change, parse, render
from lapse.core.types import Candidate, Sample
from lapse.inference.answer_confidence import (
    beam_confidence,
    check_confidence_level,
    clause_confidence,
    log_orders,
)

EDEMA, HERNIA = Change("edema", "added"), Change("hernia", "added")
GONE = Change("edema", "missing")


def candidate(changes, probability: float, num_tokens: int = 4) -> Candidate:
    return Candidate(render(changes), math.log(probability), num_tokens)


def test_shares_of_the_beam():
    found = [candidate([EDEMA, HERNIA], 0.2), candidate([EDEMA], 0.1), candidate([], 0.1)]
    values = beam_confidence(found)
    assert values == {
        "log_probability": pytest.approx(math.log(0.2), abs=1e-4),
        "mean_log_probability": pytest.approx(math.log(0.2) / 4, abs=1e-4),
        "beam_mass": pytest.approx(0.4),
        "answer": pytest.approx(0.5),
        "beam: added edema": pytest.approx(0.75),
        "beam: added hernia": pytest.approx(0.5),
    }


def test_orders_of_one_list_are_one_answer():
    other = "the main image has additional findings of hernia, and edema than the reference image."
    twin = Candidate(other, math.log(0.3), 9)
    assert beam_confidence([candidate([EDEMA, HERNIA], 0.3), twin])["answer"] == 1.0


def test_a_text_too_unlikely_for_a_number_says_so():
    assert set(beam_confidence([Candidate("x", -2000.0, 5)])) == {
        "log_probability",
        "mean_log_probability",
        "beam_mass",
    }


class Table:
    """A model that knows the probability of every answer text."""

    def __init__(self, known: dict[str, float]) -> None:
        self.known, self.asked = known, []

    def candidates(self, batch, config) -> list[list[Candidate]]:
        likely = sorted(self.known, key=self.known.__getitem__, reverse=True)
        found = [Candidate(text, math.log(self.known[text]), 1) for text in likely]
        return [found for _ in batch.samples]

    def log_probability(self, batch) -> torch.Tensor:
        texts = [sample.answer.strip() for sample in batch.samples]
        self.asked += texts
        return torch.tensor([math.log(self.known[text]) for text in texts])


class Words:
    """A tokenizer of no importance."""

    end = 0

    def encode(self, text: str) -> list[int]:
        return [1] * len(text.split())


def run_of(model) -> SimpleNamespace:
    config = SimpleNamespace(
        model_type="table",
        data=SimpleNamespace(max_tokens=200),
        generation=SimpleNamespace(batch_size=1),
    )
    return SimpleNamespace(model=model, tokenizer=Words(), device="cpu", config=config)


SAMPLE = Sample("diff_vqa/1", "diff_vqa", ("a", "b"), "p", "what?", "", " x")


def pixels(_key):
    return torch.zeros(2, 2, dtype=torch.uint8).numpy()


def test_log_odds_are_against_nothing_and_against_rivals():
    both, one, none = render([EDEMA, HERNIA]).strip(), render([EDEMA]).strip(), render([])
    rival = render([GONE, HERNIA]).strip()
    alone = render([HERNIA]).strip()
    model = Table({both: 0.1, one: 0.3, alone: 0.05, rival: 0.04, none: 0.2})
    found = [candidate([EDEMA, HERNIA], 0.1), candidate([GONE], 0.05), candidate([], 0.01)]
    values, quiet = clause_confidence(
        run_of(model), [SAMPLE, replace(SAMPLE, id="2")], [found, [candidate([], 1.0)]], pixels
    )
    assert quiet == {}  # nothing was stated
    # Two orders of the list of both; one list each in the rival of edema, which has two kinds.
    assert values == {
        "clause: added edema": pytest.approx(math.log(2 * 0.1 / (0.05 + 0.04)), abs=1e-4),
        "clause: added hernia": pytest.approx(math.log(2 * 0.1 / 0.3), abs=1e-4),
    }
    assert sorted(model.asked) == sorted([both, one, alone, rival])  # each text is read once


def test_orders_count_within_lists_only():
    assert log_orders([]) == 0.0
    three = {Change(name, "added") for name in ("edema", "hernia", "fracture")}
    assert log_orders(three | {Change("pneumonia", "missing")}) == pytest.approx(math.log(6))
    assert log_orders({Change("edema", "level", "mild", "severe")}) == 0.0
    assert parse(render(three)).changes == three


def test_a_model_without_hypotheses_is_refused():
    with pytest.raises(ValueError, match="table has no candidates, which --confidence beam needs"):
        check_confidence_level(run_of(SimpleNamespace()), "beam")
    with pytest.raises(ValueError, match="no confidence 'both': one of none, beam, clauses"):
        check_confidence_level(run_of(Table({})), "both")
    check_confidence_level(run_of(SimpleNamespace()), "none")
