"""Short answers about one image: exact match, for closed (yes / no) and open questions.

Questions that name a side, or whose answer is one, have a separate score.

The order of names in a list carries no information in Medical-Diff-VQA, so "edema, hernia" and
"hernia, edema" are one answer. Case, blanks and a final full stop do not count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lapse.core.types import Prediction, Score
from lapse.metrics.laterality import SIDES
from lapse.metrics.statistics import FRACTION, fraction_score, mean_score

CLOSED = frozenset({"yes", "no"})


class AnswerAccuracy:
    """(predictions) -> accuracy of all, closed, open and laterality questions that there are."""

    names = ("accuracy", "closed accuracy", "open accuracy", "laterality accuracy")

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, Score]:
        """Compare each prediction with its references; one that matches is enough.

        Raises:
            ValueError: no prediction.
        """
        if not predictions:
            raise ValueError("accuracy needs at least one prediction, got none")
        hits = np.array([is_same(item) for item in predictions], np.float64)
        closed = np.array(
            [all(plain_answer(text) <= CLOSED for text in p.references) for p in predictions]
        )
        groups = {
            "closed accuracy": closed,
            "open accuracy": ~closed,
            "laterality accuracy": np.array([names_side(item) for item in predictions]),
        }
        scores = {"accuracy": mean_score("accuracy", hits.tolist(), {}, value_range=FRACTION)}
        for name, mask in groups.items():
            if mask.any():
                scores[name] = fraction_score(name, hits * mask, mask.astype(np.float64), {})
        return scores


def names_side(item: Prediction) -> bool:
    """Whether the question names a side, or one of its answers does."""
    words = " ".join((item.prompt, *item.references)).lower().replace(",", " ").split()
    return any(side in words for side in SIDES)


def plain_answer(text: str) -> frozenset[str]:
    """The names in an answer, whatever their order.

    >>> sorted(plain_answer("Edema,  hernia. "))
    ['edema', 'hernia']
    """
    parts = " ".join(text.lower().split()).rstrip(".").split(",")
    return frozenset(part.strip() for part in parts if part.strip())


def is_same(item: Prediction) -> bool:
    """Whether a prediction gives the same names as one of its references."""
    return any(plain_answer(item.prediction) == plain_answer(text) for text in item.references)
