"""Named draws of one patient: chances and choices, each a function of what it is for.

A thin cover over lapse.core.seeding: the key of the patient is put before the purpose, so that no
draw
depends on another and two visits never share one.
"""

from __future__ import annotations

from lapse.core.seeding import derive_seed, derive_uniform
from lapse.phantom.patients.catalogue import Weights

Purpose = str | int


class Draws:
    """The counted draws below one key, such as (seed, "phantom/visit", patient)."""

    def __init__(self, *key: Purpose) -> None:
        self.key = key

    def uniform(self, *purpose: Purpose) -> float:
        """A number in [0, 1)."""
        return derive_uniform(*self.key, *purpose)

    def chance(self, probability: float, *purpose: Purpose) -> bool:
        """Whether something of this probability happens."""
        return self.uniform(*purpose) < probability

    def choice(self, weights: Weights, *purpose: Purpose) -> str:
        """One of the words, as often as their weights say; these need not sum to one."""
        mark = self.uniform(*purpose) * sum(weight for _, weight in weights)
        for word, weight in weights:
            mark -= weight
            if mark < 0:
                return word
        return weights[-1][0]

    def instance(self, *purpose: Purpose) -> int:
        """The identity of something that begins now; fits a signed 64-bit integer."""
        return derive_seed(*self.key, *purpose, "instance") >> 1
