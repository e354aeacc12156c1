"""The memory of an evaluation grows slowly with the number of answers."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "experiments" / "evaluation_memory.py"
MAX_BYTES = 5500  # per answer; it was 7,900 when every row kept its own texts and numbers


def peak(num_rows: int) -> int:
    """The peak of the resident memory in MB; its start is that of an empty program."""
    output = subprocess.run(
        [sys.executable, SCRIPT, str(num_rows)], capture_output=True, text=True, check=True
    ).stdout
    match = re.search(r"peak (\d+) MB", output)
    assert match, output
    return int(match[1])


def test_memory_per_answer():
    few, many = peak(2000), peak(16_000)
    assert (many - few) << 20 < MAX_BYTES * 14_000, (few, many)
