"""Calibration of a predictions file: ECE and risk-coverage area of every confidence that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lapse.core.types import Prediction, Score
from lapse.metrics.calibration import calibration_error, risk_area
from lapse.metrics.confidence import (
    ANSWER_MEASURES,
    Event,
    answer_events,
    available_methods,
    change_events,
)


def confidence_events(predictions: Sequence[Prediction]) -> dict[str, list[Event]]:
    """The events of a file: "changes, by beam", "answers, by fraction of the beam", ...

    Only confidences that every difference answer has; {} for a file without any.
    """
    events = {
        f"changes, by {method}": change_events(predictions, method)
        for method in available_methods(predictions)
    }
    for measure in ANSWER_MEASURES:
        by_answer = answer_events(predictions, measure)
        if len(by_answer) == len(predictions):
            events[f"answers, by {measure}"] = by_answer
    return events


def confidence_scores(predictions: Sequence[Prediction], *, seed: int = 0) -> dict[str, Score]:
    """ "ECE, changes by beam", "risk area, ..." and so on, with intervals by patient."""
    scores: dict[str, Score] = {}
    for name, events in confidence_events(predictions).items():
        for label, score in (
            ("ECE", calibration_error(events, seed=seed)),
            ("risk area", risk_area(events, seed=seed)),
        ):
            key = f"{label}, {name.replace(', by', ' by')}"
            scores[key] = replace(score, name=key)
    return scores
