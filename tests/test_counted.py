"""Counted randomness: the same everywhere, different for everything it depends on."""

import pytest

from lapse.core.seeding import counted_index, counted_order, counted_seed, counted_uniform


def test_golden_value():
    # Written by this function in version 0.1.0: a change would change every run and phantom.
    assert counted_seed(0, "phantom", 3) == GOLDEN


GOLDEN = 7923294984956407043


def test_every_part_counts():
    seeds = {counted_seed(a, b, c) for a in range(4) for b in ("x", "y") for c in (1, "1")}
    assert len(seeds) == 16
    assert counted_seed("ab", "c") != counted_seed("a", "bc")


def test_uniform_is_uniform():
    values = [counted_uniform(0, "u", i) for i in range(4000)]
    assert min(values) >= 0 and max(values) < 1
    assert abs(sum(values) / 4000 - 0.5) < 0.02


def test_order_is_a_permutation_and_index_in_range():
    assert sorted(counted_order(20, 1)) == list(range(20))
    assert counted_order(20, 1) != counted_order(20, 2)
    assert {counted_index(3, i) for i in range(50)} == {0, 1, 2}
    with pytest.raises(ValueError, match="at least one"):
        counted_index(0, 1)


def test_parts_are_text_or_integers():
    with pytest.raises(ValueError, match=r"1\.5"):
        counted_seed(1.5)
