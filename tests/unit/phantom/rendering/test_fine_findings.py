"""Cues below the sampling limit, and the mimics that resemble them in a small image."""

import numpy as np
import pytest
from PIL import Image

from experiments.phantom_signal import example, isolated_finding
from exposures import exposures, visit_with
from lapse.phantom.patients.state import Finding, Mimic
from lapse.phantom.rendering import fine_findings
from lapse.phantom.rendering.effects import MAGNIFIED, collect_effects
from lapse.phantom.rendering.fine_findings import CUES, MIMICKED, WIDENING, mimic_severity
from lapse.phantom.rendering.lesions import collect_lesions
from lapse.phantom.rendering.render import expose, render

SIZE = 672  # px of .5 mm
PAIRS = [(mimic, name) for mimic, names in MIMICKED.items() for name in names]


def fine_finding(name, seed=5):
    zone = {"pneumothorax": "apical", "granuloma": "mid", "fracture": "mid"}.get(name, "lower")
    return Finding(name, "left", zone, mimic_severity(seed), "", seed, is_fine=True)


def downsampled(image, size):
    picture = Image.fromarray(np.asarray(image, dtype=np.float32))
    return np.asarray(picture.resize((size, size), Image.Resampling.BOX), dtype=np.float64)


def low_pass(image):
    """The image without the frequencies that 224 px cannot resolve."""
    small = Image.fromarray(downsampled(image, 224).astype(np.float32))
    return np.asarray(small.resize(image.shape[::-1], Image.Resampling.BICUBIC), dtype=np.float64)


def test_every_mimic_resembles_a_finding_with_a_cue():
    assert set(MIMICKED) == set(WIDENING)
    assert {name for names in MIMICKED.values() for name in names} == set(CUES)


@pytest.mark.parametrize("name", list(CUES))
def test_a_fine_finding_consists_of_its_cue_only(name):
    visit = visit_with(fine_finding(name))
    assert collect_effects(visit) == collect_effects(visit_with())
    person, without, acquisition = next(exposures(21, 1, nuisance=0.3))
    fine = isolated_finding(fine_finding(name), person, without, acquisition, 256)
    coarse = isolated_finding(example(name, 0.5, 1), person, without, acquisition, 256)
    assert 0 < np.abs(fine).sum() < 0.35 * np.abs(coarse).sum()


def compare_with_mimic(mimic_name, name):
    """Correlation at 64 px, and high-frequency energy of the mimic relative to the cue."""
    person, visit, acquisition = next(exposures(22, 1, nuisance=0.0))
    finding = fine_finding(name, seed=8)
    cue = isolated_finding(finding, person, visit, acquisition, SIZE)
    mimic = Mimic(mimic_name, name, finding.side, finding.zone, finding.seed)
    other = isolated_finding(mimic, person, visit, acquisition, SIZE)
    assert np.sign(cue.sum()) == np.sign(other.sum())
    small, small_other = downsampled(cue, 64), downsampled(other, 64)
    norm = np.sqrt((small**2).sum() * (small_other**2).sum())
    sharp, sharp_other = cue - low_pass(cue), other - low_pass(other)
    return (small * small_other).sum() / norm, np.sqrt((sharp_other**2).sum() / (sharp**2).sum())


@pytest.mark.parametrize(("mimic_name", "name"), PAIRS)
def test_a_mimic_matches_at_low_frequencies_and_lacks_the_cue(mimic_name, name):
    correlation, sharpness = compare_with_mimic(mimic_name, name)
    assert correlation > 0.75 and sharpness < 0.45


def test_without_widening_a_mimic_has_the_cue(monkeypatch):
    """Negative control."""
    monkeypatch.setattr(fine_findings, "WIDENING", dict.fromkeys(WIDENING, 1.0))
    _, sharpness = compare_with_mimic("skin fold", "pneumothorax")
    assert sharpness > 0.9


def test_ap_magnification_enlarges_the_heart_without_a_cue():
    mimic = Mimic(MAGNIFIED, "cardiomegaly", "", "", 4)
    visit = visit_with(mimics=(mimic,))
    assert 1.0 < collect_effects(visit).heart < 1.1
    person, without, acquisition = next(exposures(23, 1))
    anatomy, _ = expose(person, without, acquisition, 64)
    assert not collect_lesions(visit, anatomy).dense
    images = [render(person, state, acquisition, 128).image for state in (without, visit)]
    assert (images[0] != images[1]).any()
