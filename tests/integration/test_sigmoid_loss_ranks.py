"""The sigmoid loss over ranks equals one process with the complete batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import lapse

SUPPORT = Path(__file__).parents[1] / "support"


def test_ranks_equal_one_process_with_the_complete_batch(tmp_path):
    path = os.pathsep.join([str(Path(lapse.__file__).parents[1]), str(SUPPORT)])
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "sigmoid_ranks.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    complete = result["one"]
    for name in ("two", "three", "two ignoring"):
        expected = result["one ignoring"] if "ignoring" in name else complete
        assert max(abs(a - b) for a, b in zip(result[name], expected, strict=True)) < 1e-6, name
    assert result["one ignoring"] != complete
    # Ranks that contrast only with their own texts do not give the loss of the complete batch.
    alone = result["two alone"]
    assert max(abs(a - b) for a, b in zip(alone, complete, strict=True)) > 1e-3
    differences = [abs(a - b) for a, b in zip(*result["trained"], strict=True)]
    assert max(differences) < 1e-4  # three steps move weights by 9e-4
    assert sum(differences) / len(differences) < 1e-6
