"""The sureness of a predictions file as scores: ECE and risk-coverage area of every kind it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lapse.core.types import Prediction, Score
from lapse.metrics.calibration import calibration_error, risk_area
from lapse.metrics.confidence import (
    ANSWER_MEASURES,
    Event,
    answer_events,
    change_events,
    known_methods,
)

MAIN_MEASURE = "share of the beam"


def confidence_events(predictions: Sequence[Prediction]) -> dict[str, list[Event]]:
    """What the file is sure of: "changes, by beam", "answers, by share of the beam", ...

    Only what every difference answer tells; {} for a file without confidence.
    """
    found = {
        f"changes, by {method}": change_events(predictions, method)
        for method in known_methods(predictions)
    }
    for measure in ANSWER_MEASURES:
        events = answer_events(predictions, measure)
        if len(events) == len(predictions):
            found[f"answers, by {measure}"] = events
    return found


def confidence_scores(predictions: Sequence[Prediction], *, seed: int = 0) -> dict[str, Score]:
    """ "ECE, changes by beam", "risk area, ..." and so on, with intervals by patient."""
    found: dict[str, Score] = {}
    for name, events in confidence_events(predictions).items():
        for label, score in (
            ("ECE", calibration_error(events, seed=seed)),
            ("risk area", risk_area(events, seed=seed)),
        ):
            key = f"{label}, {name.replace(', by', ' by')}"
            found[key] = replace(score, name=key)
    return found
