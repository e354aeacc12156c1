"""Cues below the sampling limit, and the mimics that share their look in a small image."""

import numpy as np
import pytest
from PIL import Image

from exposures import at_visit, exposures
from lapse.phantom.analysis.visibility import energy_lost, example, finding_rms
from lapse.phantom.patients.state import Finding, Mimic
from lapse.phantom.rendering import fine_findings as fine
from lapse.phantom.rendering.effects import MAGNIFIED, collect
from lapse.phantom.rendering.fine_findings import CUES, MIMICKED, WIDENING, mimic_severity
from lapse.phantom.rendering.isolated import isolated_finding
from lapse.phantom.rendering.lesions import collect_lesions
from lapse.phantom.rendering.render import render

NATIVE = 672  # px, .5 mm each
PAIRS = [(mimic, name) for mimic, names in MIMICKED.items() for name in names]


def fine_of(name, seed=5):
    zone = {"pneumothorax": "apical", "granuloma": "mid", "fracture": "mid"}.get(name, "lower")
    return Finding(name, "left", zone, mimic_severity(seed), "", seed, is_fine=True)


def small(image, size):
    picture = Image.fromarray(np.asarray(image, dtype=np.float32))
    return np.asarray(picture.resize((size, size), Image.Resampling.BOX), dtype=np.float64)


def test_every_mimic_is_like_something_that_has_a_cue():
    assert set(MIMICKED) == set(WIDENING)
    assert {name for names in MIMICKED.values() for name in names} == set(CUES)


@pytest.mark.parametrize("name", list(CUES))
def test_a_fine_finding_is_its_cue_alone(name):
    visit = at_visit(fine_of(name))
    assert collect(visit) == collect(at_visit())
    person, _, taken = next(exposures(21, 1, nuisance=0.3))
    alone = isolated_finding(fine_of(name), person, at_visit(), taken, 256)
    coarse = isolated_finding(example(name, 0.5, 1), person, at_visit(), taken, 256)
    assert 0 < np.abs(alone).sum() < 0.35 * np.abs(coarse).sum()


@pytest.mark.parametrize(("mimic", "name"), PAIRS)
def test_a_mimic_matches_at_low_frequency_and_lacks_the_cue(mimic, name):
    person, visit, taken = next(exposures(22, 1, nuisance=0.0))
    finding = fine_of(name, seed=8)
    cue = isolated_finding(finding, person, visit, taken, NATIVE)
    like = Mimic(mimic, name, finding.side, finding.zone, finding.seed)
    other = isolated_finding(like, person, visit, taken, NATIVE)
    assert np.sign(cue.sum()) == np.sign(other.sum())
    low, low_other = small(cue, 64), small(other, 64)
    kin = (low * low_other).sum() / np.sqrt((low**2).sum() * (low_other**2).sum())
    assert kin > 0.75
    sharp, sharp_other = cue - blurred(cue), other - blurred(other)
    share = np.sqrt((sharp_other**2).sum() / (sharp**2).sum())
    assert share < 0.45


def blurred(image):
    """Without what an image of 224 px cannot show."""
    grey = Image.fromarray(small(image, 224).astype(np.float32))
    return np.asarray(grey.resize(image.shape[::-1], Image.Resampling.BICUBIC), dtype=np.float64)


def test_without_the_spread_a_mimic_is_the_finding(monkeypatch):
    """The guard removed: the same check then fails."""
    monkeypatch.setattr(fine, "WIDENING", dict.fromkeys(WIDENING, 1.0))
    with pytest.raises(AssertionError):
        test_a_mimic_matches_at_low_frequency_and_lacks_the_cue("skin fold", "pneumothorax")


def test_a_magnified_heart_is_a_mimic_without_a_cue():
    mimic = Mimic(MAGNIFIED, "cardiomegaly", "", "", 4)
    effects = collect(at_visit(mimics=(mimic,)))
    assert 1.0 < effects.heart < 1.1
    person, _, taken = next(exposures(23, 1))
    lesions = collect_lesions(at_visit(mimics=(mimic,)), _anatomy(person, taken))
    assert not lesions.dense
    plain = render(person, at_visit(), taken, 128)
    shown = render(person, at_visit(mimics=(mimic,)), taken, 128)
    assert shown.image.tobytes() != plain.image.tobytes()


def _anatomy(person, taken):
    from lapse.phantom.rendering.render import expose

    return expose(person, at_visit(), taken, 64)[0]


def test_fine_cues_lose_energy_and_ordinary_findings_do_not():
    cue = energy_lost("pneumothorax", patients=2)
    assert cue.lost > 0.3
    assert cue.low <= cue.lost <= cue.high
    assert cue.mimic_correlation > 0.8
    ordinary = energy_lost("pleural effusion", 0.5, is_fine=False, patients=2)
    assert 0.0 <= ordinary.lost < 0.03
    assert ordinary.mimic_correlation == 0.0


def test_a_finding_is_weighed_against_the_nuisance():
    small_one = finding_rms("pleural effusion", 0.15, patients=3, size=96)
    large = finding_rms("pleural effusion", 0.6, patients=3, size=96)
    assert large.nuisance == small_one.nuisance > 15
    assert large.ratio > 2 * small_one.ratio
    assert large.low <= large.high
    assert example("edema", 0.5, 3) == example("edema", 0.5, 3)


def test_limits_are_told():
    with pytest.raises(ValueError, match="1 patients have no spread"):
        finding_rms("edema", patients=1)
    with pytest.raises(ValueError, match="'hernia' has no fine cue: choose one of"):
        finding_rms("hernia", is_fine=True)
    with pytest.raises(ValueError, match="'hernia' has no fine cue"):
        energy_lost("hernia")
    with pytest.raises(ValueError, match="sizes"):
        energy_lost("edema", sizes=(224, 448))
    with pytest.raises(ValueError, match="is visible in none of 2 patients"):
        energy_lost("hypoxemia", is_fine=False, patients=2)
    with pytest.raises(ValueError, match="severity 2 is outside"):
        example("edema", 2, 0)
