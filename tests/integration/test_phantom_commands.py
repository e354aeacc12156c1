"""`lapse simulate` with its options: difficulty, image format, defects, contact sheets, logging."""

import json
import logging

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.phantom.dataset import contact_sheet
from lapse.phantom.defects.inject import EXCLUSIVE_DEFECTS, INJECTORS, TRUTH

SMALL = ("--patients", "6", "--size", "64", "--visits", "2-3")


def simulate(*options):
    return CliRunner().invoke(app, ["simulate", *map(str, options)])


def test_difficulty_and_cohort_options_are_recorded(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    options = (
        "--nuisance 0.5 --subtlety 0.5 --confound 1 --prevalence 2 --tier fine "
        "--counterfactual-fraction 1 --ood-fraction 0 --split test --patients 3 --size 64"
    )
    done = simulate(tmp_path / "raw", *options.split())
    assert done.exit_code == 0, done.output
    assert any(message.startswith("simulated 1 patients, ") for message in caplog.messages)
    lines = (tmp_path / "raw" / "SIMULATED.txt").read_text().splitlines()
    assert {
        "subtlety: 0.5",
        "confound: 1.0",
        "prevalence: 2.0",
        "tier: fine",
        "counterfactual_fraction: 1.0",
        "ood_fraction: 0.0",
        "split: test",
    } <= set(lines)


def test_the_image_format_selects_the_image_files(tmp_path):
    options = ("--patients", 3, "--size", 64, "--visits", "1-1", "--images", "dicom")
    done = simulate(tmp_path / "raw", *options)
    assert done.exit_code == 0, done.output
    assert len(list(tmp_path.rglob("*.dcm"))) == 3 and not list(tmp_path.rglob("*.jpg"))


def test_defects_are_injected_by_rate_and_name(tmp_path):
    assert simulate(tmp_path / "clean", *SMALL).exit_code == 0
    assert not (tmp_path / "clean" / TRUTH).exists()
    names = ("--defect", "missing-image", "--defect", "box-outside")
    assert simulate(tmp_path / "two", *SMALL, "--defect-rate", 0.1, *names).exit_code == 0
    truth = json.loads((tmp_path / "two" / TRUTH).read_text())
    assert set(truth) == {"missing-image", "box-outside"}
    assert simulate(tmp_path / "all", *SMALL, "--defect-rate", 0.02).exit_code == 0
    truth = json.loads((tmp_path / "all" / TRUTH).read_text())
    assert len(truth) == len(INJECTORS) - len(EXCLUSIVE_DEFECTS)


def test_invalid_defects_are_rejected_before_the_simulation(tmp_path):
    unknown = simulate(tmp_path / "raw", "--defect-rate", 0.1, "--defect", "gremlins")
    assert "no defect type 'gremlins'" in str(unknown.exception)
    without_rate = simulate(tmp_path / "raw", "--defect", "missing-image")
    assert "needs a rate" in str(without_rate.exception)
    assert not (tmp_path / "raw").exists()


def test_contact_sheets_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(contact_sheet, "SIZE", 32)
    monkeypatch.setattr(contact_sheet, "FINE_SIZE", 64)
    monkeypatch.setattr(contact_sheet, "EXAMPLES", contact_sheet.EXAMPLES[:4])
    assert simulate("--contact-sheet", tmp_path).exit_code == 0
    pages = {path.stem: np.asarray(Image.open(path)) for path in tmp_path.glob("*.png")}
    assert set(pages) == {
        "normals",
        "findings-1",
        "findings-2",
        "pairs",
        "devices",
        "tiers",
        "kinds",
    }
    for page in pages.values():
        assert page.dtype == np.uint8 and page.ndim == 2
        assert page.std() > 40


def test_an_output_folder_is_required():
    with pytest.raises(ValueError, match="no output folder: lapse simulate OUT"):
        CliRunner().invoke(app, ["simulate"], catch_exceptions=False)
