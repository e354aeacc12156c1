"""predictions.jsonl: one JSON object per line, so that any system can be scored from its file.

Keys: id, task, prediction, references, and where known patient, prompt, confidence and guarded. An
invalid file is an error with its line or its count; no line is dropped or overwritten. Files in
other formats are read alike (`lapse.evaluation.predictions.rows`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from lapse.core.files import atomic_write
from lapse.core.types import Prediction
from lapse.evaluation.predictions.rows import AnswerRow, read_answers
from lapse.metrics.consistency import MARK, split_id


def read_predictions(path: Path) -> list[Prediction]:
    """The predictions of a file with references, in its order.

    Raises:
        ValueError: no such file, a line that is not a prediction (with its number), or ids that
            occur twice (with their count).
    """
    predictions = [complete_prediction(row) for row in read_answers(path).rows]
    check_unique(predictions)
    return predictions


def complete_prediction(row: AnswerRow, task: str = "") -> Prediction:
    """The prediction of a row with references; `task` is that of a row that names none.

    Raises:
        ValueError: a row without an id, a task or references, or with an invalid confidence.
    """
    is_image, of_task = row.kind == "image_id", row.task or task
    given = {"id": not is_image, "task": of_task, "references": row.references}
    if missing := [name for name, value in given.items() if not value]:
        raise ValueError(
            f"{row.source} has no {' and no '.join(missing)}: a prediction with references needs "
            "id, task and prediction (--task gives the task of all rows)"
        )
    name = row.key[0]
    if row.kind == "pair":
        name = "/".join((of_task, *row.key, *((row.question,) if row.question else ())))
    if row.probe and not split_id(name)[1]:
        name = f"{name}{MARK}{row.probe}"
    try:
        return Prediction(
            name,
            of_task,
            row.text,
            row.references,
            row.patient,
            row.prompt,
            row.confidence,
            row.guarded,
        )
    except ValueError as error:
        raise ValueError(f"{row.source}: {error}") from None


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write one JSON object per line, atomically.

    Raises:
        ValueError: an id occurs twice.
    """
    items = list(predictions)
    check_unique(items)
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(map(prediction_line, items))


def prediction_line(prediction: Prediction) -> str:
    """One line of a predictions file, with its line end."""
    values = asdict(prediction)
    del values["reader"]
    for name in ("confidence", "guarded"):
        if not values[name]:
            del values[name]
    return json.dumps(values, ensure_ascii=False) + "\n"


def check_unique(predictions: Iterable[Prediction]) -> None:
    """Refuse two predictions for one id.

    Raises:
        ValueError: the number of ids that occur more than once, and the first.
    """
    repeated = [name for name, count in Counter(p.id for p in predictions).items() if count > 1]
    if repeated:
        raise ValueError(f"{len(repeated)} ids occur more than once, the first is {repeated[0]!r}")


def check_same_samples(
    predictions: Iterable[Prediction], others: Iterable[Prediction], name: str
) -> None:
    """Refuse to compare two systems that answer different samples.

    Raises:
        ValueError: how many samples the two share, and how many each answers.
    """
    ids, other_ids = ({item.id for item in items} for items in (predictions, others))
    if ids != other_ids:
        raise ValueError(
            f"{name} answers other samples: {len(other_ids)} of them, {len(ids & other_ids)} "
            f"shared with the {len(ids)} to compare with; predict both with the same --split, "
            "--tasks and --limit"
        )


def in_order_of(
    predictions: Sequence[Prediction], others: Sequence[Prediction], name: str
) -> list[Prediction]:
    """The predictions of another system in the order of the first system's predictions.

    Args:
        name: of the other system, for the error.

    Raises:
        ValueError: the systems answer different samples, or samples have other references.
    """
    check_same_samples(predictions, others, name)
    by_id = {item.id: item for item in others}
    changed = [item.id for item in predictions if item.references != by_id[item.id].references]
    if changed:
        raise ValueError(
            f"{name} has other references for {len(changed)} samples, the first is "
            f"{changed[0]!r}: both files must come from one release and one store"
        )
    return [by_id[item.id] for item in predictions]
