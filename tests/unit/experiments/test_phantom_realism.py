"""Statistics of simulated radiographs: spectrum near that of a real one, plausible grey levels."""

import numpy as np
import pytest

from experiments.phantom_realism import REAL_SLOPES, average, measure, spectrum_slopes
from exposures import exposures
from lapse.phantom.rendering.render import render


def test_the_spectrum_decreases_as_in_a_real_radiograph():
    mean = average([measure(render(*exposure, 448).image) for exposure in exposures(0, 10)])
    for slope, real in zip(mean.slopes, REAL_SLOPES, strict=True):
        assert slope == pytest.approx(real, abs=0.3)
    assert mean.histogram.sum() == pytest.approx(1.0)
    assert mean.overlap(mean) == pytest.approx(1.0)


def test_slopes_of_known_noise_are_measured():
    rng = np.random.default_rng(3)
    cycles = np.hypot(np.fft.fftfreq(448)[:, None] * 448, np.fft.rfftfreq(448)[None] * 448)
    cycles[0, 0] = 1.0
    for power in (-2.4, -3.4):
        white = np.fft.rfft2(rng.standard_normal((448, 448)))
        noise = np.fft.irfft2(white * cycles ** (power / 2))
        grey = np.clip(128 + 30 * noise / noise.std(), 0, 255).astype(np.uint8)
        assert spectrum_slopes(grey) == pytest.approx((power, power), abs=0.12)


def test_small_images_and_empty_averages_are_rejected():
    with pytest.raises(ValueError, match="an image side of 200 px"):
        spectrum_slopes(np.zeros((200, 300), np.uint8))
    with pytest.raises(ValueError, match="no images"):
        average([])


def test_lungs_are_grey_and_the_abdomen_is_homogeneous():
    for person, visit, acquisition in exposures(31, 4, nuisance=0.3):
        rendered = render(person, visit, acquisition, 256)
        lung = crop(rendered, "right mid lung zone")
        abdomen = crop(rendered, "right upper abdomen")[-30:, 30:]
        assert 50 < np.median(lung) < 150
        assert np.median(abdomen) > 190
        assert abdomen.std() < 0.6 * lung.std()


def crop(rendered, region):
    height, width = rendered.image.shape
    x1, y1, x2, y2 = rendered.boxes[region]
    rows, columns = (int(y1 * height), int(y2 * height)), (int(x1 * width), int(x2 * width))
    return rendered.image[slice(*rows), slice(*columns)].astype(float)
