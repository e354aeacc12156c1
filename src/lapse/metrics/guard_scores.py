"""Guarded answers in a predictions file: the choice of the threshold, and their scores.

`guarded` is the text; `confidence` has the entries of `lapse.metrics.guard.Evidence`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from lapse.core.changes import UNCHANGED, invert
from lapse.core.grammar import parse
from lapse.core.types import Prediction, Score
from lapse.metrics.bootstrap import with_intervals
from lapse.metrics.changes import Changes
from lapse.metrics.confidence import change_of_key
from lapse.metrics.consistency import ProbePair, group_probes, pair_probes
from lapse.metrics.guard import AGREED, GUARD, NULL, UNDECIDED, UNUSUAL, Evidence, GuardRule, decide
from lapse.metrics.statistics import fraction_score

THRESHOLDS = tuple(step / 100 for step in range(30, 100))


def evidence_of(item: Prediction) -> Evidence:
    """The evidence in the confidence of a prediction.

    Raises:
        ValueError: the prediction has none.
    """
    if AGREED not in item.confidence:
        raise ValueError(
            f"prediction {item.id} has no guarded answer: predict with `lapse predict --guarded`"
        )
    guard, null = (
        {
            name.removeprefix(prefix): share
            for name, share in item.confidence.items()
            if name.startswith(prefix)
        }
        for prefix in (GUARD, NULL)
    )
    shares = {change_of_key(name): share for name, share in guard.items()}
    return Evidence(shares, null, item.confidence[AGREED] > 0.5)


def choose_rule(predictions: Sequence[Prediction], target: float = 0.85) -> GuardRule:
    """The smallest threshold whose stated changes reach a precision, less its standard error.

    Where no threshold reaches it, the threshold is 1 and nothing is stated.

    Args:
        predictions: guarded difference answers on validation patients.
        target: precision over all stated changes.

    Raises:
        ValueError: no prediction, or one without a guarded answer.
    """
    if not predictions:
        raise ValueError("a guard needs at least one validation prediction, got none")
    if not 0.0 < target < 1.0:
        raise ValueError(f"the precision is {target}: choose one between 0 and 1, such as 0.85")
    answers = [(evidence_of(item), item.truth.changes) for item in predictions]
    patients = len({item.patient for item in predictions})
    silent = GuardRule(1.0, target=target, patients=patients, answers=len(predictions))
    num_true = sum(len(true) for _, true in answers)
    for threshold in THRESHOLDS:
        rule = replace(silent, threshold=threshold)
        stated = [(set(decide(evidence, rule).stated), true) for evidence, true in answers]
        num_stated = sum(len(changes) for changes, _ in stated)
        num_right = sum(len(changes & true) for changes, true in stated)
        if not num_right:
            continue
        precision = num_right / num_stated
        error = math.sqrt(precision * (1.0 - precision) / num_stated)
        if precision - error >= target:
            return replace(rule, precision=precision, recall=num_right / num_true)
    return silent


def guarded_scores(
    predictions: Sequence[Prediction], probes: Sequence[Prediction] = (), *, seed: int = 0
) -> dict[str, Score]:
    """The scores of the guarded answers, in the form of a further task.

    "undecided." states no change and is never an exact match. Under a probe, two undecided answers
    agree.

    Args:
        probes: its answers under the probes of `LAWS`, also guarded; other probes are left out.

    Returns:
        change scores of the guarded texts, "undecided rate", "unchanged named as changed", the
        rates of unusual and refused inputs, the rate of each law, and the change scores
        "unguarded"; {} where no prediction has a guarded answer.

    Raises:
        ValueError: only a part of the predictions has a guarded answer.
    """
    if not any(item.guarded for item in predictions):
        return {}
    without = sum(not item.guarded for item in (*predictions, *probes))
    if without:
        raise ValueError(
            f"{without} of {len(predictions) + len(probes)} predictions have no guarded answer: "
            "predict all of them, and their probes, with `lapse predict --guarded`"
        )
    texts = [replace(item, prediction=item.guarded) for item in predictions]
    undecided = [float(item.guarded == UNDECIDED) for item in predictions]
    scores = {
        **_change_scores(texts, ""),
        "undecided rate": _rate("undecided rate", undecided, higher_is_better=False),
        **_change_scores(predictions, ", unguarded"),
    }
    for name, limit in (("unusual input rate", 0.25), ("refused input rate", 0.75)):
        if all(UNUSUAL in item.confidence for item in predictions):
            is_above = [float(item.confidence[UNUSUAL] > limit) for item in predictions]
            scores[name] = _rate(name, is_above, higher_is_better=False)
    scores = with_intervals(scores, [item.patient for item in predictions], seed=seed)
    for probe, probed in group_probes(probes).items():
        if probe in LAWS:
            pairs = pair_probes(predictions, probed)
            name = {"swap": "swap law"}.get(probe, probe)
            rate = {name: _rate(name, list(map(LAWS[probe], pairs)), higher_is_better=True)}
            scores |= with_intervals(rate, [pair.plain.patient for pair in pairs], seed=seed)
    return scores


def _same(pair: ProbePair, *, is_inverted: bool) -> float:
    """1 if the guarded answers state the same changes, or the inverted ones."""
    plain, probed = pair.plain.guarded, pair.probed.guarded
    changes = parse(plain).changes
    expected = invert(changes) if is_inverted else changes
    is_status_equal = (plain == UNDECIDED) == (probed == UNDECIDED)
    return float(is_status_equal and expected == parse(probed).changes)


# probe -> whether the guarded answers of a pair keep its law
LAWS: dict[str, Callable[[ProbePair], float]] = {
    "swap": lambda pair: _same(pair, is_inverted=True),
    "identity": lambda pair: float(pair.probed.guarded == UNCHANGED),
    "acquisition": lambda pair: _same(pair, is_inverted=False),
}


def _rate(name: str, values: Sequence[float], *, higher_is_better: bool) -> Score:
    return fraction_score(name, values, [1.0] * len(values), {}, higher_is_better=higher_is_better)


def _change_scores(items: Sequence[Prediction], suffix: str) -> dict[str, Score]:
    """Precision, recall, F1, exact match, and how often an unchanged pair gets a change."""
    scores = Changes(max_unread=1.0)(items)  # undecided is not unread
    names = ("change precision", "change recall", "change F1", "exact match")
    named = {name + suffix: replace(scores[name], name=name + suffix) for name in names}
    unchanged = [float(item.truth.is_parsed and not item.truth.changes) for item in items]
    if any(unchanged):
        changed = [bool(item.answer.changes) for item in items]
        invented = [a * b for a, b in zip(unchanged, changed, strict=True)]
        name = f"unchanged named as changed{suffix}"
        named[name] = fraction_score(name, invented, unchanged, {}, higher_is_better=False)
    return named
