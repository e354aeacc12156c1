"""A dry run of `experiments/gpu_run.sh` on a CPU: simulated patients to results, then once more."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = """title: One small arm
section: none
tasks: [diff_vqa]
columns: {exact match: diff_vqa/exact match}
ours: ours
small_limit: 4
seed_stages: all
small:
  pretrain: [train.steps=2, train.eval_samples=4]
  diffvqa: [train.steps=2, train.eval_samples=4]
rows:
  - {key: ours, name: ours, small: [pretrain-tiny, diffvqa-tiny]}
"""


def run(folder: Path, seconds: int) -> str:
    settings = {
        "PYTHON": sys.executable,
        "PATIENTS": "24",
        "CORES": "2",
        "PROCESSES": "2",
        "ARMS": "ours",
        "TABLE": str(folder / "table.yaml"),
    }
    done = subprocess.run(
        [shutil.which("bash"), "experiments/gpu_run.sh", str(folder / "out"), str(seconds)],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    logs = [path.read_text("utf-8")[-500:] for path in (folder / "out").rglob("logs/*.log")]
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:], logs)
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a bash script")
def test_the_script_reaches_its_end_without_a_gpu_and_continues(tmp_path):
    (tmp_path / "table.yaml").write_text(TABLE, "utf-8")
    text = run(tmp_path, 480)
    notes = ("simulated", "prepared", "experiment over", "tests over", "benchmark over")
    assert all(f" s] {note}" in text for note in notes), text
    results = sorted((tmp_path / "out" / "results").rglob("predictions*"))
    assert len(results) >= 3  # one seed each
    before = {path: path.read_bytes() for path in results}
    again = run(tmp_path, 5)
    assert "simulated" not in again and "experiment over" in again
    assert {path: path.read_bytes() for path in results} == before
