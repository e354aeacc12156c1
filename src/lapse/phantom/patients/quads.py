"""Counterfactual quads: two finding states x two acquisitions of one patient.

    in order of time    A1  B1 | A2  B2        (each half in random order)
                          acquisition 1 | acquisition 2

    across the halves   A1 A2   B1 B2    the same state   -> nothing has changed
                        A1 B2   B1 A2    another state    -> the change, and its inverse
    within a half       A1 B1   A2 B2    another state, the same exposure to the noise

All four images show one anatomy, and devices and chance mimics go with the acquisition. Of the
four pairs across, each image stands in one changed and one unchanged pair: nothing that is read
from the main image alone, the reference alone, the acquisition or the anatomy says whether there
is a change. In the fine tier the two states differ by one look that is the finding in one and
its mimic in the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lapse.core.seeding import derive_index
from lapse.phantom.patients.catalogue import SPECS
from lapse.phantom.patients.findings import DiseaseCourse, difference, draw_visits, new_finding
from lapse.phantom.patients.mimicry import FINE, MIMIC_OF, mimic_of
from lapse.phantom.patients.state import Finding, Mimic, Visit

NUM_BASES = 8  # visits among which two states that differ are looked for
KINDS = ("", "nuisance", "state", "both")  # of a pair: what differs; "" outside quads


@dataclass(frozen=True, slots=True)
class _State:
    """What differs between A and B: findings, and the mimics that are looks of the fine tier."""

    findings: tuple[Finding, ...]
    looks: tuple[Mimic, ...]


def draw_quad(
    seed: int, patient: int, *, age: int, course: DiseaseCourse
) -> tuple[tuple[Visit, str], ...] | None:
    """Four visits with their places "A1" .. "B2", or None where no two states differ.

    `course` gives the tier and the rates; its confound is not used, as acquisition and devices
    must say nothing here.
    """
    course = replace(course, difficulty=replace(course.difficulty, confound=0.0))
    bases = draw_visits(seed, patient, NUM_BASES, age=age, course=course)
    states = _states(seed, patient, bases, course)
    if states is None:
        return None
    placed = []
    for index in range(4):
        half = index // 2
        is_flipped = derive_index(2, seed, "phantom/quad", patient, half)
        which = (index + is_flipped) % 2
        exposed, state = bases[half], states[which]
        _, chance = _split(exposed, course)
        visit = replace(
            exposed,
            index=index,
            taken_at=bases[index].taken_at,
            findings=state.findings,
            mimics=(*state.looks, *chance),
        )
        placed.append((visit, f"{'AB'[which]}{half + 1}"))
    return tuple(placed)


def pair_kind(reference: str, main: str) -> str:
    """What differs between two places of a quad: one of KINDS.

    >>> pair_kind("A1", "A2"), pair_kind("A1", "B1"), pair_kind("A1", "B2"), pair_kind("", "")
    ('nuisance', 'state', 'both', '')
    """
    if not reference or not main:
        return ""
    if reference[0] == main[0]:
        return "nuisance"
    return "state" if reference[1] == main[1] else "both"


def _states(
    seed: int, patient: int, bases: tuple[Visit, ...], course: DiseaseCourse
) -> tuple[_State, _State] | None:
    first = bases[0]
    looks, _ = _split(first, course)
    if course.difficulty.tier == "fine" and course.difficulty.prevalence > 0:
        return _told_by_the_cue(seed, patient, _State(first.findings, looks), course)
    for other in bases[1:]:
        if difference(first, other):
            return _State(first.findings, looks), _State(other.findings, _split(other, course)[0])
    return None


def _told_by_the_cue(
    seed: int, patient: int, state: _State, course: DiseaseCourse
) -> tuple[_State, _State]:
    """One look, the finding in A and its mimic in B, where all else is equal."""
    name = FINE[derive_index(len(FINE), seed, "phantom/quad", patient, "look")]
    fine = new_finding(seed, patient, name, course)
    order = [spec.name for spec in SPECS]
    others = tuple(item for item in state.findings if item.name != name)
    looks = tuple(item for item in state.looks if item.like != name)
    findings = sorted((*others, fine), key=lambda item: order.index(item.name))
    return _State(tuple(findings), looks), _State(others, (*looks, mimic_of(fine)))


def _split(visit: Visit, course: DiseaseCourse) -> tuple[tuple[Mimic, ...], tuple[Mimic, ...]]:
    """The mimics of a visit: those that are looks, and those that come with the exposure."""
    names = set(MIMIC_OF.values()) if course.difficulty.tier == "fine" else set()
    looks = tuple(item for item in visit.mimics if item.name in names)
    return looks, tuple(item for item in visit.mimics if item.name not in names)
