"""Held-out tails: test patients of a kind that no training patient is.

anatomy       a chest outside the range of lapse.phantom.patients.patient: heavier, more bent, or
              narrower and longer
acquisition   turned further and taken from nearer than lapse.phantom.patients.acquisition ever does
combination   two findings together that nobody else has (catalogue.HELD_OUT_COMBINATIONS)
paraphrase    reports in wordings that no other report uses (phrases, `is_unseen`)
"""

from __future__ import annotations

from dataclasses import replace

from lapse.core.seeding import derive_index, derive_uniform
from lapse.phantom.patients.acquisition import MAX_TURN, Acquisition
from lapse.phantom.patients.catalogue import HELD_OUT_COMBINATIONS
from lapse.phantom.patients.patient import Patient

ANATOMIES = ("heavy", "bent", "narrow")


def unseen_anatomy(person: Patient, seed: int) -> Patient:
    """The same person with one trait outside the range of all other patients."""
    key = (seed, "phantom/tail", person.index)
    kind = ANATOMIES[derive_index(len(ANATOMIES), *key, "anatomy")]
    share = derive_uniform(*key, "how much")
    if kind == "heavy":
        return replace(person, bmi=40.5 + 3.5 * share)
    if kind == "bent":
        sign = 1.0 if derive_uniform(*key, "sign") < 0.5 else -1.0
        return replace(person, scoliosis=sign * (6.5 + 4.5 * share))
    return replace(person, width=0.79 - 0.03 * share, height=1.16 + 0.04 * share)


def unseen_acquisition(
    shot: Acquisition, nuisance: float, key: tuple[str | int, ...]
) -> Acquisition:
    """The same exposure, turned past the limit of the others and from a nearer source."""
    sign = 1.0 if derive_uniform(*key, "sign") < 0.5 else -1.0
    turn = MAX_TURN * nuisance + 1.0 + 4.0 * derive_uniform(*key, "turn")
    near = derive_uniform(*key, "near")
    distance = 850.0 + 120.0 * near if shot.view == "AP" else 1500.0 + 200.0 * near
    return replace(shot, rotation=sign * turn, source_distance=distance)


def unseen_combination(seed: int, patient: int) -> tuple[str, ...]:
    """Which two findings this patient of the tail has together."""
    count = len(HELD_OUT_COMBINATIONS)
    return HELD_OUT_COMBINATIONS[derive_index(count, seed, "phantom/tail", patient, "pair")]
