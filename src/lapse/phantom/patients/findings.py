"""What is wrong with a simulated patient at each visit: a Markov chain over findings.

    present --resolve--> absent          absent --onset--> present (new instance seed)
       |__ stays: same side, zone, type and seed; sometimes another level

Every draw is counted (lapse.core.seeding): it depends on the seed, the patient, the visit and what
it
is for, never on another draw. Heart failure is a syndrome: it brings a large heart and congested
vessels, and an effusion more often than not. A blunted angle and an effusion exclude each other.
In the fine tier some looks are mimics (lapse.phantom.patients.mimicry): they go through the chain
like
findings and are told apart at its end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lapse.core.grammar import Change
from lapse.phantom.patients.catalogue import (
    BY_NAME,
    CUTS,
    HELD_OUT_COMBINATIONS,
    MIN_LEVEL_CHANGE,
    SPECS,
    Grade,
    Spec,
    Weights,
)
from lapse.phantom.patients.companions import draw_devices, draw_mimics
from lapse.phantom.patients.difficulty import LOW_LEVELS, USUAL, Difficulty
from lapse.phantom.patients.draws import Draws, Purpose
from lapse.phantom.patients.mimicry import FINE, is_mimic, mimic_of, specs_of
from lapse.phantom.patients.state import Device, Finding, Visit

LEVEL_CHANGE_RATE = 0.3
HEALTHY_SHARE = 0.35
MAX_VISITS = 16
_SYNDROME = ("cardiomegaly", "vascular congestion")
_FIRST_DAY = datetime(2110, 1, 1)


@dataclass(frozen=True, slots=True)
class DiseaseCourse:
    """How the visits of one patient are drawn.

    Attributes:
        difficulty: the setting of the simulation.
        combination: two findings that this patient has together; () for none. Nobody else has
            one of catalogue.HELD_OUT_COMBINATIONS.
    """

    difficulty: Difficulty = USUAL
    combination: tuple[str, ...] = ()


USUAL_COURSE = DiseaseCourse()


def draw_visits(
    seed: int, patient: int, count: int, *, age: int = 60, course: DiseaseCourse = USUAL_COURSE
) -> tuple[Visit, ...]:
    """The states of one patient at `count` visits, in order of time.

    `age` in years weighs the findings of old age. Equal arguments give equal visits, on every
    machine.

    Raises:
        ValueError: count is outside 1 .. 16.
    """
    if not 1 <= count <= MAX_VISITS:
        raise ValueError(f"a patient has 1 to {MAX_VISITS} visits, got {count}")
    visits: list[Visit] = []
    chain = _Chain(seed, patient, age, course)
    difficulty = course.difficulty
    looks: dict[str, Finding] = {}
    devices: dict[str, Device] = {}
    for index in range(count):
        looks = chain.looks(index, looks)
        ordered = [looks[spec.name] for spec in SPECS if spec.name in looks]
        findings = {item.name: item for item in ordered if not is_mimic(item)}
        devices = draw_devices(chain.draws, index, devices, findings, difficulty)
        mimics = [mimic_of(item) for item in ordered if is_mimic(item)]
        mimics += draw_mimics(chain.draws, index, difficulty.tier, difficulty.nuisance)
        taken = chain.taken_at(index, visits[-1].taken_at if visits else None)
        found = tuple(findings.values())
        visits.append(Visit(patient, index, taken, found, tuple(devices.values()), tuple(mimics)))
    return tuple(visits)


def new_finding(seed: int, patient: int, name: str, course: DiseaseCourse) -> Finding:
    """A finding as it would begin in this patient at the first visit."""
    chain = _Chain(seed, patient, 60, course)
    spec = next(item for item in chain.specs if item.name == name)
    return chain.begun(spec, 0)


def level_of(name: str, severity: float) -> str:
    """The word for how severe a finding is, or "" where the data set does not grade it.

    >>> level_of("pleural effusion", 0.3), level_of("edema", 0.3), level_of("hernia", 0.3)
    ('small', 'mild', '')
    """
    spec = BY_NAME.get(name)
    if spec is None:
        return ""
    step = sum(severity >= cut for cut in CUTS)
    return spec.scale[min(step, len(spec.scale) - 1)].word


def levels(visit: Visit) -> dict[str, str]:
    """Name -> level word of everything found at a visit, in the catalogue's order."""
    return {item.name: level_of(item.name, item.severity) for item in visit.findings}


def difference(before: Visit, after: Visit) -> frozenset[Change]:
    """What changed by name: findings that are added, missing, or present at another level."""
    old, new = levels(before), levels(after)
    changes = [Change(name, "added") for name in new if name not in old]
    changes += [Change(name, "missing") for name in old if name not in new]
    changes += [
        Change(name, "level", old[name], new[name])
        for name in new
        if name in old and old[name] != new[name]
    ]
    return frozenset(changes)


class _Chain:
    """The counted draws of one patient."""

    def __init__(self, seed: int, patient: int, age: int, course: DiseaseCourse) -> None:
        self.draws = Draws(seed, "phantom/visit", patient)
        self.specs = specs_of(course.difficulty.tier)
        self._course = course
        self._age_factor = min(1.8, max(0.2, (age - 25) / 35))
        self._illness = 0.3 if self.draws.chance(HEALTHY_SHARE, "healthy") else 1.35

    def looks(self, visit: int, before: dict[str, Finding]) -> dict[str, Finding]:
        """Findings of a visit, mimics of the fine tier among them, given those before."""
        now: dict[str, Finding] = {}
        for spec in self.specs:
            name, old = spec.name, before.get(spec.name)
            is_forced = "heart failure" in now and name in _SYNDROME
            if "heart failure" in now and name == "pleural effusion":
                is_forced = self.draws.chance(0.6, visit, name, "syndrome")
            is_forced = is_forced or self._is_combined(name, visit)
            if name.startswith("blunting") and "pleural effusion" in now:
                continue
            if self._is_held_out(name, {*now, *before}):
                continue
            if old is not None:
                if is_forced or not self.draws.chance(spec.resolve, visit, name, "resolve"):
                    now[name] = self._continued(spec, old, visit)
            elif is_forced or self.draws.chance(self._start(spec, visit), visit, name, "start"):
                now[name] = self.begun(spec, visit)
        return now

    def taken_at(self, visit: int, before: datetime | None) -> datetime:
        minutes = int(24 * 60 * self.draws.uniform(visit, "minute"))
        millis = int(60_000 * self.draws.uniform(visit, "millisecond"))
        clock = timedelta(minutes=minutes, milliseconds=millis)
        if before is None:
            days = int(80 * 365 * self.draws.uniform("first day"))
            return _FIRST_DAY + timedelta(days=days) + clock
        gap = round(300 ** self.draws.uniform(visit, "gap"))  # 1 .. 300 days
        return before.replace(hour=0, minute=0, second=0, microsecond=0) + (
            timedelta(days=max(1, gap)) + clock
        )

    def begun(self, spec: Spec, visit: int) -> Finding:
        def choice(weights: Weights, purpose: str) -> str:
            return self.draws.choice(weights, visit, spec.name, purpose)

        side = choice(spec.sides, "side")
        kind = choice(spec.types, "type")
        if kind == "focal" and side == "bilateral":
            kind = "multifocal"
        return Finding(
            spec.name,
            side,
            choice(spec.zones, "zone"),
            self._severity(spec.scale, visit, spec.name),
            kind,
            self.draws.instance(visit, spec.name),
            is_fine=self._course.difficulty.tier == "fine" and spec.name in FINE,
        )

    def _is_combined(self, name: str, visit: int) -> bool:
        """The tail's two findings: one from the start, both from the second visit on."""
        pair = self._course.combination
        return name in pair and (visit > 0 or name == pair[0])

    def _is_held_out(self, name: str, others: set[str]) -> bool:
        """Whether this would make a combination that only the tail may have."""
        partners = {b if name == a else a for a, b in HELD_OUT_COMBINATIONS if name in (a, b)}
        return bool((partners - {*self._course.combination}) & (others - {name}))

    def _start(self, spec: Spec, visit: int) -> float:
        is_lifetime = spec.resolve == 0.0
        rate = spec.onset if visit else spec.prevalence
        rate *= self._course.difficulty.prevalence * (self._age_factor if spec.elderly else 1.0)
        return min(0.9, rate if is_lifetime else rate * self._illness)

    def _continued(self, spec: Spec, old: Finding, visit: int) -> Finding:
        if len(spec.scale) < 2:
            return old
        if not self.draws.chance(LEVEL_CHANGE_RATE, visit, spec.name, "level change"):
            return old
        word = level_of(spec.name, old.severity)
        for attempt in range(64):
            severity = self._severity(spec.scale, visit, spec.name, attempt)
            is_far = abs(severity - old.severity) >= MIN_LEVEL_CHANGE
            if is_far and level_of(spec.name, severity) != word:
                return replace(old, severity=severity)
        return old

    def _severity(self, scale: tuple[Grade, ...], *purpose: Purpose) -> float:
        subtlety = self._course.difficulty.subtlety
        rarer = 1.0 - LOW_LEVELS * subtlety
        names = tuple(
            (str(index), grade.weight * rarer**index) for index, grade in enumerate(scale)
        )
        grade = scale[int(self.draws.choice(names, *purpose, "grade"))]
        share = self.draws.uniform(*purpose, "severity") * (1.0 - subtlety)
        return round(grade.low + share * (grade.high - grade.low), 4)
