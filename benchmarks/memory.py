"""Peak memory of a job, measured in a process of its own.

The child builds the job, puts its high-water mark back to what it holds now, runs the job once,
and says by how much the mark has risen: weights and imports are not part of the figure, what the
job itself needs is. Linux only (/proc).
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
LIMIT = 300.0  # seconds


def peak_bytes(module: str, **arguments: Any) -> int:
    """By how much the peak memory rises while `module`'s `job(**arguments)()` runs once.

    Raises:
        ValueError: the child failed.
    """
    order = json.dumps({"module": module, "arguments": arguments})
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", order],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if done.returncode:
        raise ValueError(f"the process that measures memory failed: {done.stderr.strip()[-400:]}")
    return int(done.stdout.strip().splitlines()[-1])


def resident() -> int:
    """Bytes that this process holds in memory now."""
    return _status("VmRSS")


def highest() -> int:
    """The most that it has held since `forget_highest`."""
    return _status("VmHWM")


def forget_highest() -> None:
    """Put the high-water mark back to what is held now."""
    RESET.write_text("5")


def _status(name: str) -> int:
    for line in STATUS.read_text("utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{STATUS} has no {name}: memory is only measured on Linux")


def _child(order: str) -> None:
    asked = json.loads(order)
    job = importlib.import_module(asked["module"]).job(**asked["arguments"])
    before = resident()
    forget_highest()
    job()
    sys.stdout.write(f"{highest() - before}\n")


if __name__ == "__main__":
    _child(sys.argv[1])
