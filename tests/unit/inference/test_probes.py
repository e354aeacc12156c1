"""Probes ask about the same samples with other images, and say what should be answered."""

import numpy as np
import pytest

from lapse.core.types import Sample
from lapse.images.augment import perturb_exposure
from lapse.inference.probes import BLANK, GREY, PROBES, SECOND_EXPOSURE, probe_pixels, probe_samples

EDEMA = " the main image has an additional finding of edema than the reference image."
REFERENCES = [("p1", "a"), ("p1", "b"), ("p2", "c"), ("p3", "d")]


def sample(number: int = 0, answer: str = EDEMA, images=("a", "b"), patient="p1") -> Sample:
    return Sample(f"diff_vqa/{number}", "diff_vqa", images, patient, "what?", "", answer)


def only(name: str, one: Sample | None = None) -> Sample:
    (found,) = probe_samples(name, [one or sample()], REFERENCES).samples
    assert found.id == f"diff_vqa/0#{name}" and found.patient == "p1" and found.prefix == "what?"
    return found


def test_each_probe_shows_its_images_and_says_its_answer():
    swap = only("swap")
    assert swap.images == ("b", "a")
    assert swap.answer == (
        " the main image is missing the finding of edema than the reference image."
    )
    identity = only("identity")
    assert identity.images == ("b", "b") and identity.answer == " nothing has changed."
    acquisition = only("acquisition")
    assert acquisition.images == ("a", f"b{SECOND_EXPOSURE}") and acquisition.answer == EDEMA
    shuffled = only("shuffled")
    assert shuffled.images[0] in {"c", "d"} and shuffled.images[1] == "b"
    assert shuffled.answer == EDEMA and only("shuffled") == shuffled
    blank = only("blank")
    assert blank.images == (BLANK, "b") and blank.answer == EDEMA


def test_what_has_no_probe_is_counted():
    rows = [sample(0), sample(1, " the left lung got whiter"), sample(2, images=("a",))]
    found = probe_samples("swap", rows, REFERENCES)
    assert [item.id for item in found.samples] == ["diff_vqa/0#swap"]
    assert found.skipped == {"sample about one image": 1, "truth that cannot be inverted": 1}
    assert len(probe_samples("identity", rows, REFERENCES).samples) == 2


def test_a_shuffled_reference_is_never_of_the_same_patient():
    rows = [sample(number) for number in range(200)]
    found = probe_samples("shuffled", rows, REFERENCES * 5).samples
    assert {item.images[0] for item in found} == {"c", "d"}
    crowded = [("p1", "a")] * 500 + [("p2", "c")]  # the fallback behind the quick tries
    assert {item.images[0] for item in probe_samples("shuffled", rows, crowded).samples} == {"c"}
    other = probe_samples("shuffled", rows, REFERENCES * 5, seed=1).samples
    assert [item.images for item in other] != [item.images for item in found]
    with pytest.raises(ValueError, match="no reference of another patient than p1 among 2"):
        probe_samples("shuffled", rows, REFERENCES[:2])


def test_an_unknown_probe_names_the_known():
    with pytest.raises(ValueError, match="no probe 'swpa'; known: swap, identity"):
        probe_samples("swpa", [sample()], REFERENCES)
    assert PROBES == ("swap", "identity", "acquisition", "shuffled", "blank")


def picture(key: str) -> np.ndarray:
    rows, columns = np.mgrid[0:32, 0:32]
    return ((rows * 5 + columns * 2 + ord(key[0])) % 251).astype(np.uint8)


def test_images_come_from_their_source():
    pixels = probe_pixels(picture, 32)
    assert np.array_equal(pixels("a"), picture("a"))
    assert (pixels(BLANK) == GREY).all() and pixels(BLANK).shape == (32, 32)
    assert np.array_equal(pixels(f"a{SECOND_EXPOSURE}"), pixels(f"a{SECOND_EXPOSURE}"))
    assert not np.array_equal(pixels(f"a{SECOND_EXPOSURE}"), picture("a"))
    other = probe_pixels(picture, 32, seed=1)(f"a{SECOND_EXPOSURE}")
    assert not np.array_equal(pixels(f"a{SECOND_EXPOSURE}"), other)
    rendered = probe_pixels(picture, 32, exposure_source=lambda key: picture("z"))
    assert np.array_equal(rendered(f"a{SECOND_EXPOSURE}"), picture("z"))


def smooth(side: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[0:side, 0:side] / side
    chest = 90 + 60 * np.sin(3 * rows) * np.cos(2 * columns)
    return np.clip(chest, 0, 255).astype(np.uint8)


def test_retaking_is_small_and_never_a_black_wedge():
    image = smooth()
    for seed in range(20):
        again = perturb_exposure(image, seed, "x")
        assert again.shape == image.shape and again.dtype == np.uint8
        change = np.abs(again.astype(float) - image.astype(float)).mean()
        assert 0.5 < change < 40
        corners = again[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.min() > 30


def test_retaking_moves_a_landmark_by_a_few_pixels():
    image = np.zeros((100, 100), np.uint8)
    image[48:53, 48:53] = 255
    places = []
    for seed in range(30):
        again = perturb_exposure(image, seed, "x").astype(float)
        again[again < 120] = 0
        rows, columns = np.mgrid[0:100, 0:100]
        places.append(((again * rows).sum() / again.sum(), (again * columns).sum() / again.sum()))
    moved = np.abs(np.array(places) - 50).max(axis=1)
    assert moved.max() < 6 and np.mean(moved > 0.5) > 0.7


def test_only_squares_of_bytes_are_retaken():
    with pytest.raises(ValueError, match=r"be \[S, S\] uint8, got \[4, 5\] uint8"):
        perturb_exposure(np.zeros((4, 5), np.uint8), 0)
