"""Portable films: their fraction, their independence, and their limits."""

from dataclasses import replace

import numpy as np

from lapse.phantom.patients.acquisition import MAX_ROTATION, draw_acquisition
from lapse.phantom.patients.findings import difference
from lapse.phantom.patients.portable import is_portable, make_portable
from phantom_histories import MIXED, histories

FEW = replace(MIXED, patients=250)
HALF = replace(FEW, portable_fraction=0.5)


def test_without_the_option_no_film_is_portable_and_nothing_else_changes():
    plain, half = histories(FEW), histories(HALF)
    assert not any(e.acquisition.portable for h in plain for e in h.exposures)
    for before, after in zip(plain, half, strict=True):
        assert before.person == after.person
        for first, second in zip(before.exposures, after.exposures, strict=True):
            assert first.visit == second.visit
            if second.acquisition.portable is None:
                assert first.acquisition == second.acquisition


def test_the_fraction_and_the_independence_of_the_two_films_of_a_pair():
    kinds, changes = [], []
    for history in histories(HALF):
        if history.role.is_counterfactual:
            continue
        for reference, main in history.pairs:
            kinds.append([e.acquisition.portable is not None for e in (reference, main)])
            changes.append(bool(difference(reference.visit, main.visit)))
    first, second = np.array(kinds, dtype=float).T
    num_pairs = len(kinds)
    assert num_pairs > 400
    assert abs(first.mean() - 0.5) < 0.06 and abs(second.mean() - 0.5) < 0.06
    limit = 4.0 / np.sqrt(num_pairs)
    for values in (np.array(changes, dtype=float), first):
        assert abs(np.corrcoef(second, values)[0, 1]) < limit


def test_confounding_makes_portable_films_more_frequent_in_ill_patients():
    counts = [
        sum(is_portable(0.4, (3, index), illness=illness, confound=1.0) for index in range(400))
        for illness in (0.0, 1.0)
    ]
    assert counts[0] < 20 and counts[1] > 280
    same = [is_portable(0.4, (3, index), illness=1.0) for index in range(400)]
    assert same == [is_portable(0.4, (3, index)) for index in range(400)]


def test_a_quadruplet_shares_the_portable_exposure_of_its_halves():
    num_portable = 0
    for history in histories(HALF):
        cells = {e.cell: e.acquisition for e in history.exposures if e.cell}
        if cells:
            assert cells["A1"] == cells["B1"] and cells["A2"] == cells["B2"]
            num_portable += cells["A1"].portable is not None
    assert num_portable > 2


def test_portable_films_are_ap_and_stay_inside_the_ranges_of_other_films():
    films = [make_portable(draw_acquisition(3, i, 0, 0), 1.0, (3, i, 0)) for i in range(300)]
    assert films[:5] == [
        make_portable(draw_acquisition(3, i, 0, 0), 1.0, (3, i, 0)) for i in range(5)
    ]
    assert {film.view for film in films} == {"AP"}
    assert max(abs(film.rotation) for film in films) <= MAX_ROTATION
    assert min(film.source_distance for film in films) >= 1000.0
    assert {film.is_supine for film in films} == {True, False}
    assert all(film.is_supine for film in films if film.label == "SUPINE")
    sharpness = [film.portable.sharpness for film in films]
    assert min(sharpness) < -0.3 and max(sharpness) > 1.0  # both ways
    assert len({film.portable.seed for film in films}) == 300


def test_without_nuisance_a_portable_film_is_straight_and_free_of_objects():
    film = make_portable(draw_acquisition(3, 1, 0, 0, nuisance=0.0), 0.0, (3, 1, 0))
    assert (film.rotation, film.roll, film.portable.field_tilt) == (0.0, 0.0, 0.0)
    assert film.collimation == (0.0, 0.0, 0.0, 0.0)
    counts = (film.portable.num_cables, film.portable.num_tubings, film.portable.num_electrodes)
    assert counts == (0, 0, 0)
