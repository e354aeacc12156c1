"""One simulated patient before rendering: visits, exposures and pairs.

    (config, patient, role) -> anatomy, visits, acquisitions -> (reference, main) pairs

All text of a patient follows from the history without rendering an image, so experiments on text
can use tens of thousands of pairs (experiments/phantom_blind_baselines.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lapse.core.seeding import derive_index
from lapse.phantom.dataset.cohort import CohortRole
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.patients.acquisition import Acquisition, draw_acquisition
from lapse.phantom.patients.counterfactuals import draw_quadruplet
from lapse.phantom.patients.findings import DiseaseCourse, draw_visits
from lapse.phantom.patients.ood_splits import ood_acquisition, ood_anatomy, ood_combination
from lapse.phantom.patients.patient import ANATOMIES, DETAILS, Patient, draw_patient
from lapse.phantom.patients.portable import is_portable, make_portable
from lapse.phantom.patients.state import Visit
from lapse.phantom.text.questions import visit_pairs


@dataclass(frozen=True, slots=True)
class Exposure:
    """One visit and the acquisition of its image; `cell` is "A1" .. "B2" in a quadruplet."""

    visit: Visit
    acquisition: Acquisition
    cell: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """A patient with all exposures in chronological order."""

    patient: int
    role: CohortRole
    person: Patient
    exposures: tuple[Exposure, ...]

    @property
    def pairs(self) -> list[tuple[Exposure, Exposure]]:
        """The (reference, main) pairs with questions."""
        visits = tuple(item.visit for item in self.exposures)
        return [
            (self.exposures[reference.index], self.exposures[main.index])
            for reference, main in visit_pairs(visits)
        ]


def draw_history(config: SimulateConfig, patient: int, role: CohortRole) -> History:
    """Sample the history of a patient; equal arguments give equal histories."""
    seed = config.seed
    person = draw_person(seed, patient, role.ood, patient_anatomy(config, patient))
    combination = ood_combination(seed, patient) if role.ood == "combination" else ()
    course = DiseaseCourse(config.difficulty(role.tier), combination)
    if role.is_counterfactual:
        quadruplet = draw_quadruplet(seed, patient, age=person.age, course=course)
        if quadruplet is not None:
            exposures = tuple(
                # both states of a half share one acquisition
                Exposure(visit, _acquisition(config, patient, int(cell[1]) - 1, role), cell)
                for visit, cell in quadruplet
            )
            return History(patient, role, person, exposures)
    low, high = config.visits
    count = low + derive_index(high - low + 1, seed, "phantom/visits", patient)
    exposures = tuple(
        Exposure(visit, _acquisition(config, patient, visit.index, role, visit.illness))
        for visit in draw_visits(seed, patient, count, age=person.age, course=course)
    )
    return History(patient, role, person, exposures)


def patient_anatomy(config: SimulateConfig, patient: int) -> str:
    """The anatomy of a patient, "plain" or "detailed"."""
    if config.anatomy != "mixed":
        return config.anatomy
    return ANATOMIES[derive_index(2, config.seed, "phantom/details", patient)]


def draw_person(seed: int, patient: int, ood: str, anatomy: str = "plain") -> Patient:
    """The anatomy of a patient of an OOD group, "" for an in-distribution patient."""
    person = draw_patient(seed, patient)
    if anatomy == "detailed":
        person = replace(person, details=DETAILS)
    return ood_anatomy(person, seed) if ood == "anatomy" else person


def _acquisition(
    config: SimulateConfig, patient: int, visit: int, role: CohortRole, illness: float = 0.0
) -> Acquisition:
    """`illness` has an effect through `confound` only, and none in a quadruplet."""
    exposure, fraction = (config.seed, patient, visit), config.portable_fraction
    confound = 0.0 if role.is_counterfactual else config.confound
    acquisition = draw_acquisition(
        *exposure, 0, illness=illness, nuisance=config.nuisance, confound=confound
    )
    if fraction > 0.0 and is_portable(fraction, exposure, illness=illness, confound=confound):
        acquisition = make_portable(acquisition, config.nuisance, exposure)
    if role.ood == "acquisition":
        key = (config.seed, "phantom/tail", patient, visit)
        return ood_acquisition(acquisition, config.nuisance, key)
    return acquisition
