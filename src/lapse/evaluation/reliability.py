"""Reliability of difference answers: consistency under probes, confidence, abstention."""

from __future__ import annotations

from collections.abc import Sequence

from lapse.core.types import Prediction, Score
from lapse.metrics.abstention import Threshold, abstention_scores
from lapse.metrics.calibration import confidence_scores
from lapse.metrics.changes import too_many_unread, withheld
from lapse.metrics.consistency import consistency
from lapse.metrics.guard_scores import guarded_scores


def reliability_scores(
    predictions: Sequence[Prediction],
    probes: Sequence[Prediction] = (),
    threshold: Threshold | None = None,
    *,
    seed: int = 0,
) -> dict[str, dict[str, Score]]:
    """The reliability of the difference answers, in the form of further tasks.

    Args:
        probes: its answers under probes (`lapse predict --probe`).
        threshold: of `lapse calibrate`, chosen on other patients.

    Returns:
        "consistency", "confidence", "guarded" and "abstention", each where the data for it is
        given.

    Raises:
        ValueError: probes of other samples, or a threshold for answers without confidence.
    """
    answers = [item for item in predictions if item.task == "diff_vqa"]
    unread = too_many_unread([item.answer for item in answers], [item.truth for item in answers])
    scores = {
        "consistency": consistency(answers, probes, seed=seed),
        "confidence": withheld(confidence_scores(answers, seed=seed) if answers else {}, unread),
        "guarded": guarded_scores(answers, probes, seed=seed),
    }
    if threshold is not None:
        scores["abstention"] = withheld(abstention_scores(answers, threshold, seed=seed), unread)
    return {name: part for name, part in scores.items() if part}
