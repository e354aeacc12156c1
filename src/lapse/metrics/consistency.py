"""Consistency: do answers to questions that belong together agree? No truth is needed for it.

    swap law        invert(answer(a, b)) = answer(b, a)
    identity        answer(a, a) = "nothing has changed."
    acquisition     answer(a, b) = answer(a, b taken again)
    shuffled, blank the reference is replaced: how often the answer stays, what the score loses

A system that always says "nothing has changed" keeps the first three, so each rate stands beside
its value over the pairs where a change was named. Whoever answers the samples of
`lapse.inference.probes`
can be measured, with images of any origin: only ids and texts are read. The probe of a sample
is written behind its id: "diff_vqa/123/456/7#swap".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lapse.core.grammar import Change, Parsed, invert, parse
from lapse.core.types import Prediction, Score, Statistics, nearest
from lapse.metrics.bootstrap import with_intervals
from lapse.metrics.statistics import MEAN, ratio, share_score

PROBES = ("swap", "identity", "acquisition", "shuffled", "blank")
MARK = "#"  # between the id of a sample and the name of its probe


@dataclass(frozen=True, slots=True)
class Twin:
    """A plain prediction and what the same system said under a probe."""

    plain: Prediction
    probe: Prediction


def split_id(name: str) -> tuple[str, str]:
    """The plain id and the probe of an id, "" for a plain one.

    >>> split_id("diff_vqa/1/2/3#swap")
    ('diff_vqa/1/2/3', 'swap')
    """
    plain, mark, probe = name.rpartition(MARK)
    return (plain, probe) if mark and probe in PROBES else (name, "")


def group_probes(predictions: Iterable[Prediction]) -> dict[str, list[Prediction]]:
    """Probe -> its predictions, in the order of `PROBES`; one file may hold several probes.

    Raises:
        ValueError: an id that names no probe.
    """
    found: dict[str, list[Prediction]] = {}
    for item in predictions:
        _, probe = split_id(item.id)
        if not probe:
            known = nearest(item.id.rpartition(MARK)[2], PROBES)
            raise ValueError(f"id {item.id!r} names no probe ('{MARK}swap' at its end); {known}")
        found.setdefault(probe, []).append(item)
    return {probe: found[probe] for probe in PROBES if probe in found}


def twins(plain: Sequence[Prediction], probe: Sequence[Prediction]) -> list[Twin]:
    """Pairs of a plain prediction and its probe, in the order of the plain ones.

    Raises:
        ValueError: a probe whose plain answer is not there, or that answers a sample twice.
    """
    known = {item.id: item for item in plain}
    asked = {split_id(item.id)[0]: item for item in probe}
    if len(asked) < len(probe):
        raise ValueError(f"{len(probe) - len(asked)} probe answers are about a sample already seen")
    strangers = [name for name in asked if name not in known]
    if strangers:
        raise ValueError(
            f"{len(strangers)} of {len(asked)} probe answers have no plain answer, the first is "
            f"{strangers[0]!r}: predict both with the same --split, --tasks and --limit"
        )
    return [Twin(known[name], asked[name]) for name in known if name in asked]


def consistency(
    plain: Sequence[Prediction], probes: Iterable[Prediction], *, seed: int = 0
) -> dict[str, Score]:
    """The rates of every probe that was answered, with 95% intervals by patient.

    Args:
        plain: predictions on the samples themselves.
        probes: predictions of one or several probes, told apart by their ids.
        seed: of the resampling.

    Raises:
        ValueError: an id without a probe, or a probe without its plain answer.
    """
    found: dict[str, Score] = {}
    for probe, rows in group_probes(probes).items():
        pairs = twins(plain, rows)
        told = {"n": str(len(pairs)), "of": str(len(plain))}
        rates: dict[str, Score] = {}
        for name, each in _RATES[probe](pairs).items():
            # A twin that does not count adds nothing to the sum, nor to the number of twins.
            counts = [float(value is not None) for value in each]
            if any(counts):
                rates[name] = _rate(name, [value or 0.0 for value in each], counts, told)
        for name, counted, value in _pooled(probe, pairs):
            statistics = Statistics(counted, value)
            point = float(value(counted.sum(axis=0)))
            rates[name] = Score(name, point, details=told, statistics=statistics)
        found |= with_intervals(rates, [pair.plain.patient for pair in pairs], seed=seed)
    return found


Columns: TypeAlias = NDArray[np.float64]


def _rate(
    name: str, values: Sequence[float], counts: Sequence[float], told: Mapping[str, str]
) -> Score:
    """The mean over the twins that count, whose values it keeps."""
    details = {**told, "n": f"{sum(counts):.0f}", "aggregate": MEAN}
    score = share_score(name, values, counts, details)
    kept = tuple(value for value, count in zip(values, counts, strict=True) if count)
    return replace(score, per_sample=kept)


Rates = Mapping[str, Sequence[float | None]]  # name -> one value a twin, None: does not count


def _swap(pairs: Sequence[Twin]) -> Rates:
    law, spoken = [], []
    for one, two in _parsed(pairs):
        law.append(float(_agree(one, two, invert)))
        spoken.append(law[-1] if one.changes or two.changes else None)
    return {"swap law": law, "swap law, change named": spoken}


def _identity(pairs: Sequence[Twin]) -> Rates:
    rows = [parse(pair.probe.prediction) for pair in pairs]
    return {"identity": [float(_says_nothing(two)) for two in rows]}


def _acquisition(pairs: Sequence[Twin]) -> Rates:
    same, spoken = [], []
    for one, two in _parsed(pairs):
        same.append(float(_agree(one, two, frozenset)))
        spoken.append(same[-1] if one.changes or two.changes else None)
    return {"acquisition": same, "acquisition, change named": spoken}


def _replaced(name: str) -> Callable[[Sequence[Twin]], Rates]:
    def rates(pairs: Sequence[Twin]) -> Rates:
        same = [float(_agree(one, two, frozenset)) for one, two in _parsed(pairs)]
        lost = [
            float(_is_right(pair.plain)) - float(_is_right(pair.probe, of=pair.plain))
            for pair in pairs
        ]
        return {f"{name}: same answer": same, f"{name}: exact match lost": lost}

    return rates


_RATES: dict[str, Callable[[Sequence[Twin]], Rates]] = {
    "swap": _swap,
    "identity": _identity,
    "acquisition": _acquisition,
    "shuffled": _replaced("shuffled reference"),
    "blank": _replaced("blank reference"),
}


def _pooled(
    probe: str, pairs: Sequence[Twin]
) -> Iterator[tuple[str, Columns, Callable[[Columns], Columns]]]:
    """What is pooled over all clauses of all answers: name, counts of each twin, the score."""
    rows = _parsed(pairs)
    said, again = [one.changes for one, _ in rows], [two.changes for _, two in rows]
    if probe == "swap":
        kept = [(len(one & invert(two)), len(one)) for one, two in zip(said, again, strict=True)]
        if any(said):
            yield "swap law, clauses", np.array(kept, np.float64), ratio
    if probe == "acquisition" and any((*said, *again)):
        yield "acquisition F1", _overlap(said, again), ratio
    if probe in {"shuffled", "blank"}:
        true = [parse(pair.plain.references[0]).changes for pair in pairs]
        counts = np.concatenate([_overlap(said, true), _overlap(again, true)], axis=1)

        def lost(sums: Columns) -> Columns:
            return np.nan_to_num(ratio(sums[..., :2])) - np.nan_to_num(ratio(sums[..., 2:]))

        yield f"{probe} reference: change F1 lost", counts, lost


def _overlap(said: Sequence[frozenset[Change]], true: Sequence[frozenset[Change]]) -> Columns:
    """[n, 2] twice the shared changes, and the changes of both: their ratio is F1."""
    rows = [(2 * len(one & two), len(one) + len(two)) for one, two in zip(said, true, strict=True)]
    return np.array(rows, dtype=np.float64)


def _parsed(pairs: Sequence[Twin]) -> list[tuple[Parsed, Parsed]]:
    return [(parse(pair.plain.prediction), parse(pair.probe.prediction)) for pair in pairs]


def _agree(one: Parsed, two: Parsed, law: Callable[[Iterable[Change]], frozenset[Change]]) -> bool:
    """Whether both were understood and the second says what the law makes of the first."""
    understood = one.is_parsed and two.is_parsed
    return understood and (law(one.changes), one.is_unchanged) == (two.changes, two.is_unchanged)


def _says_nothing(said: Parsed) -> bool:
    return said.is_parsed and said.is_unchanged and not said.changes


def _is_right(item: Prediction, of: Prediction | None = None) -> bool:
    return _agree(parse(item.prediction), parse((of or item).references[0]), frozenset)
