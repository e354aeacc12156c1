"""One part of a tree alone: the same bytes for the same patients, and a store made of them."""

import gzip
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store.store import open_store
from lapse.phantom.dataset import cohort
from lapse.phantom.dataset.cohort import assign_cohort, selected_patients
from lapse.phantom.dataset.truth import read_states
from lapse.phantom.dataset.writer import SimulateConfig, simulate

CONFIG = SimulateConfig(
    patients=14, seed=4, size=64, visits=(2, 2), counterfactual_fraction=0.5, ood_fraction=0.0
)
MERGED = (".csv", ".gz", ".json", ".jsonl", ".zip", ".txt")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "raw"
    simulate(out, CONFIG)
    return out


def alone(out: Path, part: str) -> Path:
    simulate(out, replace(CONFIG, split=part))
    return out


def pieces(path: Path) -> set[bytes]:
    """What a file is made of: lines of tables without their number, members of an archive."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name.encode() + archive.read(name) for name in archive.namelist()}
    if path.name == "all_diseases.json":
        return {json.dumps(item).encode() for item in json.loads(path.read_text())}
    data = path.read_bytes()
    return set((gzip.decompress(data) if path.suffix == ".gz" else data).splitlines())


def compared(small: Path, large: Path) -> tuple[int, int]:
    """Files of the small tree whose every piece is in the large one, and all of them."""
    files = [path for path in small.rglob("*") if path.is_file()]
    files = [path for path in files if path.name != "SIMULATED.txt"]
    same = 0
    for path in files:
        other = large / path.relative_to(small)
        if other.exists():
            own = path.read_bytes() == other.read_bytes()
            same += own or (path.suffix in MERGED and pieces(path) <= pieces(other))
    return same, len(files)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_alone_has_the_bytes_that_it_has_in_the_whole_tree(whole, tmp_path, part):
    out = alone(tmp_path / "raw", part)
    same, count = compared(out, whole)
    print(f"{part} alone: {same}/{count} files")
    assert same == count > 20
    wanted = {role.split for role in assign_cohort(CONFIG)}
    assert part in wanted and len(wanted) == 3
    states, everyone = (list(read_states(root)) for root in (out, whole))
    assert states == [state for state in everyone if state.split == part] != []
    name = {"train": "train.csv", "test": "test.csv"}[part]
    split = Path("chest-imagenome/silver_dataset/splits") / name
    assert (out / split).read_bytes() == (whole / split).read_bytes()
    assert f"split: {part}" in (out / "SIMULATED.txt").read_text()
    assert "split: " not in (whole / "SIMULATED.txt").read_text()


def test_patients_numbered_anew_would_be_other_patients(whole, tmp_path, monkeypatch):
    """Without the guard: those of the part are drawn under the numbers 0, 1, ..."""

    def renumbered(config: SimulateConfig) -> tuple[tuple[int, cohort.CohortRole], ...]:
        return tuple(enumerate(role for _, role in selected_patients(config)))

    monkeypatch.setattr("lapse.phantom.dataset.writer.selected_patients", renumbered)
    same, count = compared(alone(tmp_path / "raw", "test"), whole)
    print(f"sabotage, numbered anew: {same}/{count} files")
    assert same < count


def test_quads_and_tails_are_those_of_the_whole_tree():
    config = replace(CONFIG, patients=400, counterfactual_fraction=0.1, ood_fraction=0.2)
    everyone = enumerate(assign_cohort(config))
    tested = tuple(item for item in everyone if item[1].split == "test")
    assert selected_patients(replace(config, split="test")) == tested
    assert sum(role.is_counterfactual for _, role in tested) == 6
    assert sum(bool(role.ood) for _, role in tested) == 12


def test_prepare_makes_a_store_of_one_part(whole, tmp_path):
    out = alone(tmp_path / "raw", "test")
    prepare(find_roots([out]), tmp_path / "some", PrepareOptions(32, workers=0))
    prepare(find_roots([whole]), tmp_path / "all", PrepareOptions(32, workers=0))
    some, every = open_store(tmp_path / "some"), open_store(tmp_path / "all")
    assert len(some.studies_of("train")) == len(some.studies_of("validate")) == 0
    assert list(some.studies) == list(every.studies_of("test"))
    # An id ends in the row of the question table, which is another one.
    found = [
        [replace(pair, id=pair.id.rpartition("/")[0]) for pair in pairs]
        for pairs in (some.pairs, every.pairs_of("test"))
    ]
    assert found[0] == found[1] != []
    for study in some.studies:
        assert (some.pixels(study.image) == every.pixels(study.image)).all()


def test_a_part_that_is_none_or_empty_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no split 'tests'; .*'test'"):
        replace(CONFIG, split="tests")
    with pytest.raises(
        ValueError, match="none of 2 patients is in the split 'test': simulate more"
    ):
        simulate(tmp_path / "raw", replace(CONFIG, patients=2, split="test"))
    assert not (tmp_path / "raw").exists()
