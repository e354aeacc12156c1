"""What is wrong with a simulated patient at each visit: a Markov chain over findings.

    present --resolve--> absent          absent --onset--> present (new instance seed)
       |__ stays: same side, zone, type and seed; sometimes another level

Every draw is counted (lapse.counted): it depends on the seed, the patient, the visit and what it
is for, never on another draw. Heart failure is a syndrome: it brings a large heart and congested
vessels, and an effusion more often than not. A blunted angle and an effusion exclude each other.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from lapse.counted import counted_seed, counted_uniform
from lapse.grammar import Change
from lapse.phantom.catalogue import (
    BY_NAME,
    CUTS,
    DEVICES,
    MIN_LEVEL_CHANGE,
    SPECS,
    Grade,
    Spec,
    Weights,
)
from lapse.phantom.state import Device, Finding, Visit

LEVEL_CHANGE_RATE = 0.3
HEALTHY_SHARE = 0.35
MAX_VISITS = 16
_SYNDROME = ("cardiomegaly", "vascular congestion")
_FIRST_DAY = datetime(2110, 1, 1)


def draw_visits(
    seed: int, patient: int, count: int, *, age: int = 60, prevalence: float = 1.0
) -> tuple[Visit, ...]:
    """The states of one patient at `count` visits, in order of time.

    `age` in years weighs the findings of old age; `prevalence` multiplies how often findings
    begin (0: nobody is ever ill). Equal arguments give equal visits, on every machine.

    Raises:
        ValueError: count is outside 1 .. 16 or prevalence is negative.
    """
    if not 1 <= count <= MAX_VISITS:
        raise ValueError(f"a patient has 1 to {MAX_VISITS} visits, got {count}")
    if prevalence < 0:
        raise ValueError(f"prevalence {prevalence} is negative: use 0 for healthy patients")
    visits: list[Visit] = []
    chain = _Chain(seed, patient, age, prevalence)
    findings: dict[str, Finding] = {}
    devices: dict[str, Device] = {}
    for index in range(count):
        findings = chain.findings(index, findings)
        devices = chain.devices(index, devices, findings)
        ordered = tuple(findings[spec.name] for spec in SPECS if spec.name in findings)
        taken = chain.taken_at(index, visits[-1].taken_at if visits else None)
        visits.append(Visit(patient, index, taken, ordered, tuple(devices.values())))
    return tuple(visits)


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

    def __init__(self, seed: int, patient: int, age: int, prevalence: float) -> None:
        self._key = (seed, "phantom/visit", patient)
        self._age_factor = min(1.8, max(0.2, (age - 25) / 35))
        is_healthy = counted_uniform(*self._key, "healthy") < HEALTHY_SHARE
        self._illness = 0.3 if is_healthy else 1.35
        self._prevalence = prevalence

    def findings(self, visit: int, before: dict[str, Finding]) -> dict[str, Finding]:
        now: dict[str, Finding] = {}
        for spec in SPECS:
            old = before.get(spec.name)
            is_forced = "heart failure" in now and spec.name in _SYNDROME
            if "heart failure" in now and spec.name == "pleural effusion":
                is_forced = self._chance(0.6, visit, spec.name, "syndrome")
            if spec.name.startswith("blunting") and "pleural effusion" in now:
                continue
            if old is not None:
                if is_forced or not self._chance(spec.resolve, visit, spec.name, "resolve"):
                    now[spec.name] = self._continued(spec, old, visit)
            elif is_forced or self._chance(self._start(spec, visit), visit, spec.name, "start"):
                now[spec.name] = self._begun(spec, visit)
        return now

    def devices(
        self, visit: int, before: dict[str, Device], findings: dict[str, Finding]
    ) -> dict[str, Device]:
        now: dict[str, Device] = {}
        sickness = max((item.severity for item in findings.values()), default=0.0)
        for spec in DEVICES:
            if spec.name in before:
                if not self._chance(spec.removal, visit, spec.name, "removal"):
                    now[spec.name] = before[spec.name]
                continue
            rate = (spec.onset if visit else spec.prevalence) * (0.3 + 1.4 * sickness)
            side = self._choice(spec.sides, visit, spec.name, "side")
            if spec.name == "chest tube":
                drained = findings.get("pneumothorax") or findings.get("pleural effusion")
                rate = 5 * rate if drained else 0.0
                side = drained.side if drained and drained.side != "bilateral" else side
            rate *= self._prevalence
            if self._chance(rate, visit, spec.name, "start"):
                now[spec.name] = Device(spec.name, side, self._seed(visit, spec.name))
        return now

    def taken_at(self, visit: int, before: datetime | None) -> datetime:
        minutes = int(24 * 60 * counted_uniform(*self._key, visit, "minute"))
        millis = int(60_000 * counted_uniform(*self._key, visit, "millisecond"))
        clock = timedelta(minutes=minutes, milliseconds=millis)
        if before is None:
            days = int(80 * 365 * counted_uniform(*self._key, "first day"))
            return _FIRST_DAY + timedelta(days=days) + clock
        gap = round(300 ** counted_uniform(*self._key, visit, "gap"))  # 1 .. 300 days
        return before.replace(hour=0, minute=0, second=0, microsecond=0) + (
            timedelta(days=max(1, gap)) + clock
        )

    def _start(self, spec: Spec, visit: int) -> float:
        is_lifetime = spec.resolve == 0.0
        rate = spec.onset if visit else spec.prevalence
        rate *= self._prevalence * (self._age_factor if spec.elderly else 1.0)
        return min(0.9, rate if is_lifetime else rate * self._illness)

    def _begun(self, spec: Spec, visit: int) -> Finding:
        def choice(weights: Weights, purpose: str) -> str:
            return self._choice(weights, visit, spec.name, purpose)

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
            self._seed(visit, spec.name),
        )

    def _continued(self, spec: Spec, old: Finding, visit: int) -> Finding:
        graded = len(spec.scale) > 1
        if not graded or not self._chance(LEVEL_CHANGE_RATE, visit, spec.name, "level change"):
            return old
        word = level_of(spec.name, old.severity)
        for attempt in range(64):
            severity = self._severity(spec.scale, visit, spec.name, attempt)
            is_far = abs(severity - old.severity) >= MIN_LEVEL_CHANGE
            if is_far and level_of(spec.name, severity) != word:
                return Finding(old.name, old.side, old.zone, severity, old.type, old.seed)
        return old

    def _severity(self, scale: tuple[Grade, ...], *purpose: str | int) -> float:
        names = tuple((str(index), grade.weight) for index, grade in enumerate(scale))
        grade = scale[int(self._choice(names, *purpose, "grade"))]
        share = counted_uniform(*self._key, *purpose, "severity")
        return round(grade.low + share * (grade.high - grade.low), 4)

    def _chance(self, probability: float, *purpose: str | int) -> bool:
        return counted_uniform(*self._key, *purpose) < probability

    def _choice(self, weights: Weights, *purpose: str | int) -> str:
        mark = counted_uniform(*self._key, *purpose) * sum(weight for _, weight in weights)
        for word, weight in weights:
            mark -= weight
            if mark < 0:
                return word
        return weights[-1][0]

    def _seed(self, visit: int, name: str) -> int:
        return counted_seed(*self._key, visit, name, "instance") >> 1  # fits a signed 64-bit
