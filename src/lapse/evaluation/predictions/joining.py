"""Predictions of a file in any format: complete rows as they are, others joined by their key.

    id                          id of a question, or of a row of the user's question table
    study_id, ref_id[, question]  the pair; the question where a pair has several
    image_id                    depends on the system that wrote it:
        id          id of the user's question table
        study_ref   "50000001_50000002": main and reference study
        row         row of the complete mimic_pair_questions.csv, counted from 0 (EKAID)
        position    position among the questions of this split and task, counted from 0
        doubled     twice that position (PLURAL)

"auto" takes the one meaning of image_id under which every question has exactly one answer, and
refuses to choose where two meanings fit. Missing, extra and duplicate keys are errors with their
count; answers to questions of other tasks are left out and counted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TypeAlias

from lapse.core.registry import names
from lapse.core.types import Prediction, nearest
from lapse.data.io.csv_tables import plain_id
from lapse.evaluation.predictions.jsonl import check_unique, complete_prediction
from lapse.evaluation.predictions.questions import TASKS, Question, Questions, check_answered
from lapse.evaluation.predictions.rows import AnswerRow, normalized, read_answers
from lapse.metrics.consistency import MARK, split_id
from lapse.metrics.statistics import check_single_reference

IMAGE_IDS = ("id", "study_ref", "row", "position", "doubled")
SIMILARITY = 0.8  # of an unknown task to a registered one: such a name is a slip

Key: TypeAlias = Hashable
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JoinOptions:
    """How the rows of a file are read.

    Attributes:
        task: the evaluated task, also that of rows that name none; where it is given, only its
            rows are used. None for all tasks that a file names, and diff_vqa if it names none.
        image_ids: meaning of image_id in a COCO file, or "auto".
        is_partial: whether a file may answer a part of the questions only.
    """

    task: str | None = None
    image_ids: str = "auto"
    is_partial: bool = False


def read_any(
    path: Path,
    questions: Callable[[], Questions],
    options: JoinOptions | None = None,
    *,
    is_checked: bool = False,
) -> list[Prediction]:
    """The predictions of a file in any format; logs what they cover and what is not used.

    Args:
        questions: called where they are needed; no items where there are none.
        options: how the rows are read.
        is_checked: whether the references of a complete file must be those of the questions.

    Raises:
        ValueError: an unreadable file, an unknown task, a row that answers no question, several
            references of a question whose scores use one, or questions without an answer.
    """
    options = options or JoinOptions()
    content = read_answers(path)
    if content.unused:
        listed = ", ".join(f"{name} ({count})" for name, count in content.unused.items())
        logger.info("%s: keys that are not used: %s", path.name, listed)
    incomplete = [row for row in content.rows if not row.references]
    num_complete = len(content.rows) - len(incomplete)
    if num_complete and incomplete:
        raise ValueError(
            f"{incomplete[0].source} has no references and {num_complete} other rows have: give "
            "all rows their references, or none"
        )
    if num_complete:
        predictions = _complete(path, content.rows, options)
        if is_checked and (items := questions().items):
            task = items[0].task
            plain = [p for p in predictions if p.task == task and not split_id(p.id)[1]]
            if plain:
                logger.info("%s: %s", path.name, check_answered(items, plain))
    else:
        asked = questions()
        if not asked.items:
            raise ValueError(
                f"{path} holds no references: give --data STORE or --questions TABLE, or add the "
                "true answers as a column reference (jsonl: references)"
            )
        predictions = _joined(path, content.rows, asked, options)
    check_single_reference([item for item in predictions if item.task == "diff_vqa"], str(path))
    return predictions


def _complete(path: Path, rows: Sequence[AnswerRow], options: JoinOptions) -> list[Prediction]:
    predictions = [complete_prediction(row, options.task or "") for row in rows]
    check_unique(predictions)
    tasks = list(dict.fromkeys(item.task for item in predictions))
    if options.task is None:
        _check_tasks(path, tasks)
        return predictions
    kept = [item for item in predictions if item.task == options.task]
    if not kept:
        raise ValueError(
            f"{path} has no prediction of the task {options.task!r}; {nearest(options.task, tasks)}"
        )
    if left_out := len(predictions) - len(kept):
        logger.info("%s: %d predictions of other tasks are left out", path.name, left_out)
    return kept


def _check_tasks(path: Path, tasks: Iterable[str]) -> None:
    """Refuse a task that differs from a registered name by a slip; logs other unknown names."""
    registered = names("tasks")
    for task in tasks:
        if task in registered:
            continue
        if get_close_matches(task, registered, n=1, cutoff=SIMILARITY):
            raise ValueError(
                f"{path} has the unknown task {task!r}; {nearest(task, registered)} (a task of "
                f"your plug-in with this name needs --task {task})"
            )
        message = "%s: the task %r is not registered and gets text scores only; %s"
        logger.warning(message, path.name, task, nearest(task, registered))


def _joined(
    path: Path, rows: Sequence[AnswerRow], questions: Questions, options: JoinOptions
) -> list[Prediction]:
    """One prediction for each question: plain answers first, then those under each probe."""
    kinds = {row.kind for row in rows}
    if len(kinds) > 1:
        raise ValueError(f"{path} names its questions by {' and '.join(sorted(kinds))}: use one")
    task = questions.items[0].task
    of_task = [row for row in rows if row.task in ("", task)]
    if left_out := len(rows) - len(of_task):
        logger.info("%s: %d answers of other tasks than %s are left out", path.name, left_out, task)
    by_probe: dict[str, list[AnswerRow]] = {}
    for row in of_task:
        probe = row.probe or (split_id(row.key[0])[1] if row.kind == "id" else "")
        by_probe.setdefault(probe, []).append(row)
    predictions: list[Prediction] = []
    for probe, probed in by_probe.items():
        join = _Join(path, probed, questions, options.is_partial or bool(probe))
        joined, note = join.by_image_id(options.image_ids) if "image_id" in kinds else join.by_key()
        logger.info("%s: %s", path.name, note)
        mark = f"{MARK}{probe}" if probe else ""
        predictions += [replace(item, id=f"{item.id}{mark}") for item in joined]
    return predictions


@dataclass(frozen=True, slots=True)
class _Join:
    """Rows of a file under one probe, to be joined with the questions of a split."""

    path: Path
    rows: Sequence[AnswerRow]
    questions: Questions
    is_partial: bool

    def by_key(self) -> tuple[list[Prediction], str]:
        """Joined by id, or by the pair and, where the rows name it, the question."""
        if self.rows[0].kind == "id":
            keys: list[Key] = [item.id for item in self.questions.items]
            others: set[Key] = {item.id for item in self.questions.others}
            records = [item.id.partition("/")[2] for item in self.questions.others]
            others |= {f"{task}/{record}" for record in records for task in TASKS}
            rows: list[Key] = [split_id(row.key[0])[0] for row in self.rows]
            return self._join(rows, keys, others, "id")
        has_question = self.rows[0].question is not None
        name = "study_id, ref_id and question" if has_question else "study_id and ref_id"
        keys = [_pair_key(item, has_question) for item in self.questions.items]
        rows = [(*row.key, *((row.question,) if has_question else ())) for row in self.rows]
        if has_question:  # the table repeats a few rows: their answers are matched in order
            keys, rows = _number_repeats(keys), _number_repeats(rows)
        shared = sum(count for count in Counter(keys).values() if count > 1)
        if shared:
            raise ValueError(
                f"{shared} of {len(keys)} questions share their {name} with another one: add a "
                f"column question to {self.path}"
            )
        other_keys = [_pair_key(item, has_question) for item in self.questions.others]
        others = set(_number_repeats(other_keys) if has_question else [])
        return self._join(rows, keys, others, name)

    def by_image_id(self, image_ids: str) -> tuple[list[Prediction], str]:
        """Joined by the meaning of image_id that fits."""
        if image_ids != "auto" and image_ids not in IMAGE_IDS:
            raise ValueError(
                f"no meaning {image_ids!r} of image_id; {nearest(image_ids, IMAGE_IDS)}"
            )
        items = self.questions.items
        keys: dict[str, Sequence[Key]] = {
            "id": [item.id for item in items],
            "study_ref": [(item.study, item.reference) for item in items],
            "row": [item.row for item in items],
            "position": range(len(items)),
            "doubled": range(0, 2 * len(items), 2),
        }
        fits: dict[str, list[Prediction]] = {}
        problems = []
        unused = "study_ref" if not items[0].study else "id"  # of a user's table, of the data set
        tried = [name for name in IMAGE_IDS if name != unused]
        for meaning in tried if image_ids == "auto" else (image_ids,):
            rows = [_coco_id(meaning, row.key[0]) for row in self.rows]
            others: set[Key] = {i.row for i in self.questions.others} if meaning == "row" else set()
            try:
                fits[meaning], _ = self._join(rows, keys[meaning], others, meaning)
            except ValueError as error:
                problems.append(str(error))
        if not fits:
            raise ValueError(f"{self.path} does not answer the questions: {'; '.join(problems)}")
        if len({tuple((p.id, p.prediction) for p in joined) for joined in fits.values()}) > 1:
            raise ValueError(
                f"image_id of {self.path} can mean {' or '.join(fits)}, with different answers: "
                "choose one with --ids"
            )
        return next(iter(fits.values())), f"image_id: {' = '.join(fits)}"

    def _join(
        self, rows: Sequence[Key], keys: Sequence[Key], others: set[Key], source: str
    ) -> tuple[list[Prediction], str]:
        """The predictions in the order of the questions, and how they were joined."""
        expected = Counter(keys)
        by_key = {key: row for key, row in zip(rows, self.rows, strict=True) if key in expected}
        extra = [key for key in dict.fromkeys(rows) if key not in expected]
        left_out = [key for key in extra if key in others]
        missing = [key for key in expected if key not in by_key]
        problems = {
            "missing": [] if self.is_partial and by_key else missing,
            "extra": [key for key in extra if key not in others],
            "duplicate": [key for key, count in Counter(rows).items() if count > 1],
            "shared by several questions": [key for key, count in expected.items() if count > 1],
        }
        problems = {name: wrong for name, wrong in problems.items() if wrong}
        if problems:
            parts = [
                f"{len(wrong)} {name} (first {_format_key(wrong[0])})"
                for name, wrong in problems.items()
            ]
            only_missing = problems.keys() == {"missing"}
            advice = "; --partial scores a part of the split" if only_missing else ""
            raise ValueError(
                f"{self.path} by {source}: {', '.join(parts)} of {len(keys)} keys{advice}"
            )
        note = f"keys: {source}"
        if missing:
            note += f"; {len(by_key)} of {len(keys)} questions are answered"
        if left_out:
            note += f"; {len(left_out)} answers to questions of other tasks are left out"
        answered = [
            item.answered(by_key[key].text, by_key[key].confidence, by_key[key].guarded)
            for key, item in zip(keys, self.questions.items, strict=True)
            if key in by_key
        ]
        return answered, note


def _number_repeats(keys: Sequence[Key]) -> list[Key]:
    """The keys, each with the number of equal keys before it."""
    seen: Counter[Key] = Counter()
    numbered: list[Key] = []
    for key in keys:
        numbered.append((key, seen[key]))
        seen[key] += 1
    return numbered


def _pair_key(item: Question, has_question: bool) -> Key:
    words = (normalized(item.text),) if has_question else ()
    return (item.study, item.reference, *words)


def _coco_id(meaning: str, image_id: str) -> Key:
    """An image_id as a key; one of another form becomes a key that no question has."""
    if meaning == "id":
        return image_id
    if meaning == "study_ref":
        return tuple(plain_id(part) for part in image_id.replace("/", "_").split("_"))
    return int(image_id) if image_id.isdecimal() else image_id


def _format_key(key: Key) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)
