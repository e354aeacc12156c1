"""The questions that a predictions file should answer: from a store, or from a question table.

    mimic_pair_questions.csv    study_id, subject_id, ref_id, question_type, question, answer, split
    a table of other questions  id, answer; optional question, patient, task, split

With a question table alone, files are scored without a store, images or torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lapse.core.registry import load
from lapse.core.types import SPLITS, Prediction, nearest
from lapse.data.datasets.mimic_diff_vqa import CATEGORIES, COLUMNS
from lapse.data.io.csv_tables import parse_split, plain_id
from lapse.data.store.store import Store
from lapse.evaluation.predictions.delimited import read_table

TASKS = ("diff_vqa", "vqa", "medical_vqa")
OTHER = ""  # task of a question that belongs to another task than the evaluated one


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its reference answer.

    `row` counts the data rows of the complete question table from 0, as EKAID's files do; -1
    where the store does not know it. `study` and `reference` are "" in a table of other questions.
    """

    id: str
    task: str
    study: str
    reference: str
    patient: str
    text: str
    answer: str
    row: int

    def answered(
        self, text: str, confidence: Mapping[str, float] | None = None, guarded: str = ""
    ) -> Prediction:
        """The prediction with this text."""
        return Prediction(
            self.id, self.task, text.strip(), (self.answer.strip(),), self.patient, self.text,
            confidence or {}, guarded,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of a split: those of the evaluated task, and those of other tasks.

    A file may answer the others as well; such answers are left out and counted.
    """

    items: Sequence[Question] = ()
    others: Sequence[Question] = ()


def split_of_table(path: Path, split: str, task: str) -> Questions:
    """All questions of one split of a table, in its order.

    A table of other questions without a column split belongs to every split but train.

    Raises:
        ValueError: no such file, split or task, a damaged row, or no question of the task.
    """
    _check_split(split)
    rows = _read_questions(path, task)
    questions = _divided([item for name, item in rows if name in (split, "")], task)
    if not questions.items:
        raise ValueError(f"split {split!r} of {path} has no question of the task {task}")
    return questions


def training_answers(path: Path, task: str) -> list[tuple[str, str]]:
    """(question, answer) of the training rows of a question table, for the baselines."""
    return [
        (item.text, item.answer.strip())
        for split, item in _read_questions(path, task)
        if split == "train" and item.task == task
    ]


def _read_questions(path: Path, task: str) -> Iterator[tuple[str, Question]]:
    """(split, question) of every row; `OTHER` marks the questions of other tasks."""
    categories: Sequence[str] = ()
    for number, (line, cells) in enumerate(read_table(path, ("answer",))):
        source = f"{path} line {line}"
        if "id" in cells:
            yield _own_question(source, number, cells, task)
            continue
        if not categories:
            if missing := [name for name in COLUMNS if name not in cells]:
                raise ValueError(
                    f"{path} has no column {missing[0]!r}: give mimic_pair_questions.csv, or a "
                    f"table with id and answer; found {', '.join(cells)}"
                )
            categories = _categories(task)
        name = task if cells["question_type"] in categories else OTHER
        split = parse_split(cells["split"], path)
        yield split, _mimic_question(source, number, cells, (task, name))


def _own_question(
    source: str, number: int, cells: Mapping[str, str], task: str
) -> tuple[str, Question]:
    name, answer = cells["id"], cells["answer"]
    if not name.strip() or not answer.strip():
        raise ValueError(f"{source}: {'id' if answer.strip() else 'answer'} is empty")
    of_task = cells.get("task", "").strip() or task
    question = Question(
        id=name,
        task=task if of_task == task else OTHER,
        study="",
        reference="",
        patient=cells.get("patient", cells.get("subject_id", "")).strip(),
        text=cells.get("question", ""),
        answer=answer,
        row=number,
    )
    split = cells.get("split", "").strip()
    return (parse_split(split, Path(source)) if split else ""), question


def _mimic_question(
    source: str, number: int, cells: Mapping[str, str], tasks: tuple[str, str]
) -> Question:
    """The question of a row; `tasks` are the task of its id and its own one."""
    category = cells["question_type"]
    if category not in CATEGORIES:
        raise ValueError(
            f"{source} has the question type {category!r}; {nearest(category, CATEGORIES)}"
        )
    main, other = plain_id(cells["study_id"]), plain_id(cells["ref_id"])
    return Question(
        id=f"{tasks[0]}/{main}/{other}/{number + 1}",
        task=tasks[1],
        study=main,
        reference=other,
        patient=plain_id(cells["subject_id"]),
        text=cells["question"],
        answer=cells["answer"],
        row=number,
    )


def split_of_store(store: Store, split: str, task: str) -> Questions:
    """All questions of one split of a store, in its order.

    No item where the split has no question of the task: captions and boxes need none.

    Raises:
        ValueError: no such split or task.
    """
    _check_split(split)
    categories = _categories(task)
    questions = []
    for pair in store.pairs_of(split):
        last = pair.id.rpartition("/")[2]
        questions.append(
            Question(
                id=f"{task}/{pair.id}",
                task=task if pair.category in categories else OTHER,
                study=pair.main.study,
                reference=pair.reference.study,
                patient=pair.main.patient,
                text=pair.question,
                answer=pair.answer,
                row=int(last) - 1 if last.isdecimal() else -1,
            )
        )
    return _divided(questions, task)


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


def _categories(task: str) -> Sequence[str]:
    if task not in TASKS:
        raise ValueError(f"no task {task!r} of questions; {nearest(task, TASKS)}")
    categories: Sequence[str] = load("tasks", task).categories
    return categories


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}: one of {', '.join(SPLITS)}")


def _divided(questions: Sequence[Question], task: str) -> Questions:
    items = [item for item in questions if item.task == task]
    return Questions(items, [item for item in questions if item.task != task])
