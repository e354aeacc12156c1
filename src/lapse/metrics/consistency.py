"""Consistency: do answers to related questions agree? This needs no reference answer.

    swap law        invert(answer(a, b)) = answer(b, a)
    identity        answer(a, a) = "nothing has changed."
    acquisition     answer(a, b) = answer(a, b re-exposed)
    shuffled, blank the reference image is replaced: how often the answer stays the same, and how
                    much the scores fall

A system that always answers "nothing has changed" satisfies the first three, so each rate is also
given over the pairs where a change is named. Only ids and texts are read, so any system that
answers the samples of `lapse.inference.probes` can be measured. The id of a probed sample ends
with its probe: "diff_vqa/123/456/7#swap".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from lapse.core.changes import Change, invert
from lapse.core.grammar import Parsed
from lapse.core.types import Prediction, Score, Statistics, nearest
from lapse.metrics.bootstrap import with_intervals
from lapse.metrics.changes import too_many_unread, withheld
from lapse.metrics.statistics import FRACTION, MEAN, Array, fraction_score, ratio

MARK = "#"  # between the id of a sample and the name of its probe


@dataclass(frozen=True, slots=True)
class ProbePair:
    """A plain prediction and the same system's prediction under a probe."""

    plain: Prediction
    probed: Prediction


def split_id(name: str) -> tuple[str, str]:
    """The plain id and the probe of an id, "" for a plain one.

    >>> split_id("diff_vqa/1/2/3#swap")
    ('diff_vqa/1/2/3', 'swap')
    """
    plain, mark, probe = name.rpartition(MARK)
    return (plain, probe) if mark and probe in RATES else (name, "")


def group_probes(predictions: Iterable[Prediction]) -> dict[str, list[Prediction]]:
    """Probe -> its predictions, in the order of `RATES`; one file may hold several probes.

    Raises:
        ValueError: an id that names no probe.
    """
    groups: dict[str, list[Prediction]] = {}
    for item in predictions:
        _, probe = split_id(item.id)
        if not probe:
            names = nearest(item.id.rpartition(MARK)[2], tuple(RATES))
            raise ValueError(f"id {item.id!r} names no probe ('{MARK}swap' at its end); {names}")
        groups.setdefault(probe, []).append(item)
    return {probe: groups[probe] for probe in RATES if probe in groups}


def pair_probes(plain: Sequence[Prediction], probed: Sequence[Prediction]) -> list[ProbePair]:
    """Pairs of plain and probed predictions, in the order of the plain ones.

    Raises:
        ValueError: a probed prediction without a plain one, or two for one sample.
    """
    ids = {item.id for item in plain}
    by_id = {split_id(item.id)[0]: item for item in probed}
    if len(by_id) < len(probed):
        raise ValueError(
            f"{len(probed) - len(by_id)} probe answers are about a sample that has one already"
        )
    unknown = [name for name in by_id if name not in ids]
    if unknown:
        raise ValueError(
            f"{len(unknown)} of {len(by_id)} probe answers have no plain answer, the first is "
            f"{unknown[0]!r}: predict both with the same --split, --tasks and --limit"
        )
    return [ProbePair(item, by_id[item.id]) for item in plain if item.id in by_id]


def consistency(
    plain: Sequence[Prediction], probes: Iterable[Prediction], *, seed: int = 0
) -> dict[str, Score]:
    """The rates of every answered probe, with 95% intervals by patient.

    Args:
        plain: predictions on the samples themselves.
        probes: predictions under one or several probes, distinguished by their ids.

    Raises:
        ValueError: an id without a probe, or a probe without its plain answer.
    """
    scores: dict[str, Score] = {}
    for probe, probed in group_probes(probes).items():
        pairs = pair_probes(plain, probed)
        details = {"n": str(len(pairs)), "of": str(len(plain))}
        rates: dict[str, Score] = {}
        for name, values in RATES[probe](pairs).items():
            if any(value is not None for value in values):
                rates[name] = _rate(name, values, details)
        for name, rows, score in _pooled(probe, pairs):
            value = float(score(rows.sum(axis=0)))
            statistics = Statistics(rows, score)
            rates[name] = Score(name, value, details=details, statistics=statistics)
        ranges = {name: (-1.0, 1.0) if name.endswith("lost") else FRACTION for name in rates}
        rates = {name: replace(rate, value_range=ranges[name]) for name, rate in rates.items()}
        answers = [pair.plain.answer for pair in pairs] + [pair.probed.answer for pair in pairs]
        rates = withheld(rates, too_many_unread(answers, []))
        scores |= with_intervals(rates, [pair.plain.patient for pair in pairs], seed=seed)
    return scores


def _rate(name: str, values: Sequence[float | None], details: Mapping[str, str]) -> Score:
    """The mean over the pairs that count, with their values per sample."""
    counted = tuple(value for value in values if value is not None)
    details = {**details, "n": str(len(counted)), "aggregate": MEAN}
    # A pair that does not count adds nothing to the sum, nor to the number of pairs.
    hits, counts = [value or 0.0 for value in values], [value is not None for value in values]
    is_better = not name.endswith("same answer")  # of another reference: it should matter
    score = fraction_score(name, hits, counts, details, higher_is_better=is_better)
    return replace(score, per_sample=counted)


# name -> one value per pair; None where the pair does not count
Rates: TypeAlias = Mapping[str, Sequence[float | None]]
Law: TypeAlias = Callable[[Iterable[Change]], frozenset[Change]]


def _agreement(name: str, law: Law) -> Callable[[Sequence[ProbePair]], Rates]:
    """Agreement over all pairs, and over those that name a change."""

    def rates(pairs: Sequence[ProbePair]) -> Rates:
        values: list[float] = []
        named: list[float | None] = []
        for plain, probed in _parsed(pairs):
            values.append(float(_agree(plain, probed, law)))
            named.append(values[-1] if plain.changes or probed.changes else None)
        return {name: values, f"{name}, change named": named}

    return rates


def _identity(pairs: Sequence[ProbePair]) -> Rates:
    answers = [pair.probed.answer for pair in pairs]
    is_kept = [a.is_parsed and a.is_unchanged and not a.changes for a in answers]
    return {"identity": list(map(float, is_kept))}


def _replaced(name: str) -> Callable[[Sequence[ProbePair]], Rates]:
    def rates(pairs: Sequence[ProbePair]) -> Rates:
        same = [float(_agree(plain, probed, frozenset)) for plain, probed in _parsed(pairs)]
        lost = [
            float(_agree(plain, pair.plain.truth, frozenset))
            - float(_agree(probed, pair.plain.truth, frozenset))
            for pair, (plain, probed) in zip(pairs, _parsed(pairs), strict=True)
        ]
        return {f"{name}: same answer": same, f"{name}: exact match lost": lost}

    return rates


# probe -> its rates; `lapse.inference.probes.PROBES` makes the samples of the same probes
RATES: dict[str, Callable[[Sequence[ProbePair]], Rates]] = {
    "swap": _agreement("swap law", invert),
    "identity": _identity,
    "acquisition": _agreement("acquisition", frozenset),
    "shuffled": _replaced("shuffled reference"),
    "blank": _replaced("blank reference"),
}


def _pooled(
    probe: str, pairs: Sequence[ProbePair]
) -> Iterator[tuple[str, Array, Callable[[Array], Array]]]:
    """Scores pooled over all changes of all answers: name, counts of each pair, the score."""
    plain = [pair.plain.answer.changes for pair in pairs]
    probed = [pair.probed.answer.changes for pair in pairs]
    if probe == "swap" and any(plain):
        both = zip(plain, probed, strict=True)
        rows = [(len(first & invert(second)), len(first)) for first, second in both]
        yield "swap law, clauses", np.array(rows, np.float64), ratio
    if probe == "acquisition" and any((*plain, *probed)):
        yield "acquisition F1", _overlap(plain, probed), ratio
    if probe in {"shuffled", "blank"}:
        true = [pair.plain.truth.changes for pair in pairs]
        counts = np.concatenate([_overlap(plain, true), _overlap(probed, true)], axis=1)

        def lost(sums: Array) -> Array:
            return ratio(sums[..., :2]) - ratio(sums[..., 2:])  # nan where neither names a change

        yield f"{probe} reference: change F1 lost", counts, lost


def _overlap(answers: Sequence[frozenset[Change]], others: Sequence[frozenset[Change]]) -> Array:
    """[n, 2] twice the common changes, and the changes of both: their ratio is F1."""
    pairs = zip(answers, others, strict=True)
    rows = [(2 * len(first & second), len(first) + len(second)) for first, second in pairs]
    return np.array(rows, dtype=np.float64)


def _parsed(pairs: Sequence[ProbePair]) -> list[tuple[Parsed, Parsed]]:
    return [(pair.plain.answer, pair.probed.answer) for pair in pairs]


def _agree(first: Parsed, second: Parsed, law: Law) -> bool:
    """Whether both are parsed completely and the law turns the first into the second."""
    is_parsed = first.is_parsed and second.is_parsed
    expected = (law(first.changes), first.is_unchanged)
    return is_parsed and expected == (second.changes, second.is_unchanged)
