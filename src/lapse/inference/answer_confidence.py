"""Answer confidence: from the probabilities of the beam, or from the log-odds of each change.

beam      The hypotheses that beam search keeps are different texts, so their probabilities add
          up. The probability of a change is the fraction of that sum whose texts state it. Texts
          outside the beam are not counted: the fractions refer to the beam, not to all texts.
          This costs no extra forward pass.
clauses   log p(answer with the change) - log p(alternatives), by the language model, over
          canonical answer sentences. The alternatives are the answer without the change, and the
          answer with any other change of the same finding that the beam holds (another level,
          missing for added); their probabilities are summed. A list of k names can be written in
          k! orders and one of them is scored, so log k! is added for each list. This costs one
          forward pass for each answer, each change and each alternative.

Names of the numbers: `lapse.metrics.confidence`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from lapse.core.changes import Change, render
from lapse.core.grammar import parse
from lapse.core.types import Candidate, Sample
from lapse.metrics.confidence import BEAM, CLAUSE, change_key

LEVELS = ("none", "beam", "clauses")
DIGITS = 6  # significant digits in a predictions file


def beam_confidence(candidates: Sequence[Candidate]) -> dict[str, float]:
    """Confidence in the first of the hypotheses of one prompt, best first."""
    best = candidates[0]
    probabilities = [math.exp(candidate.log_probability) for candidate in candidates]
    total = sum(probabilities)
    answers = [parse(candidate.text) for candidate in candidates]
    weighted = list(zip(probabilities, answers, strict=True))
    values = {
        "log_probability": best.log_probability,
        "mean_log_probability": best.log_probability / max(1, best.num_tokens),
        "beam_mass": total,
    }
    if total > 0.0:  # probabilities below e^-745 are 0 as floats
        values["answer"] = sum(p for p, answer in weighted if answer == answers[0]) / total
        for change in answers[0].changes:
            stated = sum(p for p, answer in weighted if change in answer.changes)
            values[BEAM + change_key(change)] = stated / total
    return {name: _rounded(value) for name, value in values.items()}


def clause_confidence(
    samples: Sequence[Sample],
    candidates: Sequence[Sequence[Candidate]],
    log_probabilities: Callable[[Sequence[Sample]], Sequence[float]],
) -> list[dict[str, float]]:
    """The log-odds of every change that the answers state, one mapping per sample.

    Args:
        candidates: hypotheses of each sample, best first; the first is the answer.
        log_probabilities: samples -> log-probability of each sample's answer under the model.
    """
    variants = [_variants(hypotheses) for hypotheses in candidates]
    keys = [
        (row, changes)
        for row, by_change in enumerate(variants)
        for changes in dict.fromkeys(text for texts in by_change.values() for text in texts)
    ]
    scored = [replace(samples[row], answer=f" {render(changes).strip()}") for row, changes in keys]
    values = {
        (row, changes): value + log_orders(changes)
        for (row, changes), value in zip(keys, log_probabilities(scored), strict=True)
    }

    def log_odds(row: int, answer: frozenset[Change], others: Sequence[frozenset[Change]]) -> float:
        others_sum = float(np.logaddexp.reduce([values[row, other] for other in others]))
        return values[row, answer] - others_sum

    return [
        {
            CLAUSE + change_key(change): _rounded(log_odds(row, texts[0], texts[1:]))
            for change, texts in by_change.items()
        }
        for row, by_change in enumerate(variants)
    ]


def _variants(candidates: Sequence[Candidate]) -> dict[Change, tuple[frozenset[Change], ...]]:
    """Each change of the answer -> the answer, the answer without it, and with each alternative."""
    parsed = [parse(candidate.text).changes for candidate in candidates]
    answer = parsed[0]
    others = sorted({change for changes in parsed for change in changes} - answer)
    return {
        change: (
            answer,
            answer - {change},
            *(answer - {change} | {other} for other in others if other.finding == change.finding),
        )
        for change in sorted(answer)
    }


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def log_orders(changes: Collection[Change]) -> float:
    """The logarithm of the number of orders in which the lists of an answer can be written."""
    return sum(
        math.lgamma(1 + sum(change.kind == kind for change in changes))
        for kind in ("added", "missing")
    )
