"""Peak memory of a job, measured in a separate process.

The child process builds the job, resets its high-water mark to the memory in use, runs the job
once, and prints by how much the mark has risen. The figure therefore excludes weights and imports.
Linux only (/proc).
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.row import Check, at_most

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
TIMEOUT = 300.0  # seconds


def peak_bytes(module: str, **arguments: Any) -> int:
    """By how much the peak memory rises while `module`'s `job(**arguments)()` runs once.

    Raises:
        ValueError: the child process failed.
    """
    order = json.dumps({"module": module, "arguments": arguments})
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", order],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if done.returncode:
        raise ValueError(f"the process that measures memory failed: {done.stderr.strip()[-400:]}")
    return int(done.stdout.strip().splitlines()[-1])


def memory_check(module: str, limit: float, note: str = "", **arguments: Any) -> Check:
    """The peak memory of `module`'s job of "ours" over that of "peer"."""
    ours, peer = (peak_bytes(module, system=system, **arguments) for system in ("ours", "peer"))
    detail = f"{ours / 1e6:.0f} MB against {peer / 1e6:.0f} MB{note}"
    return at_most("memory, ours over peer", ours / peer, limit, detail)


def resident_bytes() -> int:
    """Memory that this process uses now."""
    return _status("VmRSS")


def _status(name: str) -> int:
    for line in STATUS.read_text("utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{STATUS} has no {name}: memory is only measured on Linux")


def _measure(order: str) -> None:
    values = json.loads(order)
    job = importlib.import_module(values["module"]).job(**values["arguments"])
    before = resident_bytes()
    RESET.write_text("5")  # the high-water mark becomes the memory in use
    job()
    sys.stdout.write(f"{_status('VmHWM') - before}\n")


if __name__ == "__main__":
    _measure(sys.argv[1])
