"""A second exposure of the same image: similar, shifted by a few pixels, without black corners."""

import numpy as np
import pytest

from lapse.images.augment import perturb_exposure


def smooth(side: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[0:side, 0:side] / side
    chest = 90 + 60 * np.sin(3 * rows) * np.cos(2 * columns)
    return np.clip(chest, 0, 255).astype(np.uint8)


def test_a_second_exposure_is_similar_and_has_no_black_corners():
    image = smooth()
    for seed in range(20):
        again = perturb_exposure(image, seed, "x")
        assert again.shape == image.shape and again.dtype == np.uint8
        change = np.abs(again.astype(float) - image.astype(float)).mean()
        assert 0.5 < change < 40
        corners = again[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.min() > 30


def test_a_second_exposure_moves_a_landmark_by_a_few_pixels():
    image = np.zeros((100, 100), np.uint8)
    image[48:53, 48:53] = 255
    positions = []
    for seed in range(30):
        again = perturb_exposure(image, seed, "x").astype(float)
        again[again < 120] = 0
        rows, columns = np.mgrid[0:100, 0:100]
        positions.append(
            ((again * rows).sum() / again.sum(), (again * columns).sum() / again.sum())
        )
    moved = np.abs(np.array(positions) - 50).max(axis=1)
    assert moved.max() < 6 and np.mean(moved > 0.5) > 0.7


def test_only_square_uint8_images_are_accepted():
    with pytest.raises(ValueError, match=r"be \[S, S\] uint8, got \[4, 5\] uint8"):
        perturb_exposure(np.zeros((4, 5), np.uint8), 0)
