"""Probes: the same samples with other images, and the expected answers."""

import numpy as np
import pytest

from lapse.core.types import Sample
from lapse.inference.probes import BLANK, GREY, PROBES, SECOND_EXPOSURE, probe_pixels, probe_samples

EDEMA = " the main image has an additional finding of edema than the reference image."
REFERENCES = [("p1", "a"), ("p1", "b"), ("p2", "c"), ("p3", "d")]


def sample(number: int = 0, answer: str = EDEMA, images=("a", "b"), patient="p1") -> Sample:
    return Sample(f"diff_vqa/{number}", "diff_vqa", images, patient, "what?", "", answer)


def probed(name: str) -> Sample:
    (result,) = probe_samples(name, [sample()], REFERENCES).samples
    assert result.id == f"diff_vqa/0#{name}" and result.patient == "p1"
    assert result.prefix == "what?"
    return result


def test_images_and_expected_answer_of_each_probe():
    swap = probed("swap")
    assert swap.images == ("b", "a")
    assert swap.answer == (
        " the main image is missing the finding of edema than the reference image."
    )
    identity = probed("identity")
    assert identity.images == ("b", "b") and identity.answer == " nothing has changed."
    acquisition = probed("acquisition")
    assert acquisition.images == ("a", f"b{SECOND_EXPOSURE}") and acquisition.answer == EDEMA
    shuffled = probed("shuffled")
    assert shuffled.images[0] in {"c", "d"} and shuffled.images[1] == "b"
    assert shuffled.answer == EDEMA and probed("shuffled") == shuffled
    blank = probed("blank")
    assert blank.images == (BLANK, "b") and blank.answer == EDEMA


def test_samples_without_a_probe_are_counted():
    samples = [sample(0), sample(1, " the left lung got whiter"), sample(2, images=("a",))]
    swapped = probe_samples("swap", samples, REFERENCES)
    assert [item.id for item in swapped.samples] == ["diff_vqa/0#swap"]
    assert swapped.skipped == {"sample about one image": 1, "truth that cannot be inverted": 1}
    assert len(probe_samples("identity", samples, REFERENCES).samples) == 2


def test_a_shuffled_reference_is_never_of_the_same_patient():
    samples = [sample(number) for number in range(200)]
    shuffled = probe_samples("shuffled", samples, REFERENCES * 5).samples
    assert {item.images[0] for item in shuffled} == {"c", "d"}
    rare = [("p1", "a")] * 500 + [("p2", "c")]  # random draws fail: all references are tried
    assert {item.images[0] for item in probe_samples("shuffled", samples, rare).samples} == {"c"}
    with pytest.raises(ValueError, match="no reference of another patient than p1 among 2"):
        probe_samples("shuffled", samples, REFERENCES[:2])


def test_an_unknown_probe_names_the_known():
    with pytest.raises(ValueError, match="no probe 'swpa'; known: swap, identity"):
        probe_samples("swpa", [sample()], REFERENCES)
    assert tuple(PROBES) == ("swap", "identity", "acquisition", "shuffled", "blank")


def picture(key: str) -> np.ndarray:
    rows, columns = np.mgrid[0:32, 0:32]
    return ((rows * 5 + columns * 2 + ord(key[0])) % 251).astype(np.uint8)


def test_images_come_from_the_source():
    pixels = probe_pixels(picture, 32)
    assert np.array_equal(pixels("a"), picture("a"))
    assert (pixels(BLANK) == GREY).all() and pixels(BLANK).shape == (32, 32)
    assert np.array_equal(pixels(f"a{SECOND_EXPOSURE}"), pixels(f"a{SECOND_EXPOSURE}"))
    assert not np.array_equal(pixels(f"a{SECOND_EXPOSURE}"), picture("a"))
    rendered = probe_pixels(picture, 32, exposure_source=lambda key: picture("z"))
    assert np.array_equal(rendered(f"a{SECOND_EXPOSURE}"), picture("z"))
