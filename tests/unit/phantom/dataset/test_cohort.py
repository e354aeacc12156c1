"""Cohort roles: fractions of the test patients, and one split of a simulation alone."""

import gzip
import json
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store.store import open_store
from lapse.phantom.dataset.cohort import CohortRole, assign_cohort, selected_patients
from lapse.phantom.dataset.history import draw_history
from lapse.phantom.dataset.truth import read_states
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.phantom.patients.ood_splits import OOD_KINDS
from phantom_histories import MIXED, histories

CONFIG = SimulateConfig(
    patients=14, seed=4, size=64, visits=(2, 2), counterfactual_fraction=0.5, ood_fraction=0.0
)
MERGED = (".csv", ".gz", ".json", ".jsonl", ".zip", ".txt")


def test_roles_are_fractions_of_the_test_patients():
    roles = [history.role for history in histories()]
    test_roles = [role for role in roles if role.split == "test"]
    others = [role for role in roles if role.split != "test"]
    assert not any(role.is_counterfactual or role.ood for role in others)
    assert sum(role.is_counterfactual for role in test_roles) == int(0.5 * len(test_roles))
    counts = Counter(role.ood for role in test_roles if role.ood)
    assert set(counts) == set(OOD_KINDS) and set(counts.values()) == {int(0.1 * len(test_roles))}
    assert not any(role.is_counterfactual and role.ood for role in test_roles)


def test_roles_do_not_change_the_other_patients():
    plain = replace(MIXED, counterfactual_fraction=0.0, ood_fraction=0.0)
    for before, history in list(zip(assign_cohort(plain), histories(), strict=True))[:150]:
        assert before.split == history.role.split
        if before == history.role:
            assert draw_history(plain, history.patient, before) == history


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    out = tmp_path_factory.mktemp("complete") / "raw"
    simulate(out, CONFIG)
    return out


def simulate_split(out: Path, split: str) -> Path:
    simulate(out, replace(CONFIG, split=split))
    return out


def parts(path: Path) -> set[bytes]:
    """The lines of a table or the members of an archive."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name.encode() + archive.read(name) for name in archive.namelist()}
    if path.name == "all_diseases.json":
        return {json.dumps(item).encode() for item in json.loads(path.read_text())}
    data = path.read_bytes()
    return set((gzip.decompress(data) if path.suffix == ".gz" else data).splitlines())


def count_contained(small: Path, large: Path) -> tuple[int, int]:
    """Files of `small` that are equal in `large`, or of which all parts are; and all files."""
    files = [path for path in small.rglob("*") if path.is_file() and path.name != "SIMULATED.txt"]
    num_contained = 0
    for path in files:
        other = large / path.relative_to(small)
        if other.exists():
            is_equal = path.read_bytes() == other.read_bytes()
            num_contained += is_equal or (path.suffix in MERGED and parts(path) <= parts(other))
    return num_contained, len(files)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_alone_equals_that_split_of_the_complete_simulation(complete, tmp_path, split):
    out = simulate_split(tmp_path / "raw", split)
    num_contained, num_files = count_contained(out, complete)
    assert num_contained == num_files > 20
    assert {role.split for role in assign_cohort(CONFIG)} == {"train", "validate", "test"}
    states, all_states = (list(read_states(root)) for root in (out, complete))
    assert states == [state for state in all_states if state.split == split] != []
    table = Path("chest-imagenome/silver_dataset/splits") / f"{split}.csv"
    assert (out / table).read_bytes() == (complete / table).read_bytes()
    assert f"split: {split}" in (out / "SIMULATED.txt").read_text()
    assert "split: " not in (complete / "SIMULATED.txt").read_text()


def test_renumbered_patients_would_be_other_patients(complete, tmp_path, monkeypatch):
    """Negative control: the patients of the split are simulated with the indices 0, 1, ..."""

    def renumbered(config: SimulateConfig) -> tuple[tuple[int, CohortRole], ...]:
        return tuple(enumerate(role for _, role in selected_patients(config)))

    monkeypatch.setattr("lapse.phantom.dataset.writer.selected_patients", renumbered)
    num_contained, num_files = count_contained(simulate_split(tmp_path / "raw", "test"), complete)
    assert num_contained < num_files


def test_a_split_alone_has_the_roles_of_the_complete_simulation():
    config = replace(CONFIG, patients=400, counterfactual_fraction=0.1, ood_fraction=0.2)
    cohort = enumerate(assign_cohort(config))
    members = tuple(item for item in cohort if item[1].split == "test")
    assert selected_patients(replace(config, split="test")) == members
    assert sum(role.is_counterfactual for _, role in members) == 6
    assert sum(bool(role.ood) for _, role in members) == 12


def test_prepare_accepts_a_split_alone(complete, tmp_path):
    out = simulate_split(tmp_path / "raw", "test")
    prepare(find_roots([out]), tmp_path / "test", PrepareOptions(32, workers=0))
    prepare(find_roots([complete]), tmp_path / "all", PrepareOptions(32, workers=0))
    store, full_store = open_store(tmp_path / "test"), open_store(tmp_path / "all")
    assert len(store.studies_of("train")) == len(store.studies_of("validate")) == 0
    assert list(store.studies) == list(full_store.studies_of("test"))
    # The id of a pair ends in its row in the table of questions, which differs.
    pairs, full_pairs = (
        [replace(pair, id=pair.id.rpartition("/")[0]) for pair in items]
        for items in (store.pairs, full_store.pairs_of("test"))
    )
    assert pairs == full_pairs != []
    for study in store.studies:
        assert (store.pixels(study.image) == full_store.pixels(study.image)).all()


def test_an_empty_split_is_rejected(tmp_path):
    message = "none of 2 patients is in the split 'test': simulate more"
    with pytest.raises(ValueError, match=message):
        simulate(tmp_path / "raw", replace(CONFIG, patients=2, split="test"))
    assert not (tmp_path / "raw").exists()
