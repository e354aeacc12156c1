"""How sure a run is of what it wrote: from its beam for nothing, from its clauses for some work.

beam      The hypotheses that beam search kept are different texts, so their probabilities add
          up. What share of that sum states a change is the probability of the change; what was
          never kept counts as nothing, so the shares are of the list, not of all texts.
clauses   log p(answer with the change) - log p(answer with something else in its place), by the
          language model, over canonical answer sentences. The something else is nothing at all,
          and every other change of the same finding that the beam weighed (another level,
          missing for added), their probabilities summed. A list of k names can be written in k!
          orders and one of them is scored, so log k! is added for each list. It costs one more
          reading of a text for each answer, each change and each of its rivals.

Names of the numbers: `lapse.metrics.confidence`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import torch

from lapse.core.grammar import Change, Parsed, parse, render
from lapse.core.types import Candidate, Sample
from lapse.data.loading.batch import collate, encode_sample
from lapse.data.loading.loader import Pixels, read_pixels
from lapse.metrics.confidence import BEAM, CLAUSE, change_key
from lapse.training.run_folder import LoadedRun

LEVELS = ("none", "beam", "clauses")
DIGITS = 6  # significant ones in a predictions file


def check_confidence_level(run: LoadedRun, confidence: str) -> None:
    """Refuse a confidence that this run cannot give.

    Raises:
        ValueError: unknown name, or a model that keeps no hypotheses.
    """
    if confidence not in LEVELS:
        raise ValueError(f"no confidence {confidence!r}: one of {', '.join(LEVELS)}")
    needed = {"none": (), "beam": ("candidates",), "clauses": ("candidates", "log_probability")}
    missing = [name for name in needed[confidence] if not hasattr(run.model, name)]
    if missing:
        raise ValueError(
            f"{run.config.model_type} has no {missing[0]}, which --confidence {confidence} needs: "
            "use a stage-2 system of ours, or leave the option out"
        )


def beam_confidence(found: Sequence[Candidate]) -> dict[str, float]:
    """What the hypotheses of one prompt, best first, say about the first of them."""
    best = found[0]
    masses = [math.exp(one.log_probability) for one in found]
    total = sum(masses)
    readings = [parse(one.text) for one in found]
    values = {
        "log_probability": best.log_probability,
        "mean_log_probability": best.log_probability / max(1, best.num_tokens),
        "beam_mass": total,
    }
    if total > 0.0:  # below e^-745 nothing is left of a probability
        same = _mass(masses, [_says_same(readings[0], one) for one in readings])
        values["answer"] = same / total
        for change in readings[0].changes:
            states = _mass(masses, [change in one.changes for one in readings])
            values[BEAM + change_key(change)] = states / total
    return {name: _short(value) for name, value in values.items()}


def _mass(masses: Sequence[float], chosen: Sequence[bool]) -> float:
    return sum(mass for mass, is_in in zip(masses, chosen, strict=True) if is_in)


def _says_same(one: Parsed, two: Parsed) -> bool:
    return (one.changes, one.leftover, one.is_unchanged) == (
        two.changes,
        two.leftover,
        two.is_unchanged,
    )


def clause_confidence(
    run: LoadedRun, samples: Sequence[Sample], found: Sequence[Sequence[Candidate]], pixels: Pixels
) -> list[dict[str, float]]:
    """The log-odds of every change that the answers state, one mapping per sample.

    Args:
        run: an open run whose model has `log_probability`.
        samples: what was asked.
        found: the candidates of each sample, best first; the first is the answer.
        pixels: image key -> [S, S] uint8.
    """
    rows = [_rivals(candidates) for candidates in found]
    asked = [
        (row, changes)
        for row, rivals in enumerate(rows)
        for changes in dict.fromkeys(text for texts in rivals.values() for text in texts)
    ]
    texts = [replace(samples[row], answer=f" {render(changes).strip()}") for row, changes in asked]
    known: dict[tuple[int, frozenset[Change]], float] = {}
    size = 4 * run.config.generation.batch_size
    for start in range(0, len(texts), size):
        values = _log_probabilities(run, texts[start : start + size], pixels)
        for (row, changes), value in zip(asked[start : start + size], values, strict=True):
            known[row, changes] = value + log_orders(changes)

    def log_odds(row: int, said: frozenset[Change], others: Sequence[frozenset[Change]]) -> float:
        return known[row, said] - _log_sum([known[row, other] for other in others])

    return [
        {
            CLAUSE + change_key(change): _short(log_odds(row, texts[0], texts[1:]))
            for change, texts in rivals.items()
        }
        for row, rivals in enumerate(rows)
    ]


def _rivals(found: Sequence[Candidate]) -> dict[Change, tuple[frozenset[Change], ...]]:
    """Each change of the first candidate -> the whole answer, it without it, and its rivals."""
    readings = [parse(one.text).changes for one in found]
    said = readings[0]
    weighed = sorted({change for changes in readings for change in changes} - said)
    return {
        change: (
            said,
            said - {change},
            *(said - {change} | {other} for other in weighed if other.finding == change.finding),
        )
        for change in sorted(said)
    }


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _log_sum(values: Sequence[float]) -> float:
    """The logarithm of a sum of exponentials."""
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def log_orders(changes: Collection[Change]) -> float:
    """The logarithm of the number of orders in which the lists of an answer can be written."""
    return sum(
        math.lgamma(1 + sum(change.kind == kind for change in changes))
        for kind in ("added", "missing")
    )


def _log_probabilities(run: LoadedRun, samples: Sequence[Sample], pixels: Pixels) -> list[float]:
    room = run.config.data.max_tokens
    batch = collate(
        samples,
        [encode_sample(sample, run.tokenizer, room) for sample in samples],
        read_pixels(pixels, samples),
    )
    with torch.no_grad():
        values: list[float] = run.model.log_probability(batch.to(run.device)).tolist()
    return values
