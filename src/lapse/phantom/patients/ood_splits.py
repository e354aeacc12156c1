"""Out-of-distribution (OOD) groups of test patients: shifts that no training patient has.

anatomy       a chest outside the range of lapse.phantom.patients.patient: heavier, more scoliotic,
              or narrower and longer
acquisition   larger rotation and smaller source distance than in lapse.phantom.patients.acquisition
combination   two findings together that no other patient has (catalogue.HELD_OUT_COMBINATIONS)
paraphrase    reports in wordings that no other report uses (lapse.phantom.text.phrases)
"""

from __future__ import annotations

from dataclasses import replace

from lapse.core.seeding import derive_index, derive_uniform
from lapse.phantom.patients.acquisition import MAX_ROTATION, Acquisition
from lapse.phantom.patients.catalogue import HELD_OUT_COMBINATIONS
from lapse.phantom.patients.patient import Patient

OOD_KINDS = ("anatomy", "acquisition", "combination", "paraphrase")
ANATOMIES = ("heavy", "bent", "narrow")


def ood_anatomy(person: Patient, seed: int) -> Patient:
    """The same patient with one trait outside the range of all other patients."""
    key = (seed, "phantom/tail", person.index)
    kind = ANATOMIES[derive_index(len(ANATOMIES), *key, "anatomy")]
    amount = derive_uniform(*key, "how much")
    if kind == "heavy":
        return replace(person, bmi=40.5 + 3.5 * amount)
    if kind == "bent":
        sign = 1.0 if derive_uniform(*key, "sign") < 0.5 else -1.0
        return replace(person, scoliosis=sign * (6.5 + 4.5 * amount))
    return replace(person, width=0.79 - 0.03 * amount, height=1.16 + 0.04 * amount)


def ood_acquisition(
    acquisition: Acquisition, nuisance: float, key: tuple[str | int, ...]
) -> Acquisition:
    """The same exposure with a rotation beyond the usual limit and a nearer source."""
    sign = 1.0 if derive_uniform(*key, "sign") < 0.5 else -1.0
    rotation = MAX_ROTATION * nuisance + 1.0 + 4.0 * derive_uniform(*key, "turn")
    near = derive_uniform(*key, "near")
    distance = 850.0 + 120.0 * near if acquisition.view == "AP" else 1500.0 + 200.0 * near
    return replace(acquisition, rotation=sign * rotation, source_distance=distance)


def ood_combination(seed: int, patient: int) -> tuple[str, ...]:
    """The two findings that a patient of the group "combination" has together."""
    count = len(HELD_OUT_COMBINATIONS)
    return HELD_OUT_COMBINATIONS[derive_index(count, seed, "phantom/tail", patient, "pair")]
