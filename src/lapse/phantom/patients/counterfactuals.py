"""Counterfactual quadruplets: two finding states x two acquisitions of one patient.

    in order of time    A1  B1 | A2  B2        (each half in random order)
                          acquisition 1 | acquisition 2

    across the halves   A1 A2   B1 B2    the same state    -> nothing has changed
                        A1 B2   B1 A2    different states  -> the change, and its inverse
    within a half       A1 B1   A2 B2    different states, the same exposure up to noise

All four images show the same anatomy; devices and random mimics belong to the acquisition. Of the
four pairs across the halves, each image is part of one changed and one unchanged pair. So neither
image alone, nor the acquisition, nor the anatomy predicts whether there is a change. In the fine
tier the two states differ in one instance, which is a finding in A and its mimic in B.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lapse.core.seeding import derive_index
from lapse.phantom.patients.catalogue import FINDING_SPECS
from lapse.phantom.patients.findings import DiseaseCourse, difference, draw_visits, new_finding
from lapse.phantom.patients.mimics import FINE_FINDINGS, MIMIC_OF, mimic_of
from lapse.phantom.patients.state import Finding, Mimic, Visit

NUM_CANDIDATES = 8  # visits that are searched for two different states
PAIR_KINDS = ("", "nuisance", "state", "both")  # what differs; "" outside of quadruplets


@dataclass(frozen=True, slots=True)
class _State:
    """What differs between A and B: findings, and the mimics of fine findings."""

    findings: tuple[Finding, ...]
    mimics: tuple[Mimic, ...]


def draw_quadruplet(
    seed: int, patient: int, *, age: int, course: DiseaseCourse
) -> tuple[tuple[Visit, str], ...] | None:
    """Four visits with their cells "A1" .. "B2", or None if no two states differ.

    `course` gives the tier and the rates. Its confound is ignored, because acquisition and devices
    must be independent of the state.
    """
    course = replace(course, difficulty=replace(course.difficulty, confound=0.0))
    candidates = draw_visits(seed, patient, NUM_CANDIDATES, age=age, course=course)
    states = _two_states(seed, patient, candidates, course)
    if states is None:
        return None
    quadruplet = []
    for index in range(4):
        half = index // 2
        is_flipped = derive_index(2, seed, "phantom/quad", patient, half)
        which = (index + is_flipped) % 2
        exposed, state = candidates[half], states[which]
        _, exposure_mimics = _split_mimics(exposed, course)
        visit = replace(
            exposed,
            index=index,
            taken_at=candidates[index].taken_at,
            findings=state.findings,
            mimics=(*state.mimics, *exposure_mimics),
        )
        quadruplet.append((visit, f"{'AB'[which]}{half + 1}"))
    return tuple(quadruplet)


def pair_kind(reference: str, main: str) -> str:
    """What differs between two cells of a quadruplet: one of PAIR_KINDS.

    >>> pair_kind("A1", "A2"), pair_kind("A1", "B1"), pair_kind("A1", "B2"), pair_kind("", "")
    ('nuisance', 'state', 'both', '')
    """
    if not reference or not main:
        return ""
    if reference[0] == main[0]:
        return "nuisance"
    return "state" if reference[1] == main[1] else "both"


def _two_states(
    seed: int, patient: int, candidates: tuple[Visit, ...], course: DiseaseCourse
) -> tuple[_State, _State] | None:
    first = candidates[0]
    state = _State(first.findings, _split_mimics(first, course)[0])
    if course.difficulty.tier == "fine" and course.difficulty.prevalence > 0:
        return _finding_and_mimic(seed, patient, state, course)
    for other in candidates[1:]:
        if difference(first, other):
            return state, _State(other.findings, _split_mimics(other, course)[0])
    return None


def _finding_and_mimic(
    seed: int, patient: int, state: _State, course: DiseaseCourse
) -> tuple[_State, _State]:
    """The state with a fine finding (A) and the same state with its mimic instead (B)."""
    name = FINE_FINDINGS[derive_index(len(FINE_FINDINGS), seed, "phantom/quad", patient, "look")]
    fine = new_finding(seed, patient, name, course)
    order = [spec.name for spec in FINDING_SPECS]
    others = tuple(item for item in state.findings if item.name != name)
    mimics = tuple(item for item in state.mimics if item.like != name)
    findings = sorted((*others, fine), key=lambda item: order.index(item.name))
    return _State(tuple(findings), mimics), _State(others, (*mimics, mimic_of(fine)))


def _split_mimics(
    visit: Visit, course: DiseaseCourse
) -> tuple[tuple[Mimic, ...], tuple[Mimic, ...]]:
    """The mimics of fine findings, and those that occur with the exposure."""
    names = set(MIMIC_OF.values()) if course.difficulty.tier == "fine" else set()
    fine = tuple(item for item in visit.mimics if item.name in names)
    return fine, tuple(item for item in visit.mimics if item.name not in names)
