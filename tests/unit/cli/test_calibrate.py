"""`lapse calibrate --calibration` writes what `lapse export --calibration` reads."""

import numpy as np
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.core.changes import Change, render
from lapse.core.findings import FINDINGS
from lapse.core.types import Prediction
from lapse.evaluation.predictions.jsonl import write_predictions
from lapse.metrics.confidence import BEAM, change_key
from lapse.metrics.guard import AGREED, GUARD
from lapse.metrics.probability import read_calibration


def predictions(num_patients=120):
    draw = np.random.default_rng(4)
    for patient in range(num_patients):
        change, chance = Change(str(draw.choice(FINDINGS)), "added"), float(draw.uniform())
        truth = render([change] if draw.uniform() < chance else [])
        confidence = {BEAM + change_key(change): chance, GUARD + change_key(change): chance}
        yield Prediction(
            f"diff_vqa/{patient}", "diff_vqa", render([change]), (truth,), f"p{patient}",
            confidence={**confidence, AGREED: 0.0},
        )  # fmt: skip


def run(tmp_path, *arguments):
    path = tmp_path / "validate.jsonl"
    write_predictions(path, list(predictions()))
    return CliRunner().invoke(app, ["calibrate", str(path), *arguments])


def test_the_file_of_probabilities_is_written_and_described(tmp_path):
    target = tmp_path / "new" / "calibration.json"
    done = run(tmp_path, "--calibration", str(target))
    assert done.exit_code == 0, done.output
    calibration = read_calibration(target)
    assert calibration.source == "guard" and calibration.changes == 120
    assert calibration.split == "validate" and len(calibration.predictions) == 64
    assert calibration.describe() in done.output
    assert 0.7 < calibration.slope < 1.4  # the confidence is true already


def test_a_path_that_cannot_be_written_is_refused_first(tmp_path):
    done = run(tmp_path, "--calibration", str(tmp_path))
    assert isinstance(done.exception, ValueError) and "is a folder" in str(done.exception)
    assert not (tmp_path / "threshold.json").exists()
