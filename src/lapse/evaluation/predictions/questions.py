"""The questions that a predictions file should answer: from a store, or from the question table.

With mimic_pair_questions.csv alone, files are scored without a store, images or torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lapse.core.files import sha256_of
from lapse.core.registry import load
from lapse.core.types import SPLITS, Prediction, nearest
from lapse.data.datasets.mimic_diff_vqa import CATEGORIES, COLUMNS
from lapse.data.io.csv_tables import parse_split, plain_id, read_rows
from lapse.data.store.store import Store

TASKS = ("diff_vqa", "vqa", "medical_vqa")


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its reference answer.

    `row` counts the data rows of the complete question table from 0, as EKAID's files do; -1
    where the store does not know it.
    """

    id: str
    task: str
    study: str
    reference: str
    patient: str
    text: str
    answer: str
    row: int

    def answered(self, text: str) -> Prediction:
        """The prediction with this text."""
        return Prediction(
            self.id, self.task, text.strip(), (self.answer.strip(),), self.patient, self.text
        )


def questions_of_table(path: Path, split: str, task: str) -> list[Question]:
    """The questions of one task in one split of the data set, in the order of the table.

    Raises:
        ValueError: no such file, split or task, a damaged row, or no question at all.
    """
    _check(split, task)
    categories = load("tasks", task).categories
    questions = []
    for number, fields in enumerate(read_rows(path, COLUMNS)):
        study, patient, reference, category, text, answer, word = fields
        if category not in CATEGORIES:
            raise ValueError(
                f"{path} row {number + 1} has the question type {category!r}; "
                f"{nearest(category, CATEGORIES)}"
            )
        if category in categories and parse_split(word, path) == split:
            main, other = plain_id(study), plain_id(reference)
            name = f"{task}/{main}/{other}/{number + 1}"
            questions.append(
                Question(name, task, main, other, plain_id(patient), text, answer, number)
            )
    return _non_empty(questions, f"split {split!r} of {path}", task)


def questions_of_store(store: Store, split: str, task: str) -> list[Question]:
    """The questions of one task in one split of a store, in its order.

    Raises:
        ValueError: no such split or task, or no question at all.
    """
    _check(split, task)
    categories = load("tasks", task).categories
    questions = []
    for pair in store.pairs_of(split):
        if pair.category in categories:
            last = pair.id.rpartition("/")[2]
            questions.append(
                Question(
                    id=f"{task}/{pair.id}",
                    task=task,
                    study=pair.main.study,
                    reference=pair.reference.study,
                    patient=pair.main.patient,
                    text=pair.question,
                    answer=pair.answer,
                    row=int(last) - 1 if last.isdecimal() else -1,
                )
            )
    return _non_empty(questions, f"split {split!r} of {store.path}", task)


def training_answers(path: Path, task: str) -> list[tuple[str, str]]:
    """(question, answer) of the training rows of a question table, for the baselines."""
    return [(item.text, item.answer.strip()) for item in questions_of_table(path, "train", task)]


def table_facts(path: Path, split: str) -> dict[str, str]:
    """Provenance of scores whose references come from a question table."""
    return {
        "data release": f"{path.name}, SHA-256 {sha256_of(path)[:16]}",
        "split protocol": f"the table's own split, part {split!r} (rows, not patients)",
    }


def check_answered(questions: Sequence[Question], predictions: Sequence[Prediction]) -> str:
    """Compare predictions with the questions of their task; a sentence on what they cover.

    Raises:
        ValueError: how many predictions answer no such question, or have other references.
    """
    by_id = {item.id: item for item in questions}
    extra = [item.id for item in predictions if item.id not in by_id]
    changed = [
        item.id
        for item in predictions
        if item.id in by_id and item.references[0].strip() != by_id[item.id].answer.strip()
    ]
    if extra or changed:
        first = (extra or changed)[0]
        raise ValueError(
            f"{len(extra)} predictions answer no question of this split and {len(changed)} have "
            f"another reference than it, the first is {first!r}: give the data they were made from"
        )
    return f"{len(predictions)} of the {len(questions)} questions of the split are answered"


def _check(split: str, task: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}: one of {', '.join(SPLITS)}")
    if task not in TASKS:
        raise ValueError(f"no task {task!r} of questions; {nearest(task, TASKS)}")


def _non_empty(questions: list[Question], source: str, task: str) -> list[Question]:
    if not questions:
        raise ValueError(f"{source} has no question of the task {task}")
    return questions
