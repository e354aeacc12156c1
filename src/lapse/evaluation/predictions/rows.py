"""The rows of a predictions file of any format, before they are joined with their questions.

    .jsonl             one object per line
    .json              a list of objects (COCO results), or {"annotations": [...]}, where id numbers
                       the annotations
    .csv, .tsv, .txt   one row per line below a header; .gz is unpacked

The same keys have the same meaning in all formats:

    id | study_id, ref_id[, question] | image_id   which question is answered
    prediction | caption                           the answer
    reference | references                         the true answer, or a list of them
    task, patient, prompt | question               of a row with references
    confidence                                     object (in a CSV: as JSON)
    probe                                          name of the probe under which it was answered
    guarded                                        the guarded answer (`lapse.metrics.guard`)

Other keys are allowed and listed. Lines and entries are counted from 1.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from lapse.data.io.csv_tables import plain_id
from lapse.evaluation.predictions.delimited import SPREADSHEETS, open_utf8, read_table

# kind of a row -> the keys that name its question; the first kind that a row has counts
KINDS: Mapping[str, tuple[str, ...]] = {
    "id": ("id",),
    "pair": ("study_id", "ref_id"),
    "image_id": ("image_id",),
}
KEYS = frozenset(
    {"id", "study_id", "ref_id", "image_id", "prediction", "caption", "reference", "references"}
    | {"task", "patient", "prompt", "question", "confidence", "probe", "guarded"}
)
TABLES = frozenset({".csv", ".tsv", ".txt"})

NO_CONFIDENCE: Mapping[str, float] = {}  # one for all rows

Values: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One answer of a file.

    Attributes:
        source: file and line, for errors.
        kind: "id", "pair" (study_id and ref_id) or "image_id".
        key: the id; main and reference study for "pair".
        question: for "pair", the normalised question, None without this key.
        references: () where the row names none.
        task, patient, prompt, probe, guarded: "" where the row names none.
        confidence: {} where the row names none.
    """

    source: str
    kind: str
    key: tuple[str, ...]
    text: str
    question: str | None = None
    references: tuple[str, ...] = ()
    task: str = ""
    patient: str = ""
    prompt: str = ""
    probe: str = ""
    confidence: Mapping[str, float] = field(default_factory=dict)
    guarded: str = ""


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """The rows of a file, and how often each key occurs that is not used."""

    rows: list[AnswerRow]
    unused: Counter[str]


def read_answers(path: Path) -> AnswerFile:
    """The rows of a predictions file.

    Raises:
        ValueError: no such file, an unreadable one, a row that is not an answer (with its line),
            or no row.
    """
    if not path.is_file():
        raise ValueError(f"no predictions file {path}")
    unused: Counter[str] = Counter()
    rows = []
    for source, values in read_values(path):
        rows.append(_row(source, values))
        unused.update(key for key in values if key not in KEYS)
    if not rows:
        raise ValueError(f"{path} holds no prediction")
    return AnswerFile(rows, unused)


def normalized(text: str) -> str:
    """A question in lower case with single blanks."""
    return " ".join(text.lower().split())


def read_values(path: Path) -> Iterator[tuple[str, Values]]:
    """The rows of a file as dictionaries, each with its place for errors."""
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    suffix = plain.suffix.lower()
    if suffix in TABLES | SPREADSHEETS:
        for number, cells in read_table(path):
            source = f"{path} line {number}"
            yield source, {name: _cell(source, name, text) for name, text in cells.items() if name}
    elif suffix == ".json":
        yield from _read_list(path)
    else:
        with open_utf8(path) as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                values = _parse(line, source := f"{path} line {number}")
                if not isinstance(values, dict):
                    raise ValueError(
                        f"{source} is not an object with the keys id, task, prediction, ..."
                    )
                yield source, values


def _cell(source: str, name: str, text: str) -> object:
    """A cell as the value that it would have in JSON."""
    if name not in {"references", "confidence"} or not text.strip():
        return text
    try:
        value: object = json.loads(text)
    except ValueError:
        raise ValueError(
            f"{source}: {name} is {text[:60]!r}: write it as JSON, or a single true answer in a "
            "column reference"
        ) from None
    return value


def _parse(content: bytes, source: str) -> object:
    try:
        value: object = json.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{source} is not JSON in UTF-8: {error}") from None
    return value


def _read_list(path: Path) -> Iterator[tuple[str, Values]]:
    with open_utf8(path) as stream:
        values = _parse(stream.read(), str(path))
    rows = values.get("annotations") if isinstance(values, dict) else values
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path} holds no list of {{image_id, caption}}")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise ValueError(f"{path} entry {number} is not an object with image_id and caption")
        if isinstance(values, dict) and "image_id" in row:
            row = {key: value for key, value in row.items() if key != "id"}  # of the annotation
        yield f"{path} entry {number}", row


def _row(source: str, values: Values) -> AnswerRow:
    kind, key = _key(source, values)
    if not {"prediction", "caption"} & values.keys():
        raise ValueError(
            f"{source} has no prediction (or caption): found {', '.join(values)}"
            f"{_other_case(values)}"
        )
    question = _text(source, values, "question")
    return AnswerRow(
        source=source,
        kind=kind,
        key=key,
        text=_text(source, values, "prediction" if "prediction" in values else "caption"),
        question=normalized(question) if kind == "pair" and "question" in values else None,
        references=_references(source, values),
        task=_text(source, values, "task"),
        patient=_identifier(source, values, "patient"),
        prompt=_text(source, values, "prompt") or question,
        probe=_text(source, values, "probe").strip(),
        confidence=_confidence(source, values),
        guarded=_text(source, values, "guarded"),
    )


def _key(source: str, values: Values) -> tuple[str, tuple[str, ...]]:
    for kind, names in KINDS.items():
        if set(names) <= values.keys():
            texts = tuple(_identifier(source, values, name) for name in names)
            if "" in texts:
                raise ValueError(f"{source}: {names[texts.index('')]} is empty")
            return kind, tuple(map(plain_id, texts)) if kind == "pair" else texts
    raise ValueError(
        f"{source} does not name its question: give id, or study_id and ref_id, or image_id; "
        f"found {', '.join(values) or 'nothing'}{_other_case(values)}"
    )


def _other_case(values: Values) -> str:
    """A hint where a key differs by capital letters or blanks only."""
    names = [name for name in values if name not in KEYS and name.strip().lower() in KEYS]
    return f"; write {names[0].strip().lower()!r}, not {names[0]!r}" if names else ""


def _identifier(source: str, values: Values, name: str) -> str:
    """An id, which JSON files also write as an integer."""
    value = values.get(name, "")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{source}: {name} is {value!r}: a text or an integer is needed")
    return sys.intern(value.strip()) if name != "id" else value


def _text(source: str, values: Values, name: str) -> str:
    value = values.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f"{source}: {name} is {value!r}: a text is needed")
    return sys.intern(value)  # answers, prompts and tasks repeat


def _references(source: str, values: Values) -> tuple[str, ...]:
    if "reference" in values:
        reference = _text(source, values, "reference")
        if not reference.strip():
            raise ValueError(f"{source}: reference is empty: remove the row or write the answer")
        return (reference,)
    references = values.get("references")
    if references is None:
        return ()
    if not isinstance(references, list) or not all(isinstance(text, str) for text in references):
        raise ValueError(f"{source}: references is a list of texts, got {references!r:.60}")
    if not references:
        raise ValueError(f"{source}: prediction {values.get('id', '')} has no reference")
    return tuple(map(sys.intern, references))


def _confidence(source: str, values: Values) -> Mapping[str, float]:
    confidence = values.get("confidence") or NO_CONFIDENCE
    if not isinstance(confidence, dict):
        raise ValueError(f"{source}: confidence maps names to numbers")
    return confidence
