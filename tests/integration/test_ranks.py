"""Several ranks: equal losses, checkpoints and samples for every number of ranks."""

from pathlib import Path

import pytest

from script_trials import run_script


def run_trials(mode: str, folder: Path) -> dict:
    return run_script("rank_trials.py", mode, folder, timeout=280)


def distance(one: list[float], two: list[float]) -> float:
    """The norm of the difference divided by the norm."""
    square = sum((a - b) ** 2 for a, b in zip(one, two, strict=True))
    return (square / sum(a * a for a in one)) ** 0.5


def check_equal(results: dict) -> None:
    assert results["codes"] == {"one": [0], "ddp": [0, 0], "fsdp": [0, 0]}
    one = results["one"]
    for kind in ("ddp", "fsdp"):
        other = results[kind]
        assert other["layout"] == one["layout"] and other["moments"] == one["moments"]
        # Adam divides a gradient by its size, so where that is rounding noise a weight may differ.
        assert distance(one["weights"], other["weights"]) < 1e-4
        for left, right in zip(one["log"], other["log"], strict=True):
            assert left == pytest.approx(right, rel=1e-5, abs=1e-5)
    assert one["log"][0]["validate/loss"] != one["log"][-1]["validate/loss"]


def test_two_ranks_of_stage_two_have_the_losses_of_one_process(tmp_path):
    check_equal(run_trials("diffvqa", tmp_path))


def test_shards_that_are_filled_after_the_meta_device_have_the_same_bits(tmp_path):
    results = run_trials("shards", tmp_path)
    assert results["codes"] == [0, 0]
    for rank in results["ranks"]:
        assert len(rank) == 12  # not those with scalar parameters
        for name, (is_equal, has_buffers, local) in rank.items():
            assert is_equal and has_buffers, name
            assert 0.3 < local < 0.7, name  # an uneven first dimension is not halved exactly


@pytest.mark.slow
def test_two_ranks_of_stage_one_have_the_losses_of_one_process(tmp_path):
    results = run_trials("pretrain", tmp_path)
    check_equal(results)
    assert distance(results["one"]["weights"], results["apart"]["weights"]) > 1e-2


@pytest.mark.slow
def test_from_two_ranks_to_one_and_back_the_samples_are_the_same(tmp_path):
    results = run_trials("order", tmp_path)
    assert results["codes"] == [[0, 0], [9, 9], [9], [0, 0]]
    assert results["worlds"] == ["1", "2"]
    assert len(results["straight"]) == 6 and results["straight"] == results["mixed"]
    assert distance(*results["weights"]) < 1e-4


@pytest.mark.slow
def test_tasks_of_srun_form_a_process_group(tmp_path):
    assert run_trials("slurm", tmp_path) == {"codes": [0, 0], "ranks": 2}
