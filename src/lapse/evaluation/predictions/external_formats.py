"""Predictions files of other systems: a CSV by study numbers, or a COCO result file.

    CSV     study_id, ref_id, prediction; also question where a pair is asked more than once
    COCO    [{"image_id": ..., "caption": ...}, ...]; what image_id means differs:

    study_ref   "50000001_50000002": main and reference study
    row         row of the whole mimic_pair_questions.csv, counted from 0 (EKAID)
    position    place among the questions of this split and task, counted from 0
    doubled     twice that place (PLURAL)

"auto" takes the one meaning under which every question has exactly one answer, and refuses to
choose where there are two. Missing, extra and duplicate keys are errors with their count.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path

from lapse.core.types import Prediction, nearest
from lapse.data.io.csv_tables import plain_id, read_header, read_rows
from lapse.evaluation.predictions.jsonl import read_predictions
from lapse.evaluation.predictions.questions import Question, check_answered

MEANINGS = ("study_ref", "row", "position", "doubled")
ENDINGS = (".csv", ".gz", ".json")

Key = Hashable
Said = list[tuple[Key, str]]


def is_foreign(path: Path) -> bool:
    """Whether the name says that this is no predictions.jsonl."""
    return path.suffix.lower() in ENDINGS


def read_foreign(
    path: Path, questions: Sequence[Question], *, meaning: str = "auto"
) -> tuple[list[Prediction], str]:
    """The predictions of a CSV or COCO file, in the order of the questions.

    Args:
        path: the file.
        questions: all that must be answered.
        meaning: of a COCO file's image_id, or "auto".

    Returns:
        The predictions, and how the keys were read.

    Raises:
        ValueError: an unreadable file, or how many keys are missing, extra and duplicate.
    """
    if path.suffix.lower() == ".json":
        return _join_coco(path, questions, meaning)
    said, with_question = _read_csv(path)
    name = "study_id, ref_id and question" if with_question else "study_id and ref_id"
    keys = [_pair_key(item, with_question) for item in questions]
    if with_question:  # the table itself repeats a few rows: the first answer is for the first
        keys = _numbered(keys)
        said = list(zip(_numbered([key for key, _ in said]), (t for _, t in said), strict=True))
    shared = sum(count for count in Counter(keys).values() if count > 1)
    if shared:
        raise ValueError(
            f"{shared} of {len(keys)} questions share their {name} with another one: add a "
            f"column question to {path}"
        )
    return _join(said, keys, questions, f"{path} by {name}"), f"keys: {name}"


def read_any(
    path: Path, questions: Sequence[Question], *, meaning: str = "auto"
) -> tuple[list[Prediction], str]:
    """The predictions of a file of either kind, and a sentence on what it covers.

    Raises:
        ValueError: as `read_predictions`, `check_answered` and `read_foreign`; a foreign file
            without questions to join it with.
    """
    if is_foreign(path):
        if not questions:
            raise ValueError(
                f"{path} holds no references: give --data STORE or --questions "
                "mimic_pair_questions.csv"
            )
        return read_foreign(path, questions, meaning=meaning)
    found = read_predictions(path)
    own = [item for item in found if item.task == questions[0].task] if questions else []
    own = [item for item in own if "#" not in item.id]  # a probe's ids (lapse.inference.probes)
    return found, check_answered(list(questions), own) if own else ""


def _numbered(keys: Sequence[Key]) -> list[Key]:
    """The keys, each with how often it came before."""
    seen: Counter[Key] = Counter()
    found: list[Key] = []
    for key in keys:
        found.append((key, seen[key]))
        seen[key] += 1
    return found


def _pair_key(item: Question, with_question: bool) -> Key:
    words = (_plain(item.text),) if with_question else ()
    return (item.study, item.reference, *words)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _read_csv(path: Path) -> tuple[Said, bool]:
    """(key, text) of every row, and whether the key holds the question."""
    with_question = "question" in read_header(path)
    columns = ("study_id", "ref_id", "prediction", *(("question",) if with_question else ()))
    said: Said = []
    for study, reference, text, *rest in read_rows(path, columns):
        said.append(((plain_id(study), plain_id(reference), *map(_plain, rest)), text))
    return said, with_question


def _join_coco(
    path: Path, questions: Sequence[Question], meaning: str
) -> tuple[list[Prediction], str]:
    said = _read_coco(path)
    if meaning != "auto" and meaning not in MEANINGS:
        raise ValueError(f"no meaning {meaning!r} of image_id; {nearest(meaning, MEANINGS)}")
    chosen = MEANINGS if meaning == "auto" else (meaning,)
    fits: dict[str, list[Prediction]] = {}
    problems = []
    for name in chosen:
        keys = [_coco_key(name, item, place) for place, item in enumerate(questions)]
        try:
            fits[name] = _join(
                [(_coco_id(name, own), text) for own, text in said], keys, questions, name
            )
        except ValueError as error:
            problems.append(str(error))
    if not fits:
        raise ValueError(f"{path} does not answer the questions: {'; '.join(problems)}")
    answers = {tuple(item.prediction for item in found) for found in fits.values()}
    if len(answers) > 1:
        raise ValueError(
            f"image_id of {path} can mean {' or '.join(fits)}, with different answers: say which "
            "with --ids"
        )
    name, found = next(iter(fits.items()))
    return found, f"image_id: {' = '.join(fits) if len(fits) > 1 else name}"


def _read_coco(path: Path) -> list[tuple[str, str]]:
    """(image_id, caption) of a result file, or of one with "annotations"."""
    if not path.is_file():
        raise ValueError(f"no predictions file {path}")
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON in UTF-8: {error}") from None
    rows = values.get("annotations") if isinstance(values, dict) else values
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path} holds no list of {{image_id, caption}}")
    found = []
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or not {"image_id", "caption"} <= row.keys():
            raise ValueError(f"{path} entry {number} lacks image_id or caption")
        own, text = row["image_id"], row["caption"]
        if isinstance(own, bool) or not isinstance(own, str | int) or not isinstance(text, str):
            raise ValueError(
                f"{path} entry {number}: image_id is a text or a whole number, caption a text"
            )
        found.append((str(own).strip(), text))
    return found


def _coco_id(meaning: str, own: str) -> Key:
    """An image_id as a key; one of another form is a key that no question has."""
    if meaning == "study_ref":
        return tuple(plain_id(part) for part in own.replace("/", "_").split("_"))
    return int(own) if own.isdecimal() else own


def _coco_key(meaning: str, item: Question, place: int) -> Key:
    keys: Mapping[str, Callable[[], Key]] = {
        "study_ref": lambda: (item.study, item.reference),
        "row": lambda: item.row,
        "position": lambda: place,
        "doubled": lambda: 2 * place,
    }
    return keys[meaning]()


def _join(
    said: Said, keys: Sequence[Key], questions: Sequence[Question], where: str
) -> list[Prediction]:
    """One prediction for each question.

    Raises:
        ValueError: counts of missing, extra and duplicate keys, with the first of each.
    """
    wanted, given = Counter(keys), Counter(key for key, _ in said)
    kinds = {
        "missing": [key for key in wanted if key not in given],
        "extra": [key for key in given if key not in wanted],
        "duplicate": [key for key, count in given.items() if count > 1],
        "shared by several questions": [key for key, count in wanted.items() if count > 1],
    }
    if any(kinds.values()):
        parts = [
            f"{len(found)} {kind} (first {_shown(found[0])})"
            for kind, found in kinds.items()
            if found
        ]
        raise ValueError(f"{where}: {', '.join(parts)} of {len(keys)} keys")
    text_of = dict(said)
    return [item.answered(text_of[key]) for key, item in zip(keys, questions, strict=True)]


def _shown(key: Key) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)
