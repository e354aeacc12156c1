"""`lapse audit` on the phantom's own questions: no more than the documented image-blind scores.

    python experiments/phantom_blind_audit.py --patients 9400 --seed 11

No image is rendered. Writes the questions of the test split to a CSV, audits the difference
questions and all questions, and prints both tables.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

from lapse.cli.audit import ColumnGroup, audit_command
from lapse.core.changes import QUESTION_CHANGED
from lapse.phantom.dataset.cohort import assign_cohort
from lapse.phantom.dataset.history import draw_history
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.patients.identity import subject_number
from lapse.phantom.text.questions import pair_questions


def write_questions(path: Path, config: SimulateConfig, split: str = "test") -> int:
    """Write the questions of a split as CSV; returns their number."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("subject_id", "question_type", "question", "answer"))
        for patient, role in enumerate(assign_cohort(config)):
            if role.split != split:
                continue
            history = draw_history(config, patient, role)
            subject = str(subject_number(config.seed, patient))
            for reference, main in history.pairs:
                view = main.acquisition.view
                items = pair_questions(reference.visit, main.visit, view, seed=config.seed)
                for item in items:
                    writer.writerow((subject, item.category, item.question, item.answer))
                    count += 1
    return count


def main() -> None:
    """Print the audit of the difference questions and of all questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=9400)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "questions.csv"
        write_questions(path, SimulateConfig(options.patients, options.seed, size=64))
        for only in ([f"question={QUESTION_CHANGED}"], []):
            print("\n" + (", ".join(only) or "all questions"))
            audit_command(path, ColumnGroup(only=only))


if __name__ == "__main__":
    main()
