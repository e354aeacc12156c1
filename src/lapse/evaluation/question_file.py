"""Question files of benchmarks: multiple choice or free, with the columns that the user names.

    one column per option       --option A --option B --option C --option D
    all options in one column   --option options: a JSON list or object, or texts separated by "|"
    no --option                 free questions

The answer of a multiple-choice question is the text of an option, its letter (A, B, ...), or the
name of its column or key.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lapse.core.types import nearest
from lapse.evaluation.predictions.rows import normalized, read_values

PATIENT_COLUMNS = ("patient", "patient_id", "subject_id")
SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class QuestionColumns:
    """The columns of a question file.

    Attributes:
        answer: column of the true answer.
        options: columns of the options, or the one column of all options; () for free questions.
        patient: column of the patient; "" for the first of PATIENT_COLUMNS that the file has.
        patient_pattern: regular expression whose first group, or whole match, is the patient in
            the text of `patient`, for example "p[0-9]{8}" in an image path; "" for the whole text.
        only: column -> value; other rows are left out.
    """

    question: str = "question"
    answer: str = "answer"
    options: Sequence[str] = ()
    patient: str = ""
    patient_pattern: str = ""
    only: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class AuditQuestion:
    """A question, the texts of its options, and the true answer in lower case.

    `patient` is "" where the file does not name one.
    """

    text: str
    answer: str
    options: tuple[str, ...]
    patient: str

    @property
    def position(self) -> int:
        """The position of the true option."""
        return self.options.index(self.answer)


def read_questions(path: Path, columns: QuestionColumns) -> list[AuditQuestion]:
    """The questions of a CSV, jsonl or JSON file.

    Raises:
        ValueError: no such file or column, an answer that is not among the options, equal options,
            a pattern that is not a regular expression or does not match, or no question.
    """
    if not path.is_file():
        raise ValueError(f"no question file {path}")
    try:
        re.compile(columns.patient_pattern)
    except re.error as error:
        raise ValueError(
            f"the patient pattern {columns.patient_pattern!r} is not a regular expression: {error}"
        ) from None
    questions = []
    for source, values in read_values(path):
        if all(str(_value(source, values, k)) == v for k, v in (columns.only or {}).items()):
            questions.append(_question(source, values, columns))
    if not questions:
        raise ValueError(f"{path} holds no question" + (" with these values" * bool(columns.only)))
    return questions


def _question(source: str, values: Mapping[str, object], columns: QuestionColumns) -> AuditQuestion:
    options = _options(source, values, columns.options)
    answer = _text(_value(source, values, columns.answer))
    if not answer:
        raise ValueError(f"{source} has an empty answer in the column {columns.answer!r}")
    texts = tuple(options.values())
    if options:
        if len(texts) < 2 or len(set(texts)) < len(texts) or "" in texts:
            raise ValueError(f"{source} has the options {list(texts)}: two or more different texts")
        answer = _true_option(source, options, answer)
    return AuditQuestion(
        _text(_value(source, values, columns.question)),
        answer,
        texts,
        _patient(source, values, columns),
    )


def _patient(source: str, values: Mapping[str, object], columns: QuestionColumns) -> str:
    name = columns.patient or next((n for n in PATIENT_COLUMNS if n in values), "")
    if not name:
        if columns.patient_pattern:
            raise ValueError(
                f"{source} has none of the columns {', '.join(PATIENT_COLUMNS)} for the patient "
                f"pattern {columns.patient_pattern!r}: name its column"
            )
        return ""
    text = str(_value(source, values, name)).strip()
    if not columns.patient_pattern:
        return text
    match = re.search(columns.patient_pattern, text)
    patient = (match[1] if match.re.groups else match[0]) if match else ""
    if not patient:
        raise ValueError(
            f"{source}: the patient pattern {columns.patient_pattern!r} does not match {name} "
            f"{text!r}"
        )
    return patient


def _options(source: str, values: Mapping[str, object], columns: Sequence[str]) -> dict[str, str]:
    """Name in lower case -> text of each option; {} for a free question."""
    if len(columns) > 1:
        cells = {name.lower(): _text(_value(source, values, name)) for name in columns}
        return {name: text for name, text in cells.items() if text}  # fewer options than columns
    if not columns:
        return {}
    cell = _value(source, values, columns[0])
    if isinstance(cell, str) and cell.strip()[:1] in ("[", "{"):
        try:
            cell = json.loads(cell)
        except ValueError:
            raise ValueError(f"{source}: {columns[0]} is not JSON: {cell[:60]!r}") from None
    if isinstance(cell, str):
        cell = cell.split(SEPARATOR)
    if isinstance(cell, list):
        cell = dict(zip(string.ascii_lowercase, cell, strict=False))
    if isinstance(cell, Mapping):
        return {str(name).lower(): _text(text) for name, text in cell.items()}
    raise ValueError(f"{source}: {columns[0]} is a list, an object, or texts separated by '|'")


def _true_option(source: str, options: Mapping[str, str], answer: str) -> str:
    texts = tuple(options.values())
    if answer in texts:
        return answer
    name = answer.strip("().: ")
    if name in options:
        return options[name]
    position = string.ascii_lowercase.find(name) if len(name) == 1 else -1
    if 0 <= position < len(texts):
        return texts[position]
    raise ValueError(
        f"{source} has the answer {answer!r} and the options {list(texts)}: the answer is the "
        "text, the letter or the name of an option"
    )


def _value(source: str, values: Mapping[str, object], column: str) -> object:
    if column not in values:
        raise ValueError(f"{source} has no column {column!r}; {nearest(column, tuple(values))}")
    return values[column]


def _text(value: object) -> str:
    return normalized("" if value is None else str(value))
