"""Changes of three labels that expert readers see, from the changes that an answer names.

    pneumothorax        pneumothorax
    airspace opacity    lung opacity, consolidation, pneumonia, edema
    nodule or mass      none of the 30 findings: an answer cannot name it, so its recall is 0

A label is added if an answer adds one of its findings and removes none, missing in the opposite
case, and unchanged otherwise. An answer that adds a second finding of a label to a first counts as
an addition, because answers do not name what stays.

    change              precision, recall and F1 of (label, added or missing), over all labels
    <label>             the same of one label
    opposite rate       of the changes that an answer and the readers both see in a label: opposite
    unparsed rate       answers that are not read in full

The labels are those of the readers of NIH ChestX-ray14 (Majkowska et al. 2019), who read the films
one by one, so a part of their changes is their own disagreement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lapse.core.changes import Change
from lapse.core.types import Prediction, Score
from lapse.metrics.changes import unread_withheld
from lapse.metrics.statistics import check_single_reference, fraction_score, pooled_scores

TASK = "expert_changes"
LABELS: Mapping[str, frozenset[str]] = {
    "pneumothorax": frozenset({"pneumothorax"}),
    "airspace opacity": frozenset({"lung opacity", "consolidation", "pneumonia", "edema"}),
    "nodule or mass": frozenset(),
}
STATES = ("added", "missing", "unchanged")


class ExpertChanges:
    """(predictions) -> precision, recall and F1 of the changes of three labels."""

    names = ("change precision", "change recall", "change F1", "opposite rate", "unparsed rate")

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, Score]:
        """Score answers whose references read "pneumothorax: added; nodule or mass: unchanged".

        Raises:
            ValueError: no prediction, one with several references, or a reference of another
                form.
        """
        if not predictions:
            raise ValueError("expert_changes needs at least one prediction, got none")
        check_single_reference(predictions, TASK)
        names = list(LABELS)
        rows = np.zeros((len(predictions), 3 * (1 + len(names))), np.uint8)
        opposite, both = np.zeros(len(predictions)), np.zeros(len(predictions))
        for index, item in enumerate(predictions):
            for label, true in read_states(item).items():
                stated = state_of(item.answer.changes, label)
                is_stated, is_true = stated != "unchanged", true != "unchanged"
                counts = np.array([is_stated and stated == true, is_stated, is_true], np.uint8)
                start = 3 * (1 + names.index(label))
                rows[index, start : start + 3] += counts
                rows[index, :3] += counts
                if is_stated and is_true:
                    both[index] += 1
                    opposite[index] += stated != true
        scores = pooled_scores("change", rows, 0, {})
        for number, label in enumerate(names, start=1):
            details = {"of": label, "kind": "finding"}
            scores |= pooled_scores(label, rows, 3 * number, details)
        if both.any():
            name = "opposite rate"
            scores[name] = fraction_score(name, opposite, both, {}, higher_is_better=False)
        return unread_withheld(scores, predictions)


def read_states(item: Prediction) -> dict[str, str]:
    """Label -> added, missing or unchanged, of a prediction's reference.

    Raises:
        ValueError: the reference has another form.
    """
    parts = [part.partition(": ") for part in item.references[0].strip().split("; ")]
    states = {label: state for label, _, state in parts}
    if not states.keys() <= LABELS.keys() or not set(states.values()) <= set(STATES):
        raise ValueError(
            f"reference of {item.id} is {item.references[0]!r}: 'label: state; ...' is needed, "
            f"with {', '.join(LABELS)} and {', '.join(STATES)}"
        )
    return states


def state_of(changes: frozenset[Change], label: str) -> str:
    """What a set of changes states about a label.

    >>> state_of(frozenset({Change("edema", "added")}), "airspace opacity")
    'added'
    """
    kinds = {change.kind for change in changes if change.finding in LABELS[label]}
    named = [kind for kind in ("added", "missing") if kind in kinds]
    return named[0] if len(named) == 1 else "unchanged"
