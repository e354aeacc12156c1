"""Peak memory of `lapse evaluate` on a file of many rows.

    python experiments/evaluation_memory.py 20000
    python experiments/evaluation_memory.py 200000

Writes answers about simulated changes to a temporary folder, four answers per patient, evaluates
them without Java in this process, and prints the peak of the resident memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from lapse.core.changes import Change, render
from lapse.core.findings import FINDINGS
from lapse.core.seeding import derive_index, derive_permutation
from lapse.core.types import Prediction
from lapse.evaluation.evaluate import EvaluateOptions
from lapse.evaluation.evaluate_file import EvaluateFileOptions, evaluate_file
from lapse.evaluation.predictions.jsonl import write_predictions

PER_PATIENT = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int)
    num_rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.jsonl"
        write_predictions(
            path,
            (
                Prediction(
                    f"diff_vqa/{row}",
                    "diff_vqa",
                    answer(row, "answer") if row % 3 else answer(row, "reference"),
                    (answer(row, "reference"),),
                    f"p{row // PER_PATIENT}",
                )
                for row in range(num_rows)
            ),
        )
        before = peak()
        start = time.monotonic()
        evaluate_file(EvaluateFileOptions(path, scoring=EvaluateOptions(use_java=False)))
        seconds = time.monotonic() - start
    print(f"{num_rows} rows: {before} MB before, peak {peak()} MB, {seconds:.0f} s")


def answer(row: int, role: str) -> str:
    """One to four changes: 200,000 rows have some 100,000 different answers."""
    order = derive_permutation(len(FINDINGS), row, role)
    number = 1 + derive_index(4, row, role, "number")
    kinds = ("added", "missing")
    return render(
        Change(FINDINGS[index], kinds[derive_index(2, row, role, index)])
        for index in order[:number]
    )


def peak() -> int:
    """The largest resident memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
