"""Short answers about one image: exact match, closed (yes / no) and open questions apart.

The order of names in a list carries no information in Medical-Diff-VQA, so "edema, hernia" and
"hernia, edema" are one answer. Case, blanks and a final stop do not count.
"""

from __future__ import annotations

from collections.abc import Sequence

from lapse.types import Prediction, Score

CLOSED = frozenset({"yes", "no"})


class AnswerAccuracy:
    """(predictions) -> accuracy, and that of closed and of open questions where there are any."""

    names = ("accuracy", "closed accuracy", "open accuracy")

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, Score]:
        """Compare each prediction with its references; one that matches is enough.

        Raises:
            ValueError: no prediction.
        """
        if not predictions:
            raise ValueError("accuracy needs at least one prediction, got none")
        hits = [float(is_same(item)) for item in predictions]
        is_closed = [plain_answer(item.references[0]) <= CLOSED for item in predictions]
        found = {"accuracy": _mean("accuracy", hits)}
        for name, wanted in (("closed accuracy", True), ("open accuracy", False)):
            some = [hit for hit, closed in zip(hits, is_closed, strict=True) if closed == wanted]
            if some:
                score = _mean(name, some)
                found[name] = Score(name, score.value, details={"n": str(len(some))})
        return found


def plain_answer(text: str) -> frozenset[str]:
    """The names in an answer, whatever their order.

    >>> sorted(plain_answer("Edema,  hernia. "))
    ['edema', 'hernia']
    """
    parts = " ".join(text.lower().split()).rstrip(".").split(",")
    return frozenset(part.strip() for part in parts if part.strip())


def is_same(item: Prediction) -> bool:
    """Whether a prediction says what one of its references says."""
    return any(plain_answer(item.prediction) == plain_answer(text) for text in item.references)


def _mean(name: str, values: Sequence[float]) -> Score:
    details = {"n": str(len(values)), "aggregate": "mean"}
    return Score(name, sum(values) / len(values), per_sample=tuple(values), details=details)
