"""Counted randomness: the same everywhere, different for everything it depends on."""

import pytest

from lapse.core.seeding import derive_index, derive_permutation, derive_seed, derive_uniform


def test_golden_value():
    # Written by this function in version 0.1.0: a change would change every run and phantom.
    assert derive_seed(0, "phantom", 3) == GOLDEN


GOLDEN = 7923294984956407043


def test_every_part_counts():
    seeds = {derive_seed(a, b, c) for a in range(4) for b in ("x", "y") for c in (1, "1")}
    assert len(seeds) == 16
    assert derive_seed("ab", "c") != derive_seed("a", "bc")


def test_uniform_is_uniform():
    values = [derive_uniform(0, "u", i) for i in range(4000)]
    assert min(values) >= 0 and max(values) < 1
    assert abs(sum(values) / 4000 - 0.5) < 0.02


def test_order_is_a_permutation_and_index_in_range():
    assert sorted(derive_permutation(20, 1)) == list(range(20))
    assert derive_permutation(20, 1) != derive_permutation(20, 2)
    assert {derive_index(3, i) for i in range(50)} == {0, 1, 2}
    with pytest.raises(ValueError, match="at least one"):
        derive_index(0, 1)


def test_parts_are_text_or_integers():
    with pytest.raises(ValueError, match=r"1\.5"):
        derive_seed(1.5)
