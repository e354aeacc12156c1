"""Visibility of findings: signal relative to the nuisance, and energy lost in small images."""

import numpy as np
import pytest

from experiments.phantom_signal import (
    energy_lost,
    example,
    finding_rms,
    isolated_finding,
)
from exposures import exposures, visit_with
from lapse.phantom.patients.state import Finding, Mimic
from lapse.phantom.rendering.render import expose, line_integrals

SIZE = 96


def test_fine_cues_lose_energy_in_small_images():
    loss = energy_lost("pneumothorax", patients=2)
    assert loss.lost > 0.3
    assert loss.low <= loss.lost <= loss.high
    assert loss.mimic_correlation > 0.8


def test_coarse_findings_lose_little_energy():
    loss = energy_lost("pleural effusion", 0.5, is_fine=False, patients=2)
    assert 0.0 <= loss.lost < 0.03
    assert loss.mimic_correlation == 0.0


def test_the_signal_of_a_finding_grows_with_severity():
    minimal = finding_rms("pleural effusion", 0.15, patients=3, size=96)
    moderate = finding_rms("pleural effusion", 0.6, patients=3, size=96)
    assert moderate.nuisance == minimal.nuisance > 15
    assert moderate.ratio > 2 * minimal.ratio
    assert moderate.low <= moderate.high


def test_examples_are_reproducible():
    assert example("edema", 0.5, 3) == example("edema", 0.5, 3) != example("edema", 0.5, 4)


def test_an_isolated_finding_is_the_difference_of_two_exposures():
    person, visit, acquisition = next(exposures(12, 1))
    finding = Finding("consolidation", "left", "lower", 0.7, "", 5)
    image = isolated_finding(finding, person, visit, acquisition, SIZE)
    images = []
    for state in (visit_with(finding), visit):
        anatomy, camera = expose(person, state, acquisition, SIZE)
        images.append(line_integrals(anatomy, state, acquisition, camera))
    assert np.array_equal(image, images[0] - images[1])
    included = isolated_finding(finding, person, visit_with(finding), acquisition, SIZE)
    assert np.array_equal(image, included)
    assert image.max() > 0.3


def test_an_unknown_mimic_is_ignored():
    mimic = Mimic("hat", "granuloma", "left", "mid", 1)
    assert not isolated_finding(mimic, *next(exposures(12, 1)), SIZE).any()


def test_invalid_arguments_are_rejected():
    with pytest.raises(ValueError, match="1 patients have no spread"):
        finding_rms("edema", patients=1)
    with pytest.raises(ValueError, match="'hernia' has no fine cue: choose one of"):
        finding_rms("hernia", is_fine=True)
    with pytest.raises(ValueError, match="'hernia' has no fine cue"):
        energy_lost("hernia")
    with pytest.raises(ValueError, match="sizes"):
        energy_lost("edema", sizes=(224, 448))
    with pytest.raises(ValueError, match="is visible in none of 1 patients"):
        energy_lost("heart failure", is_fine=False, patients=1)
    with pytest.raises(ValueError, match="severity 2 is outside"):
        example("edema", 2, 0)
