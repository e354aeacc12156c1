"""MS-CXR-T: improving, stable or worsening, from the changes that an answer names.

    worse -> worsening      better -> improving      not named, or without direction -> stable

`lapse.metrics.direction` defines the direction of a change.

The macro accuracy of a finding is the mean of its accuracies on the classes that occur, as in the
benchmark. Source: Bannur et al. 2023, arXiv:2301.04558.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lapse.core.changes import Change
from lapse.core.types import Prediction, Score
from lapse.metrics.changes import unread_withheld
from lapse.metrics.direction import direction_of
from lapse.metrics.statistics import (
    FRACTION,
    Array,
    check_single_reference,
    macro_score,
    mean_score,
)

WORDS = {"worse": "worsening", "better": "improving", "": "stable"}


class ProgressionAccuracy:
    """(predictions) -> macro accuracy of each finding, their mean, plain accuracy, unparsed."""

    names = ("macro accuracy", "accuracy", "unparsed rate")

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, Score]:
        """Score answers whose references read "edema: worsening; pneumonia: stable".

        Raises:
            ValueError: no prediction, one with several references, or a reference of another
                form.
        """
        if not predictions:
            raise ValueError("progression needs at least one prediction, got none")
        check_single_reference(predictions, "progression")
        rows: dict[tuple[str, str], Array] = {}  # (finding, class) -> [n, 2] hits and counts
        accuracies = []
        for index, item in enumerate(predictions):
            answer = item.answer
            hits = []
            for finding, progression in read_progressions(item):
                is_named = answer.is_parsed or any(c.finding == finding for c in answer.changes)
                is_right = progression_of(answer.changes, finding) == progression
                hits.append(float(is_named and is_right))  # unread does not mean stable
                key = (finding, progression)
                row = rows.setdefault(key, np.zeros((len(predictions), 2)))
                row[index] += (hits[-1], 1.0)
            accuracies.append(sum(hits) / len(hits))
        accuracy = mean_score("accuracy", accuracies, {}, value_range=FRACTION)
        return unread_withheld({**_macro_scores(rows), "accuracy": accuracy}, predictions)


def _macro_scores(rows: dict[tuple[str, str], Array]) -> dict[str, Score]:
    """The mean over findings of the mean over classes, and that of each finding."""
    keys = sorted(rows)
    table = np.concatenate([rows[key] for key in keys], axis=1)
    groups = {
        name: [index for index, (finding, _) in enumerate(keys) if finding == name]
        for name in sorted({finding for finding, _ in keys})
    }
    name = "macro accuracy"
    details = {"findings": str(len(groups))}
    scores = {name: macro_score(name, table, list(groups.values()), details)}
    for finding, indices in groups.items():
        name = f"macro accuracy {finding}"
        counts = {keys[index][1]: f"{rows[keys[index]][:, 1].sum():.0f}" for index in indices}
        details = {**counts, "of": finding, "kind": "finding"}
        scores[name] = macro_score(name, table, [indices], details)
    return scores


def read_progressions(item: Prediction) -> list[tuple[str, str]]:
    """(finding, progression) of a prediction's reference."""
    pairs = [part.partition(": ") for part in item.references[0].strip().split("; ")]
    if not all(name and word in {"improving", "stable", "worsening"} for name, _, word in pairs):
        raise ValueError(
            f"reference of {item.id} is {item.references[0]!r}: 'finding: progression; ...' is "
            "needed"
        )
    return [(name, word) for name, _, word in pairs]


def progression_of(changes: frozenset[Change], finding: str) -> str:
    """The progression of a finding according to a set of changes."""
    words = (WORDS[direction_of(change)] for change in changes if change.finding == finding)
    return next(words, "stable")
