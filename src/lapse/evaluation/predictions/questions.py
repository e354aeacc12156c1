"""The questions that a predictions file should answer: from a store, or from the CSV itself.

Whoever has only `mimic_pair_questions.csv` needs no store, no image and no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lapse.core.files import sha256_of
from lapse.core.registry import load
from lapse.core.types import SPLITS, Prediction, nearest
from lapse.data.datasets.mimic_diff_vqa import CATEGORIES, COLUMNS
from lapse.data.io.csv_tables import plain_id, read_rows, split_word
from lapse.data.store.store import Store

TASKS = ("diff_vqa", "vqa", "medical_vqa")


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its true answer.

    `row` counts the data rows of the whole question table from 0, as EKAID's files do; -1 where
    the store does not say.
    """

    id: str
    task: str
    study: str
    reference: str
    patient: str
    text: str
    answer: str
    row: int

    def answered(self, said: str) -> Prediction:
        """The prediction that says this."""
        true = (self.answer.strip(),)
        return Prediction(self.id, self.task, said.strip(), true, self.patient, self.text)


def questions_of_table(path: Path, split: str, task: str) -> list[Question]:
    """The questions of one split of the data set's own, for one task, in the table's order.

    Raises:
        ValueError: no such file, split or task, a damaged row, or no question at all.
    """
    _check(split, task)
    categories = load("tasks", task).categories
    found = []
    for number, fields in enumerate(read_rows(path, COLUMNS)):
        study, patient, reference, category, text, answer, word = fields
        if category not in CATEGORIES:
            raise ValueError(
                f"{path} row {number + 1} has the question type {category!r}; "
                f"{nearest(category, CATEGORIES)}"
            )
        if category in categories and split_word(word, path) == split:
            main, other = plain_id(study), plain_id(reference)
            name = f"{task}/{main}/{other}/{number + 1}"
            found.append(Question(name, task, main, other, plain_id(patient), text, answer, number))
    return _some(found, f"split {split!r} of {path}", task)


def questions_of_store(store: Store, split: str, task: str) -> list[Question]:
    """The questions of one split of a store, for one task, in its order.

    Raises:
        ValueError: no such split or task, or no question at all.
    """
    _check(split, task)
    categories = load("tasks", task).categories
    found = []
    for pair in store.pairs_of(split):
        if pair.category in categories:
            last = pair.id.rpartition("/")[2]
            row = int(last) - 1 if last.isdecimal() else -1
            main, other = pair.main, pair.reference
            found.append(
                Question(
                    id=f"{task}/{pair.id}",
                    task=task,
                    study=main.study,
                    reference=other.study,
                    patient=main.patient,
                    text=pair.question,
                    answer=pair.answer,
                    row=row,
                )
            )
    return _some(found, f"split {split!r} of {store.path}", task)


def training_answers(path: Path, task: str) -> list[tuple[str, str]]:
    """(question, answer) of the training rows of a question table, for the blind rows."""
    return [(item.text, item.answer.strip()) for item in questions_of_table(path, "train", task)]


def table_facts(path: Path, split: str) -> dict[str, str]:
    """Where numbers scored against a question table come from."""
    return {
        "data release": f"{path.name}, SHA-256 {sha256_of(path)[:16]}",
        "split protocol": f"the table's own split, part {split!r} (rows, not patients)",
    }


def check_answered(questions: list[Question], predictions: list[Prediction]) -> str:
    """Compare a predictions file with the questions of its task; a sentence on what it covers.

    Raises:
        ValueError: how many predictions answer no such question, or have other references.
    """
    known = {item.id: item for item in questions}
    extra = [item.id for item in predictions if item.id not in known]
    changed = [
        item.id
        for item in predictions
        if item.id in known and item.references[0].strip() != known[item.id].answer.strip()
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


def _some(found: list[Question], where: str, task: str) -> list[Question]:
    if not found:
        raise ValueError(f"{where} has no question of the task {task}")
    return found


def by_task(predictions: list[Prediction]) -> Iterator[tuple[str, list[Prediction]]]:
    """The predictions of each task, in order of appearance."""
    for task in dict.fromkeys(item.task for item in predictions):
        yield task, [item for item in predictions if item.task == task]
