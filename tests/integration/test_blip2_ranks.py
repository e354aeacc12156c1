"""BLIP-2 contrasts over all ranks: the losses equal those of one process with all pairs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lapse

SUPPORT = Path(__file__).parents[1] / "support"


def test_contrast_over_all_ranks_equals_one_process_with_all_pairs(tmp_path):
    path = os.pathsep.join([str(Path(lapse.__file__).parents[1]), str(SUPPORT)])
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "blip2_ranks.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    (one,) = result["one"]
    contrast = sum(rank["contrast"] for rank in result["all"]) / 2
    assert contrast == pytest.approx(one["contrast"], rel=1e-5)
    assert sum(rank["matches"] for rank in result["all"]) == one["matches"]
    within = sum(rank["contrast"] for rank in result["rank"]) / 2
    assert abs(within - one["contrast"]) > 0.1  # two pairs of a rank are easier than four
    assert all(rank["gradient"] > 0 for rank in (*result["all"], *result["rank"]))
