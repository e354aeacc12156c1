"""What a portable film shows in addition: objects on the chest, a tilted border, processing."""

from dataclasses import replace

import numpy as np

from exposures import exposures
from lapse.phantom.rendering.clutter import clutter_parts
from lapse.phantom.rendering.detector import close_shutter
from lapse.phantom.rendering.render import expose, render

SIZE = 128
(EXPOSURE,) = exposures(17, 1, is_portable=True)
PERSON, VISIT, FILM = EXPOSURE


def film_with(**changes):
    """The image of the exposure with other values of its portable part."""
    portable = replace(FILM.portable, **changes)
    return render(PERSON, VISIT, replace(FILM, portable=portable), SIZE).image.astype(float)


def test_objects_are_drawn_from_their_seed_and_their_number():
    anatomy, _ = expose(PERSON, VISIT, FILM, SIZE)
    portable = replace(FILM.portable, num_cables=2, num_tubings=1, num_electrodes=3)
    tubes, blocks = clutter_parts(portable, anatomy)
    assert len(tubes) == 3 * 59 and 3 <= len(blocks) <= 6
    again = clutter_parts(portable, anatomy)
    assert np.array_equal(tubes, again[0]) and np.array_equal(blocks, again[1])
    other = clutter_parts(replace(portable, seed=5), anatomy)
    assert not np.array_equal(tubes, other[0])
    none = clutter_parts(replace(portable, num_cables=0, num_tubings=0, num_electrodes=0), anatomy)
    assert [len(part) for part in none] == [0, 0]


def test_cables_are_thin_and_bright():
    neutral = {"sharpness": 0.0, "num_tubings": 0, "num_electrodes": 0}
    without, with_cables = (film_with(num_cables=n, **neutral) for n in (0, 5))
    change = with_cables - without
    brighter = (change > 5).mean()
    assert 0.003 < brighter < 0.15 and (change < -25).mean() < 0.02


def test_sharpness_goes_both_ways():
    neutral = {"num_cables": 0, "num_tubings": 0, "num_electrodes": 0, "sharpness_mm": 4.0}

    def detail(sharpness):
        middle = film_with(sharpness=sharpness, **neutral)[30:90, 40:90]
        return np.abs(np.diff(middle, axis=1)).mean()

    assert detail(-0.6) < 0.85 * detail(0.0) < 0.85 * detail(1.0)


def test_the_border_is_tilted_and_grey():
    portable = replace(FILM.portable, field_tilt=5.0, border=60.0, border_contrast=0.0)
    film = replace(FILM, portable=portable, collimation=(0.1, 0.0, 0.0, 0.0))
    image = np.full((100, 100), 200, dtype=np.uint8)
    close_shutter(image, film, 2.0)
    widths = (image == 60).sum(axis=1)
    assert set(np.unique(image)) == {60, 200}
    assert abs(int(widths[0]) - int(widths[-1])) >= 7 and 8 <= widths.mean() <= 12
    deep = np.full((100, 100), 4000, dtype=np.float64)
    close_shutter(deep, film, 2.0)
    assert np.array_equal(deep < 4000, image == 60)
    assert deep.min() == round(60 / 255 * 4095)


def test_equal_portable_exposures_give_equal_bytes():
    first, second = (render(PERSON, VISIT, FILM, SIZE) for _ in range(2))
    assert np.array_equal(first.image, second.image) and first.boxes == second.boxes
