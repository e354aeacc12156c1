"""Calibrated probabilities: true on new patients, never from too little, read and written."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lapse.core.changes import Change, render
from lapse.core.findings import FINDINGS
from lapse.core.types import Prediction
from lapse.metrics.calibration import calibration_error
from lapse.metrics.confidence import Event, change_key
from lapse.metrics.guard import AGREED, GUARD
from lapse.metrics.probability import (
    Calibration,
    fit_calibration,
    read_calibration,
    write_calibration,
)

DATA = {"split": "validate", "data": "drawings"}


def answers(num_patients=400, seed=0, power=0.3, prefix=GUARD):
    """Overconfident guarded answers: a change of confidence u ** power is right with chance u."""
    draw = np.random.default_rng(seed)
    rows = []
    for patient in range(num_patients):
        true, confidence = set(), {AGREED: 0.0} if prefix == GUARD else {}
        for finding in draw.choice(FINDINGS, 2, replace=False):
            change, chance = Change(str(finding), "added"), draw.uniform()
            confidence[prefix + change_key(change)] = chance**power
            if draw.uniform() < chance:
                true.add(change)
        truth = (render(true),)
        name = f"diff_vqa/{patient}"
        rows.append(Prediction(name, "diff_vqa", "", truth, f"p{patient}", confidence=confidence))
    return rows


def calibrated(calibration, rows, prefix=GUARD):
    return [
        Event(calibration.probability(value), _is_right(item, name), item.patient)
        for item in rows
        for name, value in item.confidence.items()
        if name.startswith(prefix)
    ]


def _is_right(item, name):
    return any(name.endswith(change_key(change)) for change in item.truth.changes)


@pytest.mark.parametrize("prefix", [GUARD, "beam: "])
def test_probabilities_are_true_for_new_patients(prefix):
    fitted = fit_calibration(answers(prefix=prefix), **DATA)
    new = answers(seed=1, prefix=prefix)
    raw = [
        Event(value, _is_right(item, name), item.patient)
        for item in new
        for name, value in item.confidence.items()
        if name.startswith(prefix)
    ]
    before = calibration_error(raw, resamples=2)
    after = calibration_error(calibrated(fitted, new, prefix), resamples=2)
    print(f"ECE {before.value:.3f} -> {after.value:.3f}, held out {fitted.error:.3f}")
    assert before.value > 0.2 and after.value < 0.06
    assert abs(fitted.error - after.value) < 0.03
    assert fitted.source == ("guard" if prefix == GUARD else "beam")
    assert (fitted.changes, fitted.answers, fitted.patients) == (800, 400, 400)


def test_the_probability_rises_with_the_confidence_and_is_never_certain():
    fitted = fit_calibration(answers(), **DATA)
    values = [fitted.probability(c) for c in np.linspace(0, 1, 21)]
    assert values == sorted(values) and 0.0 < values[0] < values[-1] < 1.0


def test_the_error_is_measured_on_other_patients():
    """With 60 patients that always answer alike, only a split by patient shows the error."""
    draw = np.random.default_rng(5)
    rows = []
    for item in answers(30, power=1.0):
        confidence = {name: draw.uniform() for name in item.confidence if name != AGREED}
        rows += [
            replace(item, id=f"{item.id}/{n}", confidence={**confidence, AGREED: 0.0})
            for n in range(4)
        ]
    fitted = fit_calibration(rows, **DATA)
    inside = calibration_error(calibrated(fitted, rows), resamples=2).value
    assert fitted.error > inside


def test_too_little_or_misleading_confidence_is_refused():
    with pytest.raises(ValueError, match="40 changes of 20 patients have a confidence"):
        fit_calibration(answers(20), **DATA)
    with pytest.raises(ValueError, match="0 changes of 0 patients"):
        fit_calibration([], **DATA)
    reversed_ = [
        replace(
            item, confidence={n: v if n == AGREED else 1 - v for n, v in item.confidence.items()}
        )
        for item in answers()
    ]
    with pytest.raises(ValueError, match="not right more often"):
        fit_calibration(reversed_, **DATA)


def test_files_come_back_and_damaged_ones_are_refused(tmp_path):
    path, source = tmp_path / "calibration.json", tmp_path / "predictions.jsonl"
    source.write_text("{}")
    fitted = fit_calibration(answers(), **DATA, path=source)
    assert len(fitted.predictions) == 64
    write_calibration(path, fitted)
    assert read_calibration(path) == fitted
    text = fitted.describe()
    assert "800 named changes of 400 answers about 400 patients (validate split, drawings)" in text
    values = json.loads(path.read_text())
    for change, message in (
        ({"format": "other"}, "is not a calibration file"),
        ({"slope": -1.0}, "not a positive"),
        ({"slope": "1"}, "slope is '1'"),
        ({"patients": True}, "patients is True"),
        ({"source": "clauses"}, "one of guard, beam"),
        ({"error": 2.0}, r"not in \[0, 1\]"),
        ({"more": 1}, "lacks or adds more"),
    ):
        path.write_text(json.dumps(values | change))
        with pytest.raises(ValueError, match=message):
            read_calibration(path)
    with pytest.raises(ValueError, match="no calibration file"):
        read_calibration(tmp_path / "none.json")


def test_a_calibration_without_positive_slope_cannot_be_built():
    with pytest.raises(ValueError, match="slope nan"):
        Calibration("guard", float("nan"), 0.0, 1, 1, 1, 1, 0.0, 0.0, "validate", "")
