"""One simulated patient before anything is drawn: visits, exposures and pairs. Cheap.

    (config, patient, role) -> person, visits, acquisitions -> (reference, main) pairs

Everything that a patient's files say follows from here by words alone, so that tens of thousands
of pairs can be studied without rendering one image (experiments/phantom_blind_rows.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from lapse.core.seeding import derive_index
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.roles import Role
from lapse.phantom.patients.acquisition import Acquisition, draw_acquisition
from lapse.phantom.patients.findings import DiseaseCourse, draw_visits
from lapse.phantom.patients.patient import Patient, draw_patient
from lapse.phantom.patients.quads import draw_quad
from lapse.phantom.patients.state import Visit
from lapse.phantom.patients.tails import unseen_acquisition, unseen_anatomy, unseen_combination
from lapse.phantom.text.questions import visit_pairs


@dataclass(frozen=True, slots=True)
class Exposure:
    """One visit and how its image is taken; `place` is "A1" .. "B2" in a quad, else ""."""

    visit: Visit
    acquisition: Acquisition
    place: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """A patient with all exposures in order of time."""

    patient: int
    role: Role
    person: Patient
    exposures: tuple[Exposure, ...]

    @property
    def pairs(self) -> list[tuple[Exposure, Exposure]]:
        """(reference, main) pairs that are asked about."""
        visits = tuple(item.visit for item in self.exposures)
        return [
            (self.exposures[reference.index], self.exposures[main.index])
            for reference, main in visit_pairs(visits)
        ]


def draw_history(config: SimulateConfig, patient: int, role: Role) -> History:
    """The patient of this number in this role; equal arguments give equal histories."""
    seed = config.seed
    person = draw_person(seed, patient, role.tail)
    combination = unseen_combination(seed, patient) if role.tail == "combination" else ()
    course = DiseaseCourse(config.difficulty(role.tier), combination)
    placed = draw_quad(seed, patient, age=person.age, course=course) if role.is_quad else None
    if placed is not None:
        exposures = tuple(
            # the acquisition of the half: two states are seen by one and the same exposure
            Exposure(visit, _acquisition(config, patient, int(place[1]) - 1, role), place)
            for visit, place in placed
        )
        return History(patient, role, person, exposures)
    low, high = config.visits
    count = low + derive_index(high - low + 1, seed, "phantom/visits", patient)
    visits = draw_visits(seed, patient, count, age=person.age, course=course)
    return History(
        patient,
        role,
        person,
        tuple(
            Exposure(one, _acquisition(config, patient, one.index, role, one.illness))
            for one in visits
        ),
    )


def draw_person(seed: int, patient: int, tail: str) -> Patient:
    """The anatomy of a patient in a tail, "" for an ordinary patient."""
    person = draw_patient(seed, patient)
    return unseen_anatomy(person, seed) if tail == "anatomy" else person


def _acquisition(
    config: SimulateConfig, patient: int, visit: int, role: Role, illness: float = 0.0
) -> Acquisition:
    """`illness` matters by `confound` alone; for a quad neither does."""
    shot = draw_acquisition(
        config.seed,
        patient,
        visit,
        0,
        illness=illness,
        nuisance=config.nuisance,
        confound=0.0 if role.is_quad else config.confound,
    )
    if role.tail == "acquisition":
        key = (config.seed, "phantom/tail", patient, visit)
        return unseen_acquisition(shot, config.nuisance, key)
    return shot
