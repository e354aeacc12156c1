"""Runs a script of this folder in a new process, and returns the JSON that it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import lapse

SUPPORT = Path(__file__).parent


def run_script(name: str, *arguments: object, timeout: float = 120) -> Any:
    path = os.pathsep.join([str(Path(lapse.__file__).parents[1]), str(SUPPORT)])
    done = subprocess.run(
        [sys.executable, str(SUPPORT / name), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
