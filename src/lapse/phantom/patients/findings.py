"""The findings of a simulated patient at each visit: a Markov chain.

    present --resolve--> absent          absent --onset--> present (new instance seed)
       |__ persists: same side, zone, type and seed; the level may change

Every draw is stateless (lapse.core.seeding): it depends on the seed, the patient, the visit and
its purpose, never on another draw. Heart failure is a syndrome: it causes cardiomegaly, vascular
congestion and often a pleural effusion. A blunted costophrenic angle and an effusion exclude each
other. In the fine tier, mimics pass through the chain like findings and are separated at its end
(lapse.phantom.patients.mimics).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from lapse.core.changes import Change
from lapse.phantom.patients.catalogue import (
    CUTS,
    FINDING_SPECS,
    HELD_OUT_COMBINATIONS,
    MIN_LEVEL_CHANGE,
    SPEC_BY_NAME,
    Grade,
    Spec,
    Weights,
)
from lapse.phantom.patients.devices_and_mimics import draw_devices, draw_mimics
from lapse.phantom.patients.difficulty import LEVEL_DECAY, Difficulty
from lapse.phantom.patients.draws import Draws, Purpose
from lapse.phantom.patients.mimics import FINE_FINDINGS, is_mimic, mimic_of, tier_specs
from lapse.phantom.patients.state import Device, Finding, Visit

LEVEL_CHANGE_RATE = 0.3
HEALTHY_FRACTION = 0.35
MAX_VISITS = 16
_PROGRESSIONS = {
    **{"": "", "same": "stable"},
    **dict.fromkeys(("new", "more"), "worsening"),
    **dict.fromkeys(("gone", "less"), "improving"),
}
_SYNDROME = ("cardiomegaly", "vascular congestion")
_FIRST_DAY = datetime(2110, 1, 1)


@dataclass(frozen=True, slots=True)
class DiseaseCourse:
    """How the visits of one patient are sampled.

    Attributes:
        combination: two findings that this patient has together, () for none. No other patient
            has one of catalogue.HELD_OUT_COMBINATIONS.
    """

    difficulty: Difficulty = field(default_factory=Difficulty)
    combination: tuple[str, ...] = ()


DEFAULT_COURSE = DiseaseCourse()


def draw_visits(
    seed: int, patient: int, count: int, *, age: int = 60, course: DiseaseCourse = DEFAULT_COURSE
) -> tuple[Visit, ...]:
    """The states of one patient at `count` visits, in chronological order.

    `age` in years scales the rates of degenerative findings. Equal arguments give equal visits on
    every machine.

    Raises:
        ValueError: count is outside 1 .. 16.
    """
    if not 1 <= count <= MAX_VISITS:
        raise ValueError(f"a patient has 1 to {MAX_VISITS} visits, got {count}")
    visits: list[Visit] = []
    chain = _FindingChain(seed, patient, age, course)
    difficulty = course.difficulty
    state: dict[str, Finding] = {}
    devices: dict[str, Device] = {}
    for index in range(count):
        state = chain.step(index, state)
        ordered = [state[spec.name] for spec in FINDING_SPECS if spec.name in state]
        findings = {item.name: item for item in ordered if not is_mimic(item)}
        devices = draw_devices(chain.draws, index, devices, findings, difficulty)
        mimics = [mimic_of(item) for item in ordered if is_mimic(item)]
        mimics += draw_mimics(chain.draws, index, difficulty.tier, difficulty.nuisance)
        taken_at = chain.taken_at(index, visits[-1].taken_at if visits else None)
        shown = tuple(findings.values()), tuple(devices.values()), tuple(mimics)
        visits.append(Visit(patient, index, taken_at, *shown))
    return tuple(visits)


def new_finding(seed: int, patient: int, name: str, course: DiseaseCourse) -> Finding:
    """A finding as it would begin in this patient at the first visit."""
    chain = _FindingChain(seed, patient, 60, course)
    spec = next(item for item in chain.specs if item.name == name)
    return chain.onset(spec, 0)


def level_of(name: str, severity: float) -> str:
    """The level word for a severity, or "" where the data set does not grade the finding.

    >>> level_of("pleural effusion", 0.3), level_of("edema", 0.3), level_of("hernia", 0.3)
    ('small', 'mild', '')
    """
    spec = SPEC_BY_NAME.get(name)
    if spec is None:
        return ""
    step = sum(severity >= cut for cut in CUTS)
    return spec.scale[min(step, len(spec.scale) - 1)].word


def levels(visit: Visit) -> dict[str, str]:
    """Name -> level word of every finding at a visit, in the order of the catalogue."""
    return {item.name: level_of(item.name, item.severity) for item in visit.findings}


def trend(old: Finding | None, new: Finding | None) -> str:
    """How a finding differs from itself at another visit: "new", "gone", "same", "more", "less".

    "" if neither visit has it.
    """
    if old is None or new is None:
        return "gone" if old else "new" if new else ""
    if level_of(old.name, old.severity) == level_of(new.name, new.severity):
        return "same"
    return "more" if new.severity > old.severity else "less"


def progression(before: Visit, after: Visit, name: str) -> str:
    """Whether a finding is "improving", "stable" or "worsening"; "" if neither visit has it."""
    old, new = (
        next((item for item in visit.findings if item.name == name), None)
        for visit in (before, after)
    )
    return _PROGRESSIONS[trend(old, new)]


def difference(before: Visit, after: Visit) -> frozenset[Change]:
    """The changes between two visits: findings added, missing, or present at another level."""
    old, new = levels(before), levels(after)
    changes = [Change(name, "added") for name in new if name not in old]
    changes += [Change(name, "missing") for name in old if name not in new]
    changes += [
        Change(name, "level", old[name], new[name])
        for name in new
        if name in old and old[name] != new[name]
    ]
    return frozenset(changes)


class _FindingChain:
    """The Markov chain of one patient."""

    def __init__(self, seed: int, patient: int, age: int, course: DiseaseCourse) -> None:
        self.draws = Draws(seed, "phantom/visit", patient)
        self.specs = tier_specs(course.difficulty.tier)
        self._course = course
        self._age_factor = min(1.8, max(0.2, (age - 25) / 35))
        self._illness = 0.3 if self.draws.chance(HEALTHY_FRACTION, "healthy") else 1.35

    def step(self, visit: int, previous: dict[str, Finding]) -> dict[str, Finding]:
        """The findings at a visit (in the fine tier with mimics), given the previous ones."""
        current: dict[str, Finding] = {}
        for spec in self.specs:
            name, old = spec.name, previous.get(spec.name)
            is_forced = "heart failure" in current and name in _SYNDROME
            if "heart failure" in current and name == "pleural effusion":
                is_forced = self.draws.chance(0.6, visit, name, "syndrome")
            is_forced = is_forced or self._is_in_combination(name, visit)
            if name.startswith("blunting") and "pleural effusion" in current:
                continue
            if self._is_held_out(name, {*current, *previous}):
                continue
            if old is not None:
                if is_forced or not self.draws.chance(spec.resolve, visit, name, "resolve"):
                    current[name] = self._persist(spec, old, visit)
            elif is_forced or self.draws.chance(
                self._onset_rate(spec, visit), visit, name, "start"
            ):
                current[name] = self.onset(spec, visit)
        return current

    def taken_at(self, visit: int, previous: datetime | None) -> datetime:
        minutes = int(24 * 60 * self.draws.uniform(visit, "minute"))
        millis = int(60_000 * self.draws.uniform(visit, "millisecond"))
        clock = timedelta(minutes=minutes, milliseconds=millis)
        if previous is None:
            days = int(80 * 365 * self.draws.uniform("first day"))
            return _FIRST_DAY + timedelta(days=days) + clock
        days = max(1, round(300 ** self.draws.uniform(visit, "gap")))  # 1 .. 300 days
        midnight = previous.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(days=days) + clock

    def onset(self, spec: Spec, visit: int) -> Finding:
        """A new instance of a finding."""

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
            self.draws.instance_seed(visit, spec.name),
            is_fine=self._course.difficulty.tier == "fine" and spec.name in FINE_FINDINGS,
        )

    def _is_in_combination(self, name: str, visit: int) -> bool:
        """Whether the held-out combination needs this finding: the first one from the start, both
        from the second visit."""
        pair = self._course.combination
        return name in pair and (visit > 0 or name == pair[0])

    def _is_held_out(self, name: str, others: set[str]) -> bool:
        """Whether this finding would complete a combination that is held out for other patients."""
        partners = {b if name == a else a for a, b in HELD_OUT_COMBINATIONS if name in (a, b)}
        return bool((partners - {*self._course.combination}) & (others - {name}))

    def _onset_rate(self, spec: Spec, visit: int) -> float:
        is_lifelong = spec.resolve == 0.0
        rate = spec.onset if visit else spec.prevalence
        rate *= self._course.difficulty.prevalence * (self._age_factor if spec.elderly else 1.0)
        return min(0.9, rate if is_lifelong else rate * self._illness)

    def _persist(self, spec: Spec, old: Finding, visit: int) -> Finding:
        if len(spec.scale) < 2:
            return old
        if not self.draws.chance(LEVEL_CHANGE_RATE, visit, spec.name, "level change"):
            return old
        old_level = level_of(spec.name, old.severity)
        for attempt in range(64):
            severity = self._severity(spec.scale, visit, spec.name, attempt)
            is_visible = abs(severity - old.severity) >= MIN_LEVEL_CHANGE
            if is_visible and level_of(spec.name, severity) != old_level:
                return replace(old, severity=severity)
        return old

    def _severity(self, scale: tuple[Grade, ...], *purpose: Purpose) -> float:
        subtlety = self._course.difficulty.subtlety
        decay = 1.0 - LEVEL_DECAY * subtlety
        weights = tuple(
            (str(index), grade.weight * decay**index) for index, grade in enumerate(scale)
        )
        grade = scale[int(self.draws.choice(weights, *purpose, "grade"))]
        fraction = self.draws.uniform(*purpose, "severity") * (1.0 - subtlety)
        return round(grade.low + fraction * (grade.high - grade.low), 4)
