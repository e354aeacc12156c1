"""Injection of defects: reproducible, recorded, and only into simulated trees."""

import json
import shutil

import pytest

from defect_codes import HARMLESS_DEFECTS
from file_hashes import file_hashes
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.phantom.defects.inject import (
    EXCLUSIVE_DEFECTS,
    INJECTORS,
    MOST_OF_A_SOURCE,
    TRUTH,
    inject,
)

WHOLE_SOURCES = {*MOST_OF_A_SOURCE, "nested-graphs"}
SIZE = ["--patients", "6", "--size", "64", "--visits", "2-3"]


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    out = tmp_path_factory.mktemp("clean") / "raw"
    simulate(out, SimulateConfig(patients=6, seed=5, size=64, visits=(2, 3)))
    return out


@pytest.fixture
def tree(clean, tmp_path):
    return shutil.copytree(clean, tmp_path / "raw")


def test_equal_seeds_give_equal_bytes(clean, tmp_path):
    trees = [shutil.copytree(clean, tmp_path / name) for name in "abc"]
    truths = [inject(out, 0.05, seed) for out, seed in zip(trees, (1, 1, 2), strict=True)]
    assert truths[0] == truths[1] != truths[2]
    assert file_hashes(trees[0]) == file_hashes(trees[1]) != file_hashes(trees[2])


@pytest.mark.parametrize("name", INJECTORS)
def test_every_defect_changes_files_and_is_recorded(clean, tree, name):
    truth = inject(tree, 0.02, 0, [name])
    assert list(truth) == [name] and truth[name]
    assert json.loads((tree / TRUTH).read_text()) == truth
    before, after = file_hashes(clean), file_hashes(tree)
    changed = {path for path in {*before, *after} if after.get(path) != before.get(path)}
    assert changed - {TRUTH}
    if name not in WHOLE_SOURCES:
        assert len(changed - {TRUTH}) <= 2 * len(truth[name]) + 2, changed


def test_the_rate_is_a_fraction_of_the_records(clean, tmp_path):
    num_reports = len(list(clean.rglob("s*.txt")))
    for rate, expected in ((0.01, 1), (0.5, round(0.5 * num_reports)), (1.0, num_reports)):
        out = shutil.copytree(clean, tmp_path / f"rate-{rate}")
        assert len(inject(out, rate, 0, ["missing-report"])["missing-report"]) == expected


def test_by_default_no_exclusive_defect_is_injected(tree):
    truth = inject(tree, 0.01, 0)
    assert set(truth) == set(INJECTORS) - set(EXCLUSIVE_DEFECTS)
    assert set(HARMLESS_DEFECTS) - set(EXCLUSIVE_DEFECTS) <= set(truth)


def test_a_defect_without_remaining_candidates_has_no_ids(tree):
    truth = inject(tree, 1.0, 0, ["missing-report", "report-not-utf8"])
    assert truth["missing-report"] and truth["report-not-utf8"] == []


@pytest.mark.parametrize(
    ("rate", "names", "message"),
    [
        (0.0, None, "rate 0.0"),
        (1.5, None, "rate 1.5"),
        (0.1, ["mising-image"], "did you mean 'missing-image'"),
    ],
)
def test_invalid_arguments_are_rejected_before_any_change(tree, rate, names, message):
    before = file_hashes(tree)
    with pytest.raises(ValueError, match=message):
        inject(tree, rate, 0, names)
    assert file_hashes(tree) == before


def test_defects_are_injected_once_and_into_simulated_trees_only(tree, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="not a simulated tree"):
        inject(tmp_path / "other", 0.1, 0)
    inject(tree, 0.1, 0, ["missing-report"])
    with pytest.raises(ValueError, match="has injected defects already"):
        inject(tree, 0.1, 0, ["missing-report"])
