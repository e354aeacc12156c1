"""Stateless random draws of one patient: each is a function of its purpose.

`Draws` prefixes every key of `lapse.core.seeding` with the key of the patient, so draws are
independent of their order and two visits never share one.
"""

from __future__ import annotations

from lapse.core.seeding import derive_seed, derive_uniform
from lapse.phantom.patients.catalogue import Weights

Purpose = str | int


class Draws:
    """Random draws below one key, such as (seed, "phantom/visit", patient)."""

    def __init__(self, *key: Purpose) -> None:
        self.key = key

    def uniform(self, *purpose: Purpose) -> float:
        """A number in [0, 1)."""
        return derive_uniform(*self.key, *purpose)

    def chance(self, probability: float, *purpose: Purpose) -> bool:
        """Whether an event of this probability occurs."""
        return self.uniform(*purpose) < probability

    def choice(self, weights: Weights, *purpose: Purpose) -> str:
        """One of the words, with probability proportional to its weight."""
        remaining = self.uniform(*purpose) * sum(weight for _, weight in weights)
        for word, weight in weights:
            remaining -= weight
            if remaining < 0:
                return word
        return weights[-1][0]

    def instance_seed(self, *purpose: Purpose) -> int:
        """The seed of a new instance of a finding, mimic or device; fits into a signed int64."""
        return derive_seed(*self.key, *purpose, "instance") >> 1
