"""How texts become changes: a reader by name, or a file with the changes of another extractor.

    {"id": "diff_vqa/1", "changes": [{"finding": "edema", "kind": "increased"}]}

Keys of a line: `id` of the prediction; `changes`, a list of objects with `finding` (a name or
alias of `lapse.core.findings`), `kind` (added, missing, increased, decreased, or level with
`before` and `after`); and, where needed, `unread`, texts that could not be read,
`reference_changes`, and `system`, the name of the predictions file without its suffix.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from lapse.core.changes import Change
from lapse.core.files import sha256_of
from lapse.core.findings import NAMES
from lapse.core.free_text.reader import parse_free_text
from lapse.core.grammar import Parsed, read_template
from lapse.core.types import Prediction, nearest

logger = logging.getLogger(__name__)

Reader: TypeAlias = Callable[[str], Parsed]
READERS: dict[str, Reader] = {"strict": read_template, "lenient": parse_free_text}
KEYS = frozenset({"id", "changes", "unread", "reference_changes", "system"})


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a changes file: the answer, and the reference where it is given."""

    id: str
    system: str
    answer: Parsed
    truth: Parsed | None


def with_reader(predictions: Sequence[Prediction], name: str) -> list[Prediction]:
    """The predictions, read by the reader of this name.

    Raises:
        ValueError: no reader of this name.
    """
    if name not in READERS:
        raise ValueError(f"no reader {name!r}; {nearest(name, tuple(READERS))}")
    return [replace(item, reader=READERS[name]) for item in predictions]


def with_changes(
    predictions: Sequence[Prediction], path: Path, system: str, *, is_required: bool = True
) -> list[Prediction]:
    """The predictions with the changes of a file.

    Args:
        path: JSON lines as above. Findings outside the grammar are left out, counted and listed.
        system: its name; lines of other systems are skipped.
        is_required: whether every difference answer needs a line; if not, lines without a system
            are skipped and answers without a line keep their reader.

    Raises:
        ValueError: a damaged line with its number, an id that occurs twice or is not among the
            predictions, or answers without a line.
    """
    rows = {row.id: row for row in _read_rows(path) if row.system == system}
    if is_required:
        rows |= {row.id: row for row in _read_rows(path) if not row.system and row.id not in rows}
    ids = {item.id for item in predictions}
    missing = [i.id for i in predictions if i.task == "diff_vqa" and i.id not in rows]
    extra = [name for name in rows if name not in ids]
    if (is_required and missing) or extra:
        first = (extra or missing)[0]
        raise ValueError(
            f"{path}: {len(missing)} difference answers of {system} have no line and {len(extra)} "
            f"lines have no answer, the first is {first!r}: one line for each answer is needed"
        )
    return [_with_row(item, rows[item.id]) if item.id in rows else item for item in predictions]


def changes_facts(path: Path) -> dict[str, str]:
    """Provenance of scores whose changes come from a file."""
    return {"changes": f"{path.name}, SHA-256 {sha256_of(path)[:16]}"}


def scored_reader(scores: Mapping[str, Any]) -> str:
    """The reader of a scores file."""
    return str(scores.get("provenance", {}).get("reader", "strict"))


def check_same_reader(scores: Mapping[str, Any], reader: str, changes: Path | None) -> None:
    """Refuse a page whose answers are read in another way than those of its scores.

    Raises:
        ValueError: another reader, or another changes file, than the scores have.
    """
    if not scores:
        return
    if (scored := scored_reader(scores)) != reader:
        raise ValueError(
            f"the scores were computed with --reader {scored}, the page has --reader {reader}: use "
            "the same"
        )
    given = "" if changes is None else changes_facts(changes)["changes"]
    if (stated := str(scores.get("provenance", {}).get("changes", ""))) != given:
        raise ValueError(
            f"the scores were computed with the changes file {stated or '(none)'}, the page has "
            f"{given or '(none)'}: give the same file with --changes, or evaluate again"
        )


def _with_row(item: Prediction, row: _Row) -> Prediction:
    texts = {item.prediction: row.answer}
    if row.truth is not None:
        if item.prediction == item.references[0] and row.truth != row.answer:
            raise ValueError(
                f"{item.id}: answer and reference are the same text with different changes"
            )
        texts[item.references[0]] = row.truth
    return replace(item, reader=lambda text: texts[text] if text in texts else item.reader(text))


def _read_rows(path: Path) -> list[_Row]:
    if not path.is_file():
        raise ValueError(f"no changes file {path}")
    rows: list[_Row] = []
    others: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = _read_row(json.loads(line.decode("utf-8-sig")), others)
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"{path} line {number}: wrong or missing key {error}") from None
            except ValueError as error:
                raise ValueError(f"{path} line {number}: {error}") from None
            if (row.system, row.id) in seen:
                raise ValueError(f"{path} line {number}: a second line for {row.id!r}")
            seen.add((row.system, row.id))
            rows.append(row)
    if others:
        names = ", ".join(f"{name!r} ({count})" for name, count in others.most_common(20))
        message = "%s: %d changes of findings that the grammar does not have are left out: %s"
        logger.warning(message, path.name, others.total(), names)
    return rows


def _read_row(values: Mapping[str, object], others: Counter[str]) -> _Row:
    if not isinstance(values, Mapping):
        raise ValueError(f"a line is an object with the keys {', '.join(sorted(KEYS))}")
    if unknown := sorted(values.keys() - KEYS):
        raise ValueError(f"unknown keys {unknown}; known: {', '.join(sorted(KEYS))}")
    name, system = values["id"], values.get("system", "")
    if not isinstance(name, str) or not isinstance(system, str):
        raise ValueError("id and system are texts")
    unread = values.get("unread", [])
    if not isinstance(unread, list) or not all(isinstance(text, str) for text in unread):
        raise ValueError("unread is a list of texts")
    truth = values.get("reference_changes")
    return _Row(
        name,
        system,
        _parsed(values["changes"], tuple(unread), others),
        None if truth is None else _parsed(truth, (), others),
    )


def _parsed(items: object, unread: tuple[str, ...], others: Counter[str]) -> Parsed:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("changes is a list of objects with finding and kind")
    changes = set()
    for item in items:
        if extra := sorted(item.keys() - {"finding", "kind", "before", "after"}):
            raise ValueError(f"unknown keys of a change {extra}: finding, kind, before, after")
        name = " ".join(str(item["finding"]).lower().split())
        if name not in NAMES:
            others[name] += 1
            continue
        levels = (str(item.get("before", "")), str(item.get("after", "")))
        changes.add(Change(NAMES[name], item["kind"], *levels))
    return Parsed(frozenset(changes), unread, not changes and not unread)
