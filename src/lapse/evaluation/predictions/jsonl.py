"""predictions.jsonl: one JSON object per line, so that any system can be scored from its file.

Keys: id, task, prediction, references, and where known patient, prompt and confidence. What is
wrong with a file is an error with its line or its count; nothing is dropped or overwritten.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from lapse.core.files import atomic_write
from lapse.core.types import Prediction

KEYS = frozenset(Prediction.__dataclass_fields__)


def read_predictions(path: Path) -> list[Prediction]:
    """The predictions of a file, in its order.

    Raises:
        ValueError: no such file, a line that is no prediction (with its number), or ids that
            occur twice (with their count).
    """
    if not path.is_file():
        raise ValueError(f"no predictions file {path}")
    found = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                found.append(_read_line(line, f"{path} line {number}"))
    if not found:
        raise ValueError(f"{path} holds no prediction")
    check_unique(found)
    return found


def _read_line(line: bytes, where: str) -> Prediction:
    try:
        values = json.loads(line.decode("utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{where} is not JSON in UTF-8: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{where} is not an object with the keys {', '.join(sorted(KEYS))}")
    unknown = sorted(values.keys() - KEYS)
    missing = sorted({"id", "task", "prediction", "references"} - values.keys())
    if unknown or missing:
        raise ValueError(f"{where}: unknown keys {unknown}, missing keys {missing}")
    references = values["references"]
    confidence = values.get("confidence", {})
    if not isinstance(confidence, dict):
        raise ValueError(f"{where}: confidence maps names to numbers")
    texts = [value for key, value in values.items() if key not in {"references", "confidence"}]
    if not isinstance(references, list) or not all(isinstance(t, str) for t in texts + references):
        raise ValueError(f"{where}: references is a list of texts, every other value a text")
    try:
        return Prediction(**{**values, "references": tuple(references)})
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write one JSON object per line; the file appears whole or not at all.

    Raises:
        ValueError: an id occurs twice.
    """
    rows = list(predictions)
    check_unique(rows)
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for item in rows:
            row = asdict(item)
            if not item.confidence:
                del row["confidence"]
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def check_unique(predictions: Iterable[Prediction]) -> None:
    """Refuse a second prediction for one id: which one counts would be a choice.

    Raises:
        ValueError: names how many ids occur more than once, and the first.
    """
    twice = [name for name, count in Counter(p.id for p in predictions).items() if count > 1]
    if twice:
        raise ValueError(f"{len(twice)} ids occur more than once, the first is {twice[0]!r}")


def check_same_samples(
    predictions: Iterable[Prediction], others: Iterable[Prediction], name: str
) -> None:
    """Refuse to set two systems side by side that answered different samples.

    Raises:
        ValueError: how many samples `predictions` and `others` share, and how many they hold.
    """
    mine, theirs = ({item.id for item in rows} for rows in (predictions, others))
    if mine != theirs:
        raise ValueError(
            f"{name} answers other samples: {len(theirs)} of them, {len(mine & theirs)} shared "
            f"with the {len(mine)} to compare with; predict both with the same --split, "
            "--tasks and --limit"
        )


def in_order_of(
    predictions: Sequence[Prediction], others: Sequence[Prediction], name: str
) -> list[Prediction]:
    """Another system's predictions in the order of the first, once both answer the same samples.

    Args:
        predictions: of the first system.
        others: of the other.
        name: of the other, for the error.

    Raises:
        ValueError: how many samples they share, or how many have other references: two tables
            of truth cannot stand side by side.
    """
    check_same_samples(predictions, others, name)
    mine = {item.id: item for item in predictions}
    theirs = {item.id: item for item in others}
    changed = [key for key, item in mine.items() if item.references != theirs[key].references]
    if changed:
        raise ValueError(
            f"{name} has other references for {len(changed)} samples, the first is "
            f"{changed[0]!r}: both files must come from one release and one store"
        )
    return [theirs[item.id] for item in predictions]
