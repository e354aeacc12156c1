"""Augmented films: equal draws, boxes that follow, sharpness both ways, nothing mirrored."""

from dataclasses import replace

import numpy as np
import pytest

from lapse.config import AugmentConfig
from lapse.core.types import Box
from lapse.images.film_augmentation import augment_film, draw_film, moved_box

SIZE = 128
OPTIONS = AugmentConfig(fraction=1.0)
ROWS, COLUMNS = np.mgrid[0:SIZE, 0:SIZE] / SIZE
FILM = np.clip(120 + 70 * np.sin(9 * ROWS) * np.cos(7 * COLUMNS) + 40 * COLUMNS, 0, 255)
FILM = FILM.astype(np.uint8)
PLAIN = replace(
    draw_film(OPTIONS, 1, has_geometry=False),
    sharpness=0.0,
    gamma=1.0,
    shading=(0.0, 0.0),
    noise=0.0,
    num_lines=0,
    border=0,
)


def test_equal_seeds_give_equal_films_and_others_differ():
    films = [augment_film(FILM, draw_film(OPTIONS, seed)) for seed in (4, 4, 5)]
    assert np.array_equal(films[0], films[1]) and not np.array_equal(films[0], films[2])
    assert films[0].shape == FILM.shape and films[0].dtype == np.uint8


def test_draws_stay_within_their_limits_and_use_them():
    draws = [draw_film(OPTIONS, seed) for seed in range(400)]
    limits = {
        "degrees": (-12.0, 12.0),
        "scale": (0.85, 1.3),
        "sharpness": (-1.0, 1.5),
        "gamma": (1 / 1.3, 1.3),
        "noise": (0.0, 6.0),
    }
    for name, (low, high) in limits.items():
        values = [getattr(draw, name) for draw in draws]
        reach = 0.1 * (high - low)
        assert low <= min(values) < low + reach and high - reach < max(values) <= high, name
    assert 2.5 < np.mean([draw.num_lines for draw in draws]) < 3.5
    still = draw_film(OPTIONS, 3, has_geometry=False)
    assert (still.degrees, still.scale, still.shift) == (0.0, 1.0, (0.0, 0.0))
    assert still.gamma == draw_film(OPTIONS, 3).gamma


@pytest.mark.parametrize("seed", range(12))
def test_the_box_of_an_organ_follows(seed):
    organ = ((COLUMNS - 0.45) / 0.16) ** 2 + ((ROWS - 0.52) / 0.24) ** 2 < 1
    box = Box(0.29, 0.28, 0.61, 0.76)
    draw = replace(draw_film(OPTIONS, seed), **changes_of(PLAIN))
    moved = augment_film(np.where(organ, 255, 0).astype(np.uint8), draw) > 127
    rows, columns = np.flatnonzero(moved.any(axis=1)), np.flatnonzero(moved.any(axis=0))
    result = moved_box(box, draw)
    expected = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    values = (result.x_min, result.y_min, result.x_max, result.y_max)
    assert np.abs(np.array(values) * SIZE - expected).max() < 1.6
    still = np.abs(np.array((0.29, 0.28, 0.61, 0.76)) * SIZE - expected).max()
    assert still > 1.6  # a box that does not follow fails the check


def changes_of(draw):
    names = ("sharpness", "gamma", "shading", "noise", "num_lines", "border")
    return {name: getattr(draw, name) for name in names}


def test_a_box_that_leaves_the_image_is_none():
    draw = replace(PLAIN, shift=(0.2, 0.0), scale=1.2)
    assert moved_box(Box(0.9, 0.4, 1.0, 0.6), draw) is None
    partly = moved_box(Box(0.5, 0.4, 0.9, 0.6), draw)
    assert partly.x_max == 1.0 and partly.x_min == pytest.approx(0.7)


def test_without_any_change_a_film_is_only_equalised_and_keeps_its_sides():
    still = augment_film(FILM, PLAIN)
    assert np.corrcoef(still.ravel(), FILM.ravel())[0, 1] > 0.99
    sided = (40 + 170 * COLUMNS).astype(np.uint8)
    for seed in range(20):
        draw = replace(draw_film(OPTIONS, seed), border=130, num_lines=0)
        film = augment_film(sided, draw).astype(float)
        assert film[:, 90:].mean() > film[:, :38].mean() + 20


def test_sharpness_goes_both_ways_and_lines_are_bright():
    grainy = np.random.default_rng(0).normal(0, 12, FILM.shape)
    grainy = np.clip(FILM + grainy, 0, 255).astype(np.uint8)

    def detail(sharpness):
        film = augment_film(grainy, replace(PLAIN, sharpness=sharpness, radius=0.03))
        return np.abs(np.diff(film.astype(float), axis=0)).mean()

    assert detail(-0.9) < 0.8 * detail(0.0) < 0.8 * detail(1.5)
    without, lines = (augment_film(FILM, replace(PLAIN, num_lines=n)) for n in (0, 16))
    change = lines.astype(float) - without
    assert 0.01 < (change > 40).mean() < 0.15
