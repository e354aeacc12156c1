"""Change scores: does the answer name the right findings in the right direction?

An answer is a set of changes (`lapse.grammar`): (finding, added), (finding, missing),
(finding, level, from, to). Order and template words count nothing. Micro scores pool all
changes of all answers; where nothing was said or nothing was true, a ratio of 0 / 0 is 0, and
`details` gives the counts. An answer contradicts itself when it gives one finding two changes,
or says that nothing has changed beside a change.
"""

from __future__ import annotations

from collections.abc import Sequence

from lapse.grammar import KINDS, Parsed, contradictions, parse
from lapse.types import Prediction, Score


class Changes:
    """(predictions) -> precision, recall and F1 of changes, exact match, unparsed rate."""

    names = (
        "change precision",
        "change recall",
        "change F1",
        *(f"{kind} {part}" for kind in KINDS for part in ("precision", "recall", "F1")),
        "exact match",
        "unparsed rate",
        "contradiction rate",
    )

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, Score]:
        """Score the first reference of each prediction.

        Raises:
            ValueError: no prediction.
        """
        if not predictions:
            raise ValueError("change scores need at least one prediction, got none")
        said = [parse(item.prediction) for item in predictions]
        true = [parse(item.references[0]) for item in predictions]
        found = _ratios("change", said, true, KINDS)
        for kind in KINDS:
            found |= _ratios(kind, said, true, (kind,))
        unread = sum(not item.is_parsed for item in true)
        rates = {
            "exact match": [float(_same(one, two)) for one, two in zip(said, true, strict=True)],
            "unparsed rate": [float(not item.is_parsed) for item in said],
            "contradiction rate": [float(_contradicts_itself(item)) for item in said],
        }
        for name, values in rates.items():
            details = {
                "n": str(len(values)),
                "unparsed references": str(unread),
                "aggregate": "mean",
            }
            mean = sum(values) / len(values)
            found[name] = Score(name, mean, per_sample=tuple(values), details=details)
        return found


def _same(one: Parsed, two: Parsed) -> bool:
    """Whether both were understood and say the same; an unread reference is never matched."""
    understood = one.is_parsed and two.is_parsed
    return understood and (one.changes, one.is_unchanged) == (two.changes, two.is_unchanged)


def _contradicts_itself(item: Parsed) -> bool:
    return bool(contradictions(item.changes)) or (item.is_unchanged and bool(item.changes))


def _ratios(
    name: str,
    said: Sequence[Parsed],
    true: Sequence[Parsed],
    kinds: Sequence[str],
) -> dict[str, Score]:
    """Micro precision, recall and F1 over the changes of these kinds."""
    right = num_said = num_true = 0
    each = []
    for one, two in zip(said, true, strict=True):
        ours = {change for change in one.changes if change.kind in kinds}
        theirs = {change for change in two.changes if change.kind in kinds}
        right += len(ours & theirs)
        num_said += len(ours)
        num_true += len(theirs)
        each.append(_f1(len(ours & theirs), len(ours), len(theirs)))
    details = {
        "n": str(len(said)),
        "right": str(right),
        "said": str(num_said),
        "true": str(num_true),
    }
    return {
        f"{name} precision": Score(
            f"{name} precision", right / num_said if num_said else 0.0, details=details
        ),
        f"{name} recall": Score(
            f"{name} recall", right / num_true if num_true else 0.0, details=details
        ),
        f"{name} F1": Score(
            f"{name} F1", _f1(right, num_said, num_true), per_sample=tuple(each), details=details
        ),
    }


def _f1(right: int, said: int, true: int) -> float:
    return 2 * right / (said + true) if said + true else 0.0
