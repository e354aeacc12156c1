"""`verify` of public releases: every injected defect with its id, and no false alarm."""

import os
import shutil
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from all_release_defects import RELEASES
from lapse.cli.main import app
from lapse.core.registry import load, names
from lapse.data.datasets.release import find_release
from lapse.data.verify.verify import verify
from lapse.phantom.dataset.options import SimulateConfig

# what the releases themselves have
USUAL = {"rexgradient": {"view-count", "unknown-view"}}
WITHOUT_LABELS = {"padchest-gr", "chexpert-plus", "rexgradient"}
CASES = [(name, code) for name, injectors in RELEASES.items() for code in injectors]


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Layout -> a simulated tree."""
    folder = tmp_path_factory.mktemp("releases")
    for name in names("layouts"):
        config = SimulateConfig(patients=8, seed=2, size=64, visits=(2, 3))
        load("layouts", name)(folder / name, config, lambda done, total: None)
    return folder


def copy_or_link(source, target):
    """Tables are changed in place, images are not."""
    (os.link if source.endswith(".png") else shutil.copy)(source, target)


def report_of(folder, **options):
    """The report, with the masks where the layout has them."""
    roots = find_release([folder])
    masks = next(folder.glob("chexmask/OriginalResolution/*.csv"), None)
    return verify(replace(roots, masks=masks), **options)


def codes_of(report):
    return {defect.type.code for defect in report.defects}


@pytest.mark.parametrize("name", names("layouts"))
def test_a_clean_tree_has_no_defect(trees, name):
    report = report_of(trees / name, pixels=True)
    assert codes_of(report) <= USUAL.get(name, set()) and report.is_simulated, report.lines()
    assert report.exit_code == 0
    rows = {row.table: row.num_rows for row in report.rows}
    assert rows["patients"] == 8 and rows["images"] >= 8
    assert bool(rows["difference questions"]) is (name not in WITHOUT_LABELS)
    assert all(row.num_published is None for row in report.rows)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("name", "code"), CASES)
def test_every_defect_is_found_and_nothing_else(trees, tmp_path, name, code, seed):
    tree = shutil.copytree(trees / name, tmp_path / name, copy_function=copy_or_link)
    truth = RELEASES[name][code](tree, seed)
    report = report_of(tree)
    ids = sorted(report.ids(code))
    assert len(ids) == len(truth) > 0, report.lines()
    assert all(text.startswith(start) for text, start in zip(ids, sorted(truth), strict=True))
    assert codes_of(report) - USUAL.get(name, set()) == {code}, report.lines()


def test_images_and_counts(trees, tmp_path):
    tree = shutil.copytree(trees / "nih", tmp_path / "nih")
    first, second, third, *_ = sorted((tree / "images_001" / "images").glob("*.png"))
    first.unlink()
    second.write_bytes(b"")
    third.write_bytes(third.read_bytes()[:500])
    report = report_of(tree, pixels=True)
    assert report.ids("missing-image") == (f"images/{first.name}",)
    assert report.ids("empty-file") == (f"images_001/images/{second.name}",)
    assert len(report.ids("undecodable-image")) == 2
    assert not report_of(tree, subset=True).ids("missing-image")
    (tree / "SIMULATED.txt").unlink()
    assert any(name.startswith("images: ") for name in report_of(tree).ids("row-count"))
    assert not report_of(tree, subset=True).ids("row-count")


def test_the_command_line(trees):
    done = CliRunner().invoke(app, ["verify", str(trees / "nih")])
    assert done.exit_code == 0 and "simulated data: no defect found" in done.stdout
    assert "NIH ChestX-ray14" in done.stdout
