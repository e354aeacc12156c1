"""Prediction jobs in real processes: several ranks, kills, and the command under torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tiny_model
import tiny_store
from lapse.training.trainer import train

SUPPORT = Path(__file__).parents[1] / "support"
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(SUPPORT), *filter(None, sys.path)]),
    "OMP_NUM_THREADS": "1",
}


def run(*arguments: object, timeout: int = 280) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


@pytest.mark.parametrize("kills", [12, pytest.param(50, marks=pytest.mark.slow)])
def test_any_ranks_and_any_kills_give_the_same_bytes(kills, tmp_path):
    done = run(SUPPORT / "prediction_trials.py", tmp_path, kills, timeout=800)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["codes"] == {"1": [0], "2": [0, 0], "3": [0, 0, 0]}
    assert result["ranks"] == [True] * 3 and result["rows"] == 52
    assert result["equal"] == kills
    assert result["killed"] > kills // 2
    # a kill loses the batch in work: of the killed rank, and of the one that ends with it
    assert 0 < result["repeated"] <= 2 * 3


def test_torchrun_writes_one_file(tmp_path):
    data = tiny_store.write(tmp_path / "store")
    train(tiny_model.config(train__steps=2), data, tmp_path / "run")
    words = ["--allow", "tiny_model:Tiny", "predict", tmp_path / "run", "--data", data]
    words += ["--num-beams", "1", "--batch-size", "4"]
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    assert run("-m", "lapse", *words, "--out", one).returncode == 0
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = run(*launcher, "-m", "lapse", *words, "--out", two)
    assert done.returncode == 0, done.stderr[-2000:]
    assert two.read_bytes() == one.read_bytes()
    assert done.stderr.count("52 predictions in") == 1
    missing = run("-m", "lapse", "predict", "packaged", "--data", data)
    assert missing.returncode == 2 and "give --out" in missing.stderr
