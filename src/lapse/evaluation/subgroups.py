"""Scores of subgroups of samples (`lapse.evaluation.sample_labels`), from computed statistics.

Groups of fewer than 50 patients are hidden: their scores are uncertain and could identify
patients. CIDEr keeps the document frequencies of all samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lapse.core.types import Score
from lapse.evaluation.sample_labels import Labels
from lapse.metrics.bootstrap import RESAMPLES, with_intervals
from lapse.metrics.changes import MAX_UNREAD, Changes

MIN_PATIENTS = 50
# Counts of all samples among a score's details: the scores of a subgroup do not repeat them.
COUNTS = (
    "events",
    "correct",
    "predicted",
    "true",
    "hits",
    "malformed",
    "unparsed references",
    "questions",
    "helped by another region",
)


@dataclass(frozen=True, slots=True)
class SubgroupScores:
    """Scores of subgroups, and which groups are hidden.

    Attributes:
        scores: dimension -> group -> name -> Score, without statistics.
        hidden: one line per hidden group: its name, patients and samples.
    """

    scores: dict[str, dict[str, dict[str, Score]]] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()


def subgroup_scores(
    scores: Mapping[str, Score],
    patients: Sequence[str],
    labels: Labels,
    *,
    unread: Sequence[bool] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> SubgroupScores:
    """The scores of all groups of 50 patients or more, with intervals.

    Args:
        scores: of all samples; those without statistics are left out.
        patients: [n]; a group with an unknown patient is hidden.
        labels: dimension -> [n].
        unread: [n] whether the answer or reference is not read; () where that does not matter.
            A group with more than MAX_UNREAD of them has no change scores.
    """
    visible: dict[str, dict[str, dict[str, Score]]] = {}
    hidden = []
    names = np.array(patients, dtype=object)
    for dimension, groups in labels.items():
        of_sample = np.array(groups, dtype=object)
        for group in sorted(set(groups)):
            mask = of_sample == group
            of_group = names[mask].tolist()
            count = len(set(of_group))
            if "" in of_group or count < MIN_PATIENTS:
                num_patients = "unknown" if "" in of_group else str(count)
                hidden.append(
                    f"{dimension} {group!r}: {num_patients} patients, {mask.sum()} samples"
                )
                continue
            is_read = not unread or float(np.mean(np.array(unread)[mask])) <= MAX_UNREAD
            subset = _subset(scores, mask, is_read=is_read)
            if not subset and not is_read:
                hidden.append(f"{dimension} {group!r}: not read, {mask.sum()} samples")
                continue
            computed = with_intervals(subset, of_group, resamples=resamples, seed=seed)
            visible.setdefault(dimension, {})[group] = {
                name: replace(score, statistics=None) for name, score in computed.items()
            }
    return SubgroupScores(visible, tuple(hidden))


def _subset(
    scores: Mapping[str, Score], mask: NDArray[np.bool_], *, is_read: bool
) -> dict[str, Score]:
    """The scores that are defined on some of the samples, and can be read from them."""
    rows_by_id: dict[int, NDArray[np.float64]] = {}
    subset = {}
    for name, score in scores.items():
        if score.statistics is None or (not is_read and name in Changes.names):
            continue
        key = id(score.statistics.rows)
        if key not in rows_by_id:
            rows_by_id[key] = score.statistics.rows[mask]
        rows = rows_by_id[key]
        value = float(score.statistics.score(rows.sum(axis=0)))
        if np.isnan(value):
            continue
        details = {key: text for key, text in score.details.items() if key not in COUNTS}
        details["n"] = str(len(rows))
        statistics = replace(score.statistics, rows=rows)
        if events := statistics.num_events():
            details["events"] = events
        subset[name] = replace(
            score, value=value, per_sample=(), details=details, statistics=statistics
        )
    return subset
