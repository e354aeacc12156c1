"""An interrupted simulation continues with equal bytes and simulates no block twice."""

import pytest

from file_hashes import file_hashes
from lapse.phantom.dataset import resume_blocks
from lapse.phantom.dataset.writer import SimulateConfig, simulate

OPTIONS = {"patients": 8, "seed": 4, "size": 64, "visits": (2, 2), "tier": "mixed"}
OPTIONS |= {"counterfactual_fraction": 1.0, "ood_fraction": 0.0}
CONFIG = SimulateConfig(**OPTIONS)


class InterruptError(Exception):
    """Interrupts a simulation."""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted") / "raw"
    simulate(out, CONFIG)
    return file_hashes(out)


@pytest.fixture
def simulated(monkeypatch):
    """The patients that were simulated, in order."""
    patients = []
    write_patient = resume_blocks.write_patient

    def recorded(out, config, patient, role):
        patients.append(patient)
        return write_patient(out, config, patient, role)

    monkeypatch.setattr(resume_blocks, "write_patient", recorded)
    return patients


def interrupt(out, after, config=CONFIG):
    """Simulate `after` patients."""

    def progress(done, total):
        if done == after:
            raise InterruptError

    with pytest.raises(InterruptError):
        simulate(out, config, progress)
    assert not (out / "SIMULATED.txt").exists()


@pytest.mark.parametrize("after", [1, 5, 8])
def test_an_interrupted_run_continues_with_the_missing_blocks(
    tmp_path, uninterrupted, simulated, after
):
    interrupt(tmp_path, after)
    simulated.clear()
    calls = []
    report = simulate(tmp_path, CONFIG, lambda done, total: calls.append((done, total)))
    assert simulated == list(range(after, 8))
    assert calls == [(done, 8) for done in range(after + 1, 9)]
    assert report.num_patients == 8 and file_hashes(tmp_path) == uninterrupted


def test_without_block_files_all_patients_are_simulated_again(tmp_path, uninterrupted, simulated):
    """Negative control: the files that mark finished blocks are removed."""
    interrupt(tmp_path, 5)
    for path in (tmp_path / resume_blocks.FOLDER).glob("*.jsonl"):
        path.unlink()
    simulated.clear()
    simulate(tmp_path, CONFIG)
    assert simulated == list(range(8)) and file_hashes(tmp_path) == uninterrupted


def test_remains_of_an_interrupted_last_step_are_removed(tmp_path, uninterrupted):
    interrupt(tmp_path, 8)
    (tmp_path / f"{resume_blocks.FOLDER}-done").mkdir()
    simulate(tmp_path, CONFIG)
    assert file_hashes(tmp_path) == uninterrupted


def test_an_interrupted_run_with_other_options_is_rejected(tmp_path):
    interrupt(tmp_path, 2)
    with pytest.raises(ValueError, match=r"interrupted simulation with nuisance 1\.0, not 0\.5"):
        simulate(tmp_path, SimulateConfig(**OPTIONS, nuisance=0.5))


def test_blocks_grow_with_the_simulation():
    sizes = [resume_blocks.block_size(n) for n in (1, 48, 160, 4000, 65_000)]
    assert sizes == [1, 1, 2, 16, 16]
