"""The confidence values of a predictions file, as (probability, is right) events.

`Prediction.confidence` maps names to numbers. Any system may fill in any of them:

    log_probability        of the answer's tokens, summed (nats)
    mean_log_probability   the same divided by the number of tokens
    beam_mass              probability of all hypotheses that beam search kept, in [0, 1]
    answer                 fraction of that mass whose texts say the same as the answer, in [0, 1]
    beam: added edema      fraction of that mass whose texts state this change, in [0, 1]
    clause: added edema    log-odds of the answer with this change against the answer without it,
                           or with another change of the finding instead
    guard: added edema     least share of this change over the readings of a guarded answer
                           (`lapse.metrics.guard`), in [0, 1]

Changes are named "added edema", "missing edema", "level edema: mild -> severe".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from lapse.core.changes import FREE_KINDS, KINDS, Change, Kind
from lapse.core.findings import IDS
from lapse.core.types import Prediction, nearest

BEAM, CLAUSE = "beam: ", "clause: "
METHODS = ("beam", "clauses")
# least fraction of the beam -> word; the fraction is not a probability of being right
AGREEMENT = ((0.9, "strong"), (0.6, "moderate"), (0.0, "weak"))
_KEY = re.compile(
    f"(?P<kind>{'|'.join(KINDS)}) (?P<finding>[^:]+)(?:: (?P<before>.+) -> (?P<after>.+))?"
)


@dataclass(frozen=True, slots=True)
class Event:
    """A statement with its probability, and whether it is right."""

    probability: float
    is_right: bool
    patient: str


@dataclass(frozen=True, slots=True)
class StatedChange:
    """A change that an answer states, its probability, and whether the reference has it."""

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


def agreement(fraction: float) -> str:
    """An uncalibrated confidence in [0, 1] in one word.

    >>> agreement(0.7)
    'moderate'
    """
    return next(word for limit, word in AGREEMENT if fraction >= limit)


def change_of_key(key: str) -> Change:
    """The change that `change_key` describes.

    >>> change_of_key("level edema: mild -> severe")
    Change(finding='edema', kind='level', before='mild', after='severe')

    Raises:
        ValueError: not the description of a change.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"{key!r} does not describe a change, such as 'added edema'")
    kind = cast("Kind", match["kind"])
    return Change(match["finding"], kind, match["before"] or "", match["after"] or "")


def stated_changes(item: Prediction, method: str) -> list[StatedChange]:
    """The changes of an answer with their probabilities, by finding and kind.

    Args:
        item: a prediction on a difference question.
        method: "beam", the fraction of the beam's mass, or "clauses", from log-odds.

    Raises:
        ValueError: unknown method, or a change without this confidence.
    """
    if method not in METHODS:
        raise ValueError(f"no confidence {method!r}; {nearest(method, METHODS)}")
    kinds = (*KINDS, *FREE_KINDS)
    stated = []
    for change in sorted(
        item.answer.changes,
        key=lambda change: (IDS[change.finding], kinds.index(change.kind), change),
    ):
        key = (BEAM if method == "beam" else CLAUSE) + change_key(change)
        if key not in item.confidence:
            raise ValueError(
                f"prediction {item.id} has no confidence {key!r}: predict with --confidence "
                f"{method}"
            )
        value = item.confidence[key]
        probability = value if method == "beam" else sigmoid(value)
        stated.append(StatedChange(change, probability, change in item.truth.changes))
    return stated


def sigmoid(log_odds: float) -> float:
    """The probability of log-odds, without overflow."""
    if log_odds >= 0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    power = math.exp(log_odds)
    return power / (1.0 + power)


def change_events(predictions: Sequence[Prediction], method: str) -> list[Event]:
    """One event for every stated change: its probability, and whether it is true."""
    return [
        Event(stated.probability, stated.is_right, item.patient)
        for item in predictions
        for stated in stated_changes(item, method)
    ]


ANSWER_MEASURES: dict[str, Callable[[Prediction], float | None]] = {
    "fraction of the beam": lambda item: item.confidence.get("answer"),
    "probability of the text": lambda item: _exp(item, "log_probability"),
    "probability per token": lambda item: _exp(item, "mean_log_probability"),
}


def answer_events(predictions: Sequence[Prediction], measure: str) -> list[Event]:
    """One event per answer: its probability by one of `ANSWER_MEASURES`, and whether it is right.

    An answer is right when it is parsed completely and names exactly the true changes. Answers
    without this measure give no event.
    """
    events = []
    for item in predictions:
        probability = ANSWER_MEASURES[measure](item)
        if probability is None:
            continue
        answer, true = item.answer, item.truth
        is_right = answer.is_parsed and true.is_parsed and answer.changes == true.changes
        events.append(Event(probability, is_right, item.patient))
    return events


def confidence_events(predictions: Sequence[Prediction]) -> dict[str, list[Event]]:
    """The events of a file: "changes, by beam", "answers, by fraction of the beam", ...

    Only confidences that every difference answer has; {} for a file without any.
    """
    events: dict[str, list[Event]] = {}
    for method in METHODS:
        with suppress(ValueError):  # an answer without this confidence
            if by_change := change_events(predictions, method):
                events[f"changes, by {method}"] = by_change
    for measure in ANSWER_MEASURES:
        by_answer = answer_events(predictions, measure)
        if len(by_answer) == len(predictions):
            events[f"answers, by {measure}"] = by_answer
    return events


def _exp(item: Prediction, key: str) -> float | None:
    value = item.confidence.get(key)
    return None if value is None else math.exp(min(0.0, value))
