"""A million questions cost `verify` at most 250 MB more than a thousand."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lapse.phantom.dataset.writer import SimulateConfig, simulate

LIMIT_MB = 250
# VmHWM is the peak of the process alone; ru_maxrss of a child includes memory of its parent.
STATUS = Path("/proc/self/status")
QUESTION = "is there evidence of {} in this image?"
CHILD = """
import sys
from pathlib import Path
from lapse.data.datasets.discovery import find_roots
from lapse.data.verify.verify import verify
report = verify(find_roots([Path(sys.argv[1])]))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(report.num_defects("error"), int(status["VmHWM"].split()[0]) // 1024)
rows = {row.table: row.num_rows for row in report.rows}
print(rows["questions"], len(report.ids("duplicate-question")))
"""


def write_questions(tree, count):
    """Distinct questions about the existing studies, and ten repeated ones at the end."""
    path = tree / "medical-diff-vqa" / "mimic_pair_questions.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    studies = sorted({(row[0], row[1], row[2], row[6]) for row in rows})
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        for number in [*range(count - 10), *range(10)]:
            main, subject, ref, split = studies[number % len(studies)]
            question = QUESTION.format(f"edema {number}")
            writer.writerow((main, subject, ref, "presence", question, "no", split))


def measure(tree):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tree)], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first.split()[0] == "0", done.stdout
    return int(first.split()[1]), second


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.is_file(), reason="needs /proc")
def test_memory_of_a_million_questions(tmp_path):
    simulate(tmp_path / "small", SimulateConfig(patients=6, seed=4, size=64, visits=(2, 3)))
    shutil.copytree(tmp_path / "small", tmp_path / "large")
    write_questions(tmp_path / "small", 1_000)
    write_questions(tmp_path / "large", 1_000_000)
    small, counted = measure(tmp_path / "small")
    assert counted == "1000 10"
    large, counted = measure(tmp_path / "large")
    assert counted == "1000000 10"
    print(f"peak {small} MB with 1,000 rows, {large} MB with 1,000,000: {large - small} MB more")
    assert large - small <= LIMIT_MB
