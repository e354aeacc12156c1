"""Defects put into simulated trees: the same ones for a seed, listed, and refused where wrong."""

import hashlib
import json
import shutil

import pytest
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.phantom.defects.inject import (
    EXCLUSIVE_DEFECTS,
    HARMLESS_DEFECTS,
    INJECTORS,
    TRUTH,
    inject,
)

SIZE = ["--patients", "6", "--size", "64", "--visits", "2-3"]


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    out = tmp_path_factory.mktemp("clean") / "raw"
    simulate(out, SimulateConfig(patients=6, seed=5, size=64, visits=(2, 3)))
    return out


@pytest.fixture
def tree(clean, tmp_path):
    return shutil.copytree(clean, tmp_path / "raw")


def digests(root):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes(clean, tmp_path):
    trees = [shutil.copytree(clean, tmp_path / name) for name in "abc"]
    truths = [inject(out, 0.05, seed) for out, seed in zip(trees, (1, 1, 2), strict=True)]
    assert truths[0] == truths[1] != truths[2]
    assert digests(trees[0]) == digests(trees[1]) != digests(trees[2])


@pytest.mark.parametrize("kind", INJECTORS)
def test_every_kind_changes_files_and_lists_the_truth(clean, tree, kind):
    truth = inject(tree, 0.02, 0, [kind])
    assert list(truth) == [kind] and truth[kind]
    assert json.loads((tree / TRUTH).read_text()) == truth
    before, after = digests(clean), digests(tree)
    changed = {name for name in {*before, *after} if after.get(name) != before.get(name)}
    assert 1 <= len(changed - {TRUTH}) <= 2 * len(truth[kind]) + 2, changed


def test_the_rate_is_a_share_of_the_records(clean, tmp_path):
    num_reports = len(list(clean.rglob("s*.txt")))
    for rate, wanted in ((0.01, 1), (0.5, round(0.5 * num_reports)), (1.0, num_reports)):
        out = shutil.copytree(clean, tmp_path / f"rate-{rate}")
        assert len(inject(out, rate, 0, ["missing-report"])["missing-report"]) == wanted


def test_all_kinds_leave_out_those_that_hide_others(tree):
    truth = inject(tree, 0.01, 0)
    assert set(truth) == set(INJECTORS) - set(EXCLUSIVE_DEFECTS)
    assert set(HARMLESS_DEFECTS) <= set(truth)


def test_a_kind_for_which_nothing_is_left_has_no_ids(tree):
    truth = inject(tree, 1.0, 0, ["missing-report", "report-not-utf8"])
    assert truth["missing-report"] and truth["report-not-utf8"] == []


@pytest.mark.parametrize(
    ("rate", "kinds", "message"),
    [
        (0.0, None, "rate 0.0"),
        (1.5, None, "rate 1.5"),
        (0.1, ["mising-image"], "did you mean 'missing-image'"),
    ],
)
def test_wrong_wishes_are_refused_before_anything_changes(tree, rate, kinds, message):
    before = digests(tree)
    with pytest.raises(ValueError, match=message):
        inject(tree, rate, 0, kinds)
    assert digests(tree) == before


def test_only_simulated_trees_and_only_once(tree, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="not a simulated tree"):
        inject(tmp_path / "other", 0.1, 0)
    inject(tree, 0.1, 0, ["missing-report"])
    with pytest.raises(ValueError, match="has injected defects already"):
        inject(tree, 0.1, 0, ["missing-report"])


def test_the_command_line(tmp_path):
    run = CliRunner().invoke
    clean, one, every = (str(tmp_path / name) for name in ("clean", "one", "all"))
    assert run(app, ["simulate", clean, *SIZE]).exit_code == 0
    assert not (tmp_path / "clean" / TRUTH).exists()
    kind = ["--defect", "missing-image", "--defect", "box-outside"]
    assert run(app, ["simulate", one, *SIZE, "--defect-rate", "0.1", *kind]).exit_code == 0
    truth = json.loads((tmp_path / "one" / TRUTH).read_text())
    assert set(truth) == {"missing-image", "box-outside"}
    assert run(app, ["simulate", every, *SIZE, "--defect-rate", "0.02"]).exit_code == 0
    truth = json.loads((tmp_path / "all" / TRUTH).read_text())
    assert len(truth) == len(INJECTORS) - len(EXCLUSIVE_DEFECTS)


def test_the_command_line_refuses_before_it_simulates(tmp_path):
    run = CliRunner().invoke
    wrong = run(
        app, ["simulate", str(tmp_path / "a"), "--defect-rate", "0.1", "--defect", "gremlins"]
    )
    assert "no defect type 'gremlins'" in str(wrong.exception)
    lone = run(app, ["simulate", str(tmp_path / "b"), "--defect", "missing-image"])
    assert "needs a rate" in str(lone.exception)
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()
