"""BLIP-2 contrasts over all ranks: the losses equal those of one process with all pairs."""

import pytest

from script_trials import run_script


def test_contrast_over_all_ranks_equals_one_process_with_all_pairs(tmp_path):
    result = run_script("blip2_ranks.py", tmp_path)
    (one,) = result["one"]
    contrast = sum(rank["contrast"] for rank in result["all"]) / 2
    assert contrast == pytest.approx(one["contrast"], rel=1e-5)
    assert sum(rank["matches"] for rank in result["all"]) == one["matches"]
    within = sum(rank["contrast"] for rank in result["rank"]) / 2
    assert abs(within - one["contrast"]) > 0.1  # two pairs of a rank are easier than four
    assert all(rank["gradient"] > 0 for rank in (*result["all"], *result["rank"]))
