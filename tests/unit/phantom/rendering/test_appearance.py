"""How a film looks: spectrum near the real one's, sheets, and the same without machine code."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import lapse
from exposures import exposures
from lapse.cli.main import app
from lapse.phantom.analysis import contact_sheet as sheet
from lapse.phantom.analysis.contact_sheet import EXAMPLES, draw_contact_sheets, finding_tiles
from lapse.phantom.analysis.realism import REAL_SLOPES, average, measure, spectrum_slopes
from lapse.phantom.analysis.throughput import measure_speed
from lapse.phantom.rendering.render import render


def test_the_spectrum_falls_as_the_real_radiographs():
    found = average([measure(render(*state, 448).image) for state in exposures(0, 10)])
    for slope, real in zip(found.slopes, REAL_SLOPES, strict=True):
        assert slope == pytest.approx(real, abs=0.3)
    assert found.histogram.sum() == pytest.approx(1.0)
    assert found.overlap(found) == pytest.approx(1.0)


def test_slopes_of_known_noise_are_found():
    draw = np.random.default_rng(3)
    cycles = np.hypot(np.fft.fftfreq(448)[:, None] * 448, np.fft.rfftfreq(448)[None] * 448)
    cycles[0, 0] = 1.0
    for power in (-2.4, -3.4):
        white = np.fft.rfft2(draw.standard_normal((448, 448)))
        noise = np.fft.irfft2(white * cycles ** (power / 2))
        grey = np.clip(128 + 30 * noise / noise.std(), 0, 255).astype(np.uint8)
        assert spectrum_slopes(grey) == pytest.approx((power, power), abs=0.12)
    with pytest.raises(ValueError, match="an image side of 200 px"):
        spectrum_slopes(np.zeros((200, 300), np.uint8))
    with pytest.raises(ValueError, match="no images"):
        average([])


def test_lungs_are_grey_and_the_abdomen_is_even():
    """What the first renderer got wrong: black lungs, bright ladders below the diaphragm."""
    for person, visit, taken in exposures(31, 4, nuisance=0.3):
        shown = render(person, visit, taken, 256)
        height, width = shown.image.shape

        def cut(name, shown=shown, height=height, width=width):
            x1, y1, x2, y2 = shown.boxes[name]
            return shown.image[
                int(y1 * height) : int(y2 * height), int(x1 * width) : int(x2 * width)
            ].astype(float)

        lung, belly = cut("right mid lung zone"), cut("right upper abdomen")[-30:, 30:]
        assert 50 < np.median(lung) < 150
        assert np.median(belly) > 190
        assert belly.std() < 0.6 * lung.std()


def test_the_pure_python_path_agrees_within_one_grey_level(tmp_path):
    """Numba switched off by its own variable; the same image to one grey level."""
    script = """
import dataclasses, sys
import numpy as np
sys.path.insert(0, sys.argv[2])
from lapse.phantom.rendering.render import render
from lapse.phantom.patients.state import Finding
from exposures import at_visit, exposures
person, _, taken = next(exposures(41, 1))
person = dataclasses.replace(person, vessel_count=24)
sick = at_visit(Finding("edema", "bilateral", "", .6, "", 3),
                Finding("pneumothorax", "left", "apical", .5, "", 4),
                Finding("consolidation", "right", "lower", .5, "", 5))
shown = render(person, sick, taken, 40)
np.save(sys.argv[1], shown.image)
"""
    images = []
    for off in ("0", "1"):
        target = tmp_path / f"{off}.npy"
        paths = f"{Path(lapse.__file__).parents[1]}"
        done = subprocess.run(
            [sys.executable, "-c", script, str(target), str(Path(__file__).parents[3] / "support")],
            env={"NUMBA_DISABLE_JIT": off, "PYTHONPATH": paths, "PATH": "", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        images.append(np.load(target).astype(int))
    assert images[0].std() > 30
    assert np.abs(images[0] - images[1]).max() <= 1


def test_the_command_draws_sheets_or_trees(tmp_path, monkeypatch):
    monkeypatch.setattr(sheet, "SIZE", 32)
    monkeypatch.setattr(sheet, "FINE_SIZE", 64)
    monkeypatch.setattr(sheet, "EXAMPLES", EXAMPLES[:4])
    command = ["simulate", "--contact-sheet", str(tmp_path / "pages")]
    assert CliRunner().invoke(app, command).exit_code == 0
    names = {"normals", "findings-1", "findings-2", "pairs", "devices", "tiers"}
    assert {file.stem for file in (tmp_path / "pages").glob("*.png")} == names
    for name in names:
        page = np.asarray(Image.open(tmp_path / "pages" / f"{name}.png"))
        assert page.dtype == np.uint8
        assert page.ndim == 2
        assert page.std() > 40
    with pytest.raises(ValueError, match="no output folder: lapse simulate OUT"):
        CliRunner().invoke(app, ["simulate"], catch_exceptions=False)
    with pytest.raises(ValueError, match="tiles of 8 pixels"):
        draw_contact_sheets(tmp_path, tile=8)


def test_each_shown_finding_has_a_box(monkeypatch):
    monkeypatch.setattr(sheet, "SIZE", 64)
    tiles = list(finding_tiles(0, EXAMPLES[::6]))
    assert len(tiles) == 3 * len(EXAMPLES[::6])
    assert all(tile.box for tile in tiles)


def test_speed_is_measured():
    speed = measure_speed(size=64, rounds=1, count=3)
    assert speed.per_core_second > 5
    assert 0.05 < speed.scaling < 3
    with pytest.raises(ValueError, match="0 rounds of 3 images"):
        measure_speed(rounds=0, count=3)
