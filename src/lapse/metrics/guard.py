"""Guarded answers: which changes several readings of one pair agree on.

A reading is the beam of a model for one ordered pair of images: the reference and the main film,
the two exchanged (its changes are inverted), or one of them slightly perturbed
(`lapse.inference.guard`). A change is certain as its least share over all readings:

    least share > threshold     stated
    null share > null limit     unsure: the same finding changes between a film and the same film
                                perturbed
    otherwise                   unsure

A strict rule, for films that the input check warns about, states nothing at all where a null share
is above its limit.

An answer without a stated change is "nothing has changed." if no reading names a change and no
null share is above its limit, and "undecided." otherwise.

The shares of the exchanged pair are those of the inverted changes, so a set of readings that is
closed under exchange gives the inverted answer for the exchanged pair, whatever the model is.

In a predictions file: `guarded` is the text, and `confidence` has "guard: added edema", "guard
null: edema" and "guard unchanged" (1 if no reading names a change).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lapse.core.changes import Change, contradictions, invert, render
from lapse.core.findings import FINDINGS
from lapse.core.grammar import parse
from lapse.core.types import Candidate
from lapse.metrics.confidence import change_key

GUARD, NULL, AGREED = "guard: ", "guard null: ", "guard unchanged"
UNUSUAL = "unusual input"  # 0, 0.5 where the input check warns, 1 where it refuses
UNDECIDED = "undecided."
Status = Literal["changed", "unchanged", "undecided"]
NULL_REASON = "a film against the same film, slightly perturbed, is answered with a change of "
SPLIT_REASON = "the readings of both orders and of perturbed films do not agree on a change"


@dataclass(frozen=True, slots=True)
class Reading:
    """The beam of one ordered pair.

    Attributes:
        shares: change -> fraction of the beam's probability whose texts state it.
        named: the changes of the most probable text.
        is_unchanged: that text says "nothing has changed" and nothing else.
    """

    shares: Mapping[Change, float]
    named: frozenset[Change]
    is_unchanged: bool

    def inverse(self) -> Reading:
        """The same reading for the exchanged pair."""
        return replace(self, shares=_inverted(self.shares), named=invert(self.named))


def _inverted(shares: Mapping[Change, float]) -> dict[Change, float]:
    return {other: share for change, share in shares.items() for other in invert([change])}


def reading_of(candidates: Sequence[Candidate]) -> Reading:
    """The reading of the hypotheses of one prompt, best first."""
    parsed = [parse(candidate.text) for candidate in candidates]
    # relative to the best one, so that very improbable texts do not vanish
    best = candidates[0].log_probability
    weights = [math.exp(candidate.log_probability - best) for candidate in candidates]
    weights_of: dict[Change, list[float]] = defaultdict(list)
    for weight, answer in zip(weights, parsed, strict=True):
        for change in answer.changes:
            weights_of[change].append(weight)
    total = math.fsum(weights)
    shares = {change: math.fsum(weights_of[change]) / total for change in sorted(weights_of)}
    top = parsed[0]
    is_unchanged = top.is_parsed and top.is_unchanged and not top.changes
    return Reading(shares, top.changes, is_unchanged)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What all readings of one pair say.

    Attributes:
        shares: each change that the best text of any reading names -> its least share.
        null: finding -> the highest share of its change between a film and the same film
            perturbed.
        is_unchanged: no reading names a change.
    """

    shares: Mapping[Change, float]
    null: Mapping[str, float]
    is_unchanged: bool

    def inverse(self) -> Evidence:
        """The evidence of the exchanged pair."""
        return replace(self, shares=_inverted(self.shares))

    def confidence(self) -> dict[str, float]:
        """The entries of `Prediction.confidence`."""
        by_change = {GUARD + change_key(c): share for c, share in sorted(self.shares.items())}
        by_finding = {NULL + name: share for name, share in sorted(self.null.items())}
        return {**by_change, **by_finding, AGREED: float(self.is_unchanged)}


def combine(readings: Sequence[Reading], null: Sequence[Reading] = ()) -> Evidence:
    """The evidence of the readings of one pair, all oriented from reference to main.

    Args:
        readings: at least one; for the swap law a set that is closed under exchange.
        null: readings of a film and the same film perturbed.
    """
    named = {change for reading in readings for change in reading.named}
    disturbed: dict[str, float] = {}
    for reading in null:
        for change, share in reading.shares.items():
            disturbed[change.finding] = max(share, disturbed.get(change.finding, 0.0))
    return Evidence(
        {c: min(reading.shares.get(c, 0.0) for reading in readings) for c in sorted(named)},
        disturbed,
        all(reading.is_unchanged for reading in readings),
    )


@dataclass(frozen=True, slots=True)
class GuardRule:
    """The limits of a model, and the validation patients that they were chosen on.

    Attributes:
        threshold: a change is stated if its least share is above this.
        null_limit: a change is unsure if the null share of its finding is above this.
        target: the precision that the threshold was chosen for; 0 for limits that were not chosen.
        precision, recall: of the stated changes on the validation pairs.
        patients, answers: numbers of validation patients and pairs.
        is_strict: the films are unlike the training films: with any null share above the limit
            the entire answer is undecided. Not a part of the model folder.
    """

    threshold: float = 0.7
    null_limit: float = 0.5
    target: float = 0.0
    precision: float = 0.0
    recall: float = 0.0
    patients: int = 0
    answers: int = 0
    is_strict: bool = False

    def __post_init__(self) -> None:
        for name in ("threshold", "null_limit", "target", "precision", "recall"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} {value} of a guard is outside [0, 1]")

    def describe(self) -> str:
        """Where the limits come from, in one sentence."""
        if not self.answers:
            return f"the guard's threshold {self.threshold:g} was not chosen for this model"
        return (
            f"the guard states changes above {self.threshold:g}: precision {self.precision:.2f}, "
            f"recall {self.recall:.2f} on {self.answers} pairs of {self.patients} validation "
            "patients"
        )


@dataclass(frozen=True, slots=True)
class GuardedChanges:
    """A guarded answer.

    Attributes:
        stated: changes that all readings agree on, by kind and finding.
        unsure: changes that at least one reading names and that are not stated.
        shares: each of these changes -> its least share over the readings.
        status: "changed", "unchanged" or "undecided".
        reasons: why changes are unsure or the answer is undecided; () otherwise.
    """

    stated: tuple[Change, ...]
    unsure: tuple[Change, ...]
    shares: Mapping[Change, float]
    status: Status
    reasons: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The stated changes in the words of the grammar, or `UNDECIDED`."""
        return UNDECIDED if self.status == "undecided" else render(self.stated).strip()

    def inverse(self) -> GuardedChanges:
        """The answer to the exchanged pair."""
        stated, unsure = _ordered(invert(self.stated)), _ordered(invert(self.unsure))
        return replace(self, stated=stated, unsure=unsure, shares=_inverted(self.shares))


def decide(evidence: Evidence, rule: GuardRule) -> GuardedChanges:
    """Apply the limits of a model. Two stated changes of one finding become unsure."""
    certain = {c for c, share in evidence.shares.items() if share > rule.threshold}
    disturbed = [name for name in FINDINGS if evidence.null.get(name, 0.0) > rule.null_limit]
    excluded = {*contradictions(certain), *disturbed}
    stated = {change for change in certain if change.finding not in excluded}
    if rule.is_strict and disturbed:
        stated = set()
    reasons: tuple[str, ...] = ()
    named = {change.finding for change in evidence.shares}
    if relevant := [name for name in disturbed if name in named or not stated]:
        reasons += (NULL_REASON + ", ".join(relevant),)
    is_split = all(change.finding in excluded for change in certain)
    if is_split and not evidence.is_unchanged:
        reasons += (SPLIT_REASON,)
    is_decided = evidence.is_unchanged and not disturbed
    status: Status = "changed" if stated else "unchanged" if is_decided else "undecided"
    unsure = evidence.shares.keys() - stated
    return GuardedChanges(
        _ordered(stated), _ordered(unsure), dict(evidence.shares), status, reasons
    )


def _ordered(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(sorted(changes, key=lambda change: (change.kind, change)))
