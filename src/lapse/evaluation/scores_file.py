"""STEM.scores.json: provenance, every score with its details, and the scores of other systems.

provenance         SHA-256 of the predictions and of the references, release, split protocol, n,
                   seed, command, version; "answered" where a part of the split is answered
scores             task -> name -> value, low, high, per_sample, details, higher_is_better,
                   range
comparisons        system or baseline -> its scores, in the same form
subgroups          task -> dimension -> group -> scores         (lapse evaluate)
hidden_subgroups   task -> groups of too few patients           (lapse evaluate)
differences        task -> pair of systems -> paired tests      (lapse compare)
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lapse.core.files import atomic_write, sha256_of
from lapse.core.types import Score
from lapse.evaluation.evaluate import Scores
from lapse.metrics.paired_tests import Difference

logger = logging.getLogger(__name__)

PREDICTIONS = "predictions"  # keys of the provenance: name and hash of the scored file
SHA256 = "predictions SHA-256"
REFERENCES = "references SHA-256"  # of the answers with their references
ANSWERED = "answered"  # where only a part of the questions is answered
UNFINISHED = "unfinished"  # key of the provenance while scores are still computed


def default_path(predictions: Path) -> Path:
    """The scores file of a predictions file: STEM.scores.json in its folder."""
    return predictions.with_name(f"{predictions.stem}.scores.json")


def predictions_facts(predictions: Path) -> dict[str, str]:
    """Provenance that binds scores to the predictions file that they were computed from."""
    return {PREDICTIONS: predictions.name, SHA256: sha256_of(predictions)}


def read_scores(path: Path, predictions: Path | None = None) -> dict[str, Any]:
    """The content of a scores file.

    Args:
        predictions: the file that the scores must belong to; None accepts any.

    Raises:
        ValueError: no such file, not a JSON object, or scores of other predictions. Scores that
            do not state their predictions, such as those of another program, give a warning.
    """
    if not path.is_file():
        raise ValueError(f"no scores file {path}: create it with `lapse evaluate`")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON in UTF-8: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} is not a scores file: it holds {type(values).__name__}")
    provenance = values.get("provenance")
    if isinstance(provenance, Mapping) and UNFINISHED in provenance:
        logger.warning("%s is unfinished: %s", path, provenance[UNFINISHED])
    if predictions is not None:
        _check_predictions(path, provenance, predictions)
    return values


def _check_predictions(path: Path, provenance: object, predictions: Path) -> None:
    facts = provenance if isinstance(provenance, Mapping) else {}
    if SHA256 not in facts:
        reason = "does not state which predictions it scores: it may belong to other predictions"
        logger.warning("%s %s than %s", path, reason, predictions.name)
    elif facts[SHA256] != (expected := sha256_of(predictions)):
        raise ValueError(
            f"{path} holds the scores of {facts.get(PREDICTIONS, 'another file')} (SHA-256 "
            f"{str(facts[SHA256])[:12]}), not of {predictions} ({expected[:12]}): run "
            f"`lapse evaluate {predictions}`"
        )


def write_scores(
    path: Path,
    scores: Scores,
    provenance: Mapping[str, str],
    *,
    comparisons: Mapping[str, Scores] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a scores file.

    Args:
        path: the file; its folder is created if needed.
        scores: task -> name -> Score.
        provenance: release, split protocol, n, seed, command, commit.
        comparisons: system or baseline -> its scores.
        extra: further keys of the file, such as "subgroups" or "differences".
    """
    values = {
        "provenance": dict(provenance),
        "scores": score_values(scores),
        "comparisons": {name: score_values(part) for name, part in (comparisons or {}).items()},
        **(extra or {}),
    }
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(values, file, indent=1, ensure_ascii=False, allow_nan=False)


def score_values(scores: Mapping[str, Mapping[str, Score]]) -> dict[str, dict[str, Any]]:
    """Scores as JSON values, without their statistics."""
    return {
        task: {name: _score_value(score) for name, score in task_scores.items()}
        for task, task_scores in scores.items()
    }


def _score_value(score: Score) -> dict[str, Any]:
    names = ("name", "value", "low", "high", "per_sample", "details")
    direction = {
        "higher_is_better": score.higher_is_better,
        "range": None if score.value_range is None else list(score.value_range),
    }
    values = {name: getattr(score, name) for name in names}
    values["value"] = _defined(score.value)
    values["per_sample"] = [_defined(value) for value in score.per_sample]
    return values | direction


def _defined(value: float) -> float | None:
    """None for an undefined value (nan): JSON has no such number."""
    return None if math.isnan(value) else value


def difference_values(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """Differences as JSON values."""
    return [{**asdict(difference), "value": difference.value} for difference in differences]
