"""predictions.jsonl: one JSON object per line, so that any system can be scored from its file.

Keys: id, task, prediction, references, and where known patient, prompt and confidence. An
invalid file is an error with its line or its count; no line is dropped or overwritten.
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
        ValueError: no such file, a line that is not a prediction (with its number), or ids that
            occur twice (with their count).
    """
    if not path.is_file():
        raise ValueError(f"no predictions file {path}")
    predictions = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                predictions.append(_read_line(line, f"{path} line {number}"))
    if not predictions:
        raise ValueError(f"{path} holds no prediction")
    check_unique(predictions)
    return predictions


def _read_line(line: bytes, source: str) -> Prediction:
    try:
        values = json.loads(line.decode("utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{source} is not JSON in UTF-8: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{source} is not an object with the keys {', '.join(sorted(KEYS))}")
    unknown = sorted(values.keys() - KEYS)
    missing = sorted({"id", "task", "prediction", "references"} - values.keys())
    if unknown or missing:
        raise ValueError(f"{source}: unknown keys {unknown}, missing keys {missing}")
    references = values["references"]
    confidence = values.get("confidence", {})
    if not isinstance(confidence, dict):
        raise ValueError(f"{source}: confidence maps names to numbers")
    texts = [value for key, value in values.items() if key not in {"references", "confidence"}]
    if not isinstance(references, list) or not all(isinstance(t, str) for t in texts + references):
        raise ValueError(f"{source}: references is a list of texts, every other value a text")
    try:
        return Prediction(**{**values, "references": tuple(references)})
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write one JSON object per line, atomically.

    Raises:
        ValueError: an id occurs twice.
    """
    items = list(predictions)
    check_unique(items)
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for item in items:
            values = asdict(item)
            if not item.confidence:
                del values["confidence"]
            file.write(json.dumps(values, ensure_ascii=False) + "\n")


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
        predictions: of the first system.
        others: of the other system.
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
