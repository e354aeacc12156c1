"""Predictions files of other systems: a CSV by study numbers, or a COCO result file.

    CSV     study_id, ref_id, prediction; also question where a pair has several questions
    COCO    [{"image_id": ..., "caption": ...}, ...]; the meaning of image_id differs:

    study_ref   "50000001_50000002": main and reference study
    row         row of the complete mimic_pair_questions.csv, counted from 0 (EKAID)
    position    position among the questions of this split and task, counted from 0
    doubled     twice that position (PLURAL)

"auto" takes the one meaning under which every question has exactly one answer, and refuses to
choose where two meanings fit. Missing, extra and duplicate keys are errors with their count.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from lapse.core.types import Prediction, nearest
from lapse.data.io.csv_tables import plain_id, read_header, read_rows
from lapse.evaluation.predictions.jsonl import read_predictions
from lapse.evaluation.predictions.questions import Question, check_answered

IMAGE_IDS = ("study_ref", "row", "position", "doubled")
SUFFIXES = (".csv", ".gz", ".json")

Key: TypeAlias = Hashable
Answers: TypeAlias = list[tuple[Key, str]]


def is_external(path: Path) -> bool:
    """Whether the suffix of a file is that of a CSV or COCO file."""
    return path.suffix.lower() in SUFFIXES


def read_external(
    path: Path, questions: Sequence[Question], *, image_ids: str = "auto"
) -> tuple[list[Prediction], str]:
    """The predictions of a CSV or COCO file, in the order of the questions.

    Args:
        path: the file.
        questions: the questions that must be answered, all of them.
        image_ids: meaning of a COCO file's image_id, or "auto".

    Returns:
        The predictions, and how the keys were read.

    Raises:
        ValueError: an unreadable file, or how many keys are missing, extra and duplicate.
    """
    if path.suffix.lower() == ".json":
        return _join_coco(path, questions, image_ids)
    answers, with_question = _read_csv(path)
    name = "study_id, ref_id and question" if with_question else "study_id and ref_id"
    keys = [_pair_key(item, with_question) for item in questions]
    if with_question:  # the table repeats a few rows: their answers are matched in order
        keys = _number_repeats(keys)
        texts = [text for _, text in answers]
        answers = list(zip(_number_repeats([key for key, _ in answers]), texts, strict=True))
    shared = sum(count for count in Counter(keys).values() if count > 1)
    if shared:
        raise ValueError(
            f"{shared} of {len(keys)} questions share their {name} with another one: add a "
            f"column question to {path}"
        )
    return _join(answers, keys, questions, f"{path} by {name}"), f"keys: {name}"


def read_any(
    path: Path, questions: Sequence[Question], *, image_ids: str = "auto"
) -> tuple[list[Prediction], str]:
    """The predictions of a file in any format, and a sentence on what it covers.

    Raises:
        ValueError: as `read_predictions`, `check_answered` and `read_external`; a CSV or COCO
            file without questions to join it with.
    """
    if is_external(path):
        if not questions:
            raise ValueError(
                f"{path} holds no references: give --data STORE or --questions "
                "mimic_pair_questions.csv"
            )
        return read_external(path, questions, image_ids=image_ids)
    predictions = read_predictions(path)
    if not questions:
        return predictions, ""
    task = questions[0].task
    plain = [item for item in predictions if item.task == task and "#" not in item.id]  # no probe
    return predictions, check_answered(list(questions), plain) if plain else ""


def _number_repeats(keys: Sequence[Key]) -> list[Key]:
    """The keys, each with the number of equal keys before it."""
    seen: Counter[Key] = Counter()
    numbered: list[Key] = []
    for key in keys:
        numbered.append((key, seen[key]))
        seen[key] += 1
    return numbered


def _pair_key(item: Question, with_question: bool) -> Key:
    words = (_normalized(item.text),) if with_question else ()
    return (item.study, item.reference, *words)


def _normalized(text: str) -> str:
    return " ".join(text.lower().split())


def _read_csv(path: Path) -> tuple[Answers, bool]:
    """(key, text) of every row, and whether the key holds the question."""
    with_question = "question" in read_header(path)
    columns = ("study_id", "ref_id", "prediction", *(("question",) if with_question else ()))
    answers: Answers = []
    for study, reference, text, *rest in read_rows(path, columns):
        answers.append(((plain_id(study), plain_id(reference), *map(_normalized, rest)), text))
    return answers, with_question


def _join_coco(
    path: Path, questions: Sequence[Question], image_ids: str
) -> tuple[list[Prediction], str]:
    rows = _read_coco(path)
    if image_ids != "auto" and image_ids not in IMAGE_IDS:
        raise ValueError(f"no meaning {image_ids!r} of image_id; {nearest(image_ids, IMAGE_IDS)}")
    fits: dict[str, list[Prediction]] = {}
    problems = []
    for meaning in IMAGE_IDS if image_ids == "auto" else (image_ids,):
        keys = [_coco_key(meaning, item, index) for index, item in enumerate(questions)]
        answers = [(_coco_id(meaning, image_id), text) for image_id, text in rows]
        try:
            fits[meaning] = _join(answers, keys, questions, meaning)
        except ValueError as error:
            problems.append(str(error))
    if not fits:
        raise ValueError(f"{path} does not answer the questions: {'; '.join(problems)}")
    if len({tuple(item.prediction for item in predictions) for predictions in fits.values()}) > 1:
        raise ValueError(
            f"image_id of {path} can mean {' or '.join(fits)}, with different answers: choose one "
            "with --ids"
        )
    return next(iter(fits.values())), f"image_id: {' = '.join(fits)}"


def _read_coco(path: Path) -> list[tuple[str, str]]:
    """(image_id, caption) of a result file, or of a file with "annotations"."""
    if not path.is_file():
        raise ValueError(f"no predictions file {path}")
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON in UTF-8: {error}") from None
    rows = values.get("annotations") if isinstance(values, dict) else values
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path} holds no list of {{image_id, caption}}")
    answers = []
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or not {"image_id", "caption"} <= row.keys():
            raise ValueError(f"{path} entry {number} lacks image_id or caption")
        image_id, text = row["image_id"], row["caption"]
        is_id = isinstance(image_id, str | int) and not isinstance(image_id, bool)
        if not is_id or not isinstance(text, str):
            raise ValueError(
                f"{path} entry {number}: image_id is a text or an integer, caption a text"
            )
        answers.append((str(image_id).strip(), text))
    return answers


def _coco_id(meaning: str, image_id: str) -> Key:
    """An image_id as a key; one of another form becomes a key that no question has."""
    if meaning == "study_ref":
        return tuple(plain_id(part) for part in image_id.replace("/", "_").split("_"))
    return int(image_id) if image_id.isdecimal() else image_id


def _coco_key(meaning: str, item: Question, position: int) -> Key:
    keys: Mapping[str, Callable[[], Key]] = {
        "study_ref": lambda: (item.study, item.reference),
        "row": lambda: item.row,
        "position": lambda: position,
        "doubled": lambda: 2 * position,
    }
    return keys[meaning]()


def _join(
    answers: Answers, keys: Sequence[Key], questions: Sequence[Question], source: str
) -> list[Prediction]:
    """One prediction for each question.

    Raises:
        ValueError: counts of missing, extra and duplicate keys, with the first of each.
    """
    expected, given = Counter(keys), Counter(key for key, _ in answers)
    problems = {
        "missing": [key for key in expected if key not in given],
        "extra": [key for key in given if key not in expected],
        "duplicate": [key for key, count in given.items() if count > 1],
        "shared by several questions": [key for key, count in expected.items() if count > 1],
    }
    if any(problems.values()):
        parts = [
            f"{len(wrong)} {problem} (first {_format_key(wrong[0])})"
            for problem, wrong in problems.items()
            if wrong
        ]
        raise ValueError(f"{source}: {', '.join(parts)} of {len(keys)} keys")
    texts = dict(answers)
    return [item.answered(texts[key]) for key, item in zip(keys, questions, strict=True)]


def _format_key(key: Key) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)
