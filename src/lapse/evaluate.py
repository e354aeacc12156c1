"""predictions.jsonl -> scores.json and a table. Standard library and metrics only, no torch.

Any system can be scored from its predictions file: one JSON object per line with the keys id,
task, prediction, references, and where known patient and prompt.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lapse import registry
from lapse.types import Prediction, Score

# What each task is scored by; a task from outside gets the caption metrics.
METRICS: dict[str, tuple[str, ...]] = {
    "diff_vqa": ("captioning", "changes"),
    "vqa": ("answer_accuracy",),
    "medical_vqa": ("answer_accuracy", "captioning"),
    "progression": ("progression",),
    "cap": ("captioning",),
    "gcap": ("captioning",),
    "caref": ("box_accuracy",),
    "aref": ("box_accuracy",),
}
RESAMPLES = 1000
KEYS = frozenset(Prediction.__dataclass_fields__)

Scores = dict[str, dict[str, Score]]


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


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write one JSON object per line; the file appears whole or not at all.

    Raises:
        ValueError: an id occurs twice.
    """
    rows = list(predictions)
    check_unique(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.tmp")
    with draft.open("w", encoding="utf-8") as file:
        for item in rows:
            row = asdict(item)
            if not item.confidence:
                del row["confidence"]
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    draft.replace(path)


def evaluate(
    predictions: Sequence[Prediction],
    metrics: Mapping[str, Sequence[str]] | None = None,
    *,
    seed: int = 0,
) -> Scores:
    """Score predictions task by task: task -> name -> Score.

    Scores that are means of their per-sample values carry a 95% bootstrap interval by patient;
    corpus scores (BLEU, METEOR's total, pooled F1) carry none.

    Raises:
        ValueError: no prediction, an id that occurs twice, an unknown metric, or a metric that
            cannot read its predictions.

    Args:
        predictions: of one system; tasks may be mixed.
        metrics: task -> names of metrics, instead of `METRICS`.
        seed: of the resampling.
    """
    if not predictions:
        raise ValueError("there is nothing to evaluate: got no prediction")
    check_unique(predictions)
    chosen = dict(METRICS) | dict(metrics or {})
    scores: Scores = {}
    for task in dict.fromkeys(item.task for item in predictions):
        rows = [item for item in predictions if item.task == task]
        patients = [item.patient for item in rows]
        found: dict[str, Score] = {}
        for name in chosen.get(task, ("captioning",)):
            found |= registry.load("metrics", name)()(rows)
        scores[task] = {name: with_interval(score, patients, seed) for name, score in found.items()}
    return scores


def with_interval(score: Score, patients: Sequence[str], seed: int = 0) -> Score:
    """The score with its bootstrap interval by patient, where it can have one.

    That is where the metric says that its value is the mean of the per-sample values
    (`details["aggregate"] == "mean"`), every sample's patient is known, and there are two or more.
    """
    values = score.per_sample
    known = set(patients)
    if score.details.get("aggregate") != "mean" or "" in known or len(known) < 2:
        return score
    low, high = bootstrap_interval(values, patients, seed=seed)
    details = {**score.details, "interval": f"95%, {RESAMPLES} resamples by patient"}
    return Score(score.name, score.value, low, high, values, details)


def bootstrap_interval(
    values: Sequence[float], patients: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """95% interval of the mean of `values` when whole patients are drawn with replacement.

    Args:
        values: [n], one per sample.
        patients: [n], the patient of each sample.
        resamples: how often the patients are drawn anew.
        seed: of the drawing.

    Raises:
        ValueError: no value, or not one patient for each value.
    """
    import numpy as np

    if not values or len(values) != len(patients):
        raise ValueError(
            f"an interval needs one patient per value, got {len(values)} values and "
            f"{len(patients)} patients"
        )

    groups = {name: index for index, name in enumerate(dict.fromkeys(patients))}
    index = np.array([groups[name] for name in patients])
    sums = np.bincount(index, weights=np.asarray(values), minlength=len(groups))
    counts = np.bincount(index, minlength=len(groups))
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(groups), size=(resamples, len(groups)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def write_scores(
    path: Path,
    scores: Scores,
    provenance: Mapping[str, str],
    beside: Mapping[str, Scores] | None = None,
) -> None:
    """scores.json: where the numbers come from, every score with its parts, and other rows.

    Args:
        path: the file; its folder is made.
        scores: task -> name -> Score.
        provenance: release, split protocol, n, seed, command, commit.
        beside: row name -> the scores of that row, blind rows among them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {
        "provenance": dict(provenance),
        "scores": _plain(scores),
        "beside": {row: _plain(others) for row, others in (beside or {}).items()},
    }
    draft = path.with_name(f"{path.name}.tmp")
    draft.write_text(
        json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8"
    )
    draft.replace(path)


def _plain(scores: Scores) -> dict[str, dict[str, Any]]:
    return {
        task: {name: asdict(score) for name, score in found.items()}
        for task, found in scores.items()
    }


def scores_table(rows: Mapping[str, Mapping[str, Score]]) -> list[list[str]]:
    """A header and one line per row: value and interval of every score that any row has."""
    names = list(dict.fromkeys(name for scores in rows.values() for name in scores))
    table = [["", *names]]
    for row, scores in rows.items():
        table.append([row, *(format_score(scores.get(name)) for name in names)])
    return table


def format_score(score: Score | None) -> str:
    """ "0.412 [0.380, 0.441]", or "-" where there is none."""
    if score is None:
        return "-"
    if score.low is None or score.high is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}]"


def format_markdown(table: Sequence[Sequence[str]]) -> str:
    """The table turned on its side: one line per score, one column per row."""
    turned = list(zip(*table, strict=True))
    lines = ["| score | " + " | ".join(turned[0][1:]) + " |"]
    lines.append("|---" * len(turned[0]) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in turned[1:]]
    return "\n".join(lines)
