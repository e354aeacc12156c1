"""What stands beside the scores of difference answers: consistency, sureness, abstention."""

from __future__ import annotations

from collections.abc import Sequence

from lapse.core.types import Prediction, Score
from lapse.metrics.abstention import Threshold, abstention_scores
from lapse.metrics.confidence_scores import confidence_scores
from lapse.metrics.consistency import consistency


def reliability_scores(
    predictions: Sequence[Prediction],
    probes: Sequence[Prediction] = (),
    threshold: Threshold | None = None,
    *,
    seed: int = 0,
) -> dict[str, dict[str, Score]]:
    """What the difference answers are worth beside their scores, as further "tasks".

    Args:
        predictions: of one system.
        probes: its answers under probes (`lapse predict --probe`).
        threshold: of `lapse calibrate`, chosen on other patients.
        seed: of the resampling.

    Returns:
        "consistency", "confidence" and "abstention", each where there is something to tell.

    Raises:
        ValueError: probes of other samples, or a threshold for answers without confidence.
    """
    asked = [item for item in predictions if item.task == "diff_vqa"]
    found = {
        "consistency": consistency(asked, probes, seed=seed),
        "confidence": confidence_scores(asked, seed=seed) if asked else {},
    }
    if threshold is not None:
        found["abstention"] = abstention_scores(asked, threshold, seed=seed)
    return {name: scores for name, scores in found.items() if scores}
