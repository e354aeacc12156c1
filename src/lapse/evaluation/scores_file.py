"""scores.json: provenance, every score with its details, and the scores of other systems.

provenance         release, split protocol, n, seed, command, version, commit
scores             task -> name -> value, low, high, per_sample, details
comparisons        system or baseline -> its scores, in the same form
subgroups          task -> dimension -> group -> scores         (lapse evaluate)
hidden_subgroups   task -> groups of too few patients           (lapse evaluate)
differences        task -> pair of systems -> paired tests      (lapse compare)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lapse.core.files import write_text
from lapse.core.types import Score
from lapse.evaluation.evaluate import Scores
from lapse.metrics.paired_tests import Difference


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
    write_text(path, json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False))


def score_values(scores: Mapping[str, Mapping[str, Score]]) -> dict[str, dict[str, Any]]:
    """Scores as JSON values, without their statistics."""
    return {
        task: {name: _score_value(score) for name, score in task_scores.items()}
        for task, task_scores in scores.items()
    }


def _score_value(score: Score) -> dict[str, Any]:
    names = ("name", "value", "low", "high", "per_sample", "details")
    return {name: getattr(score, name) for name in names}


def difference_values(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """Differences as JSON values."""
    return [{**asdict(difference), "value": difference.value} for difference in differences]
