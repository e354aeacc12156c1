"""What a predictions file says about how sure the system was, as (probability, right) pairs.

`Prediction.confidence` maps names to numbers. Any system may fill in any of them:

    log_probability        of the answer's tokens, summed (nats)
    mean_log_probability   the same over the number of tokens: the length-normalised one
    beam_mass              probability of all hypotheses that beam search kept, in [0, 1]
    answer                 share of that mass that says what the answer says, in [0, 1]
    beam: added edema      share of that mass that states this change, in [0, 1]
    clause: added edema    log-odds of the answer with this change against one without it, or
                           with another change of the finding in its place

Changes are named "added edema", "missing edema", "level edema: mild -> severe".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lapse.core.grammar import FINDINGS, KINDS, Change, parse
from lapse.core.types import Prediction, nearest

BEAM, CLAUSE = "beam: ", "clause: "
METHODS = ("beam", "clauses")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was said with a probability, and whether it turned out right."""

    probability: float
    is_right: bool
    patient: str


@dataclass(frozen=True, slots=True)
class StatedChange:
    """A change that an answer states, how sure the system was, and whether the truth has it."""

    change: Change
    probability: float
    is_right: bool


def change_key(change: Change) -> str:
    """A change in the words that name its confidence.

    >>> change_key(Change("edema", "level", "mild", "severe"))
    'level edema: mild -> severe'
    """
    levels = f": {change.before} -> {change.after}" if change.kind == "level" else ""
    return f"{change.kind} {change.finding}{levels}"


def stated(item: Prediction, method: str) -> list[StatedChange]:
    """The changes of an answer with their probabilities, by finding and kind.

    Args:
        item: a prediction on a difference question.
        method: "beam", the share of the beam's mass, or "clauses", from each clause's log-odds.

    Raises:
        ValueError: unknown method, or a change without the confidence asked for.
    """
    if method not in METHODS:
        raise ValueError(f"no confidence {method!r}; {nearest(method, METHODS)}")
    true = parse(item.references[0]).changes
    order = {name: place for place, name in enumerate(FINDINGS)}
    said = sorted(
        parse(item.prediction).changes,
        key=lambda change: (order[change.finding], KINDS.index(change.kind), change),
    )
    prefix = BEAM if method == "beam" else CLAUSE
    found = []
    for change in said:
        key = prefix + change_key(change)
        if key not in item.confidence:
            raise ValueError(
                f"prediction {item.id} has no confidence {key!r}: predict with --confidence "
                f"{method}"
            )
        value = item.confidence[key]
        sure = value if method == "beam" else probability(value)
        found.append(StatedChange(change, sure, change in true))
    return found


def probability(log_odds: float) -> float:
    """The probability of log-odds, without overflow."""
    if log_odds >= 0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    power = math.exp(log_odds)
    return power / (1.0 + power)


def known_methods(predictions: Sequence[Prediction]) -> tuple[str, ...]:
    """By which methods every change of every answer has a probability; () where none does."""

    def has(method: str) -> bool:
        try:
            return sum(len(stated(item, method)) for item in predictions) > 0
        except ValueError:
            return False

    return tuple(method for method in METHODS if has(method))


def change_events(predictions: Sequence[Prediction], method: str) -> list[Event]:
    """One event for every change that is stated: its probability, and whether it is true.

    Raises:
        ValueError: as `stated`.
    """
    return [
        Event(one.probability, one.is_right, item.patient)
        for item in predictions
        for one in stated(item, method)
    ]


ANSWER_MEASURES: dict[str, Callable[[Prediction], float | None]] = {
    "share of the beam": lambda item: item.confidence.get("answer"),
    "probability of the text": lambda item: _exp(item, "log_probability"),
    "probability per token": lambda item: _exp(item, "mean_log_probability"),
}


def answer_events(predictions: Sequence[Prediction], measure: str) -> list[Event]:
    """One event per answer: how sure by one of `ANSWER_MEASURES`, and whether it is all right.

    An answer is right when it is understood and names exactly the true changes. Answers without
    this measure give no event.
    """
    found = []
    for item in predictions:
        sure = ANSWER_MEASURES[measure](item)
        if sure is None:
            continue
        said, true = parse(item.prediction), parse(item.references[0])
        is_right = said.is_parsed and true.is_parsed and said.changes == true.changes
        found.append(Event(sure, is_right, item.patient))
    return found


def _exp(item: Prediction, key: str) -> float | None:
    value = item.confidence.get(key)
    return None if value is None else math.exp(min(0.0, value))
