"""predictions -> scores, and scores.json. Standard library, numpy and metrics only, no torch.

Any system can be scored from its predictions file (`lapse.evaluation.predictions`). Every score is
resampled by patient from its statistics.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lapse.core import registry
from lapse.core.files import write_text
from lapse.core.types import Prediction, Score
from lapse.evaluation.predictions.jsonl import check_unique, read_predictions, write_predictions
from lapse.evaluation.score_tables import format_markdown, headlines, scores_table
from lapse.metrics.bootstrap import RESAMPLES, with_intervals
from lapse.metrics.paired_tests import Difference, compare, corrected

logger = logging.getLogger(__name__)

__all__ = [  # what the commands and other packages need to score a file
    "EvaluateOptions",
    "compare_systems",
    "evaluate",
    "format_markdown",
    "read_predictions",
    "scores_table",
    "write_predictions",
    "write_scores",
]

Scores = dict[str, dict[str, Score]]


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How predictions are scored.

    Attributes:
        seed: of the resampling.
        resamples: of the patients, for every interval.
        use_java: False leaves out the metrics that need Java: BLEU, METEOR, ROUGE-L and CIDEr.
        bert: a `lapse.metrics.bertscore.BertChoice`, or None for no BERTScore.
    """

    seed: int = 0
    resamples: int = RESAMPLES
    use_java: bool = True
    bert: Any = None


def evaluate(
    predictions: Sequence[Prediction],
    metrics: Mapping[str, Sequence[str]] | None = None,
    *,
    seed: int = 0,
    options: EvaluateOptions | None = None,
) -> Scores:
    """Score predictions task by task: task -> name -> Score with its 95% interval by patient.

    Raises:
        ValueError: no prediction, an id that occurs twice, an unknown metric, or a metric that
            cannot read its predictions.

    Args:
        predictions: of one system; tasks may be mixed.
        metrics: task -> names of metrics, instead of `task_metrics`.
        seed: of the resampling, where no options are given.
        options: everything else.
    """
    if not predictions:
        raise ValueError("there is nothing to evaluate: got no prediction")
    check_unique(predictions)
    options = options or EvaluateOptions(seed=seed)
    built: dict[str, Any] = {}
    scores: Scores = {}
    for task in dict.fromkeys(item.task for item in predictions):
        rows = [item for item in predictions if item.task == task]
        names = (metrics or {}).get(task) or task_metrics(task, options)
        found: dict[str, Score] = {}
        for name in names:
            if name not in built:
                built[name] = _build(name, options)
            if built[name] is not None:
                found |= built[name](rows)
        if found:
            scores[task] = with_intervals(
                found,
                [item.patient for item in rows],
                resamples=options.resamples,
                seed=options.seed,
            )
    if not scores:
        raise ValueError("every metric of these tasks needs Java: evaluate with Java")
    return scores


def _build(name: str, options: EvaluateOptions) -> Any:
    """The metric, None where it needs Java and the options exclude Java."""
    plugin, option = registry.load("metrics", name), registry.find("metrics", name).option
    if getattr(plugin, "needs_java", False) and not options.use_java:
        logger.info("without Java, these scores are left out: %s", ", ".join(plugin.names))
        return None
    return plugin() if option is None else plugin(getattr(options, option))


def task_metrics(task: str, options: EvaluateOptions) -> tuple[str, ...]:
    """The names of the registered metrics that score a task, given these options."""
    plugins = registry.TABLES["metrics"]
    is_listed = any(task in plugin.tasks for plugin in plugins.values())
    key = task if is_listed else registry.OTHER_TASKS
    return tuple(
        name
        for name, plugin in plugins.items()
        if key in plugin.tasks
        and (plugin.option is None or getattr(options, plugin.option) is not None)
    )


def compare_systems(
    scores: Mapping[str, Scores], patients: Mapping[str, Sequence[str]], options: EvaluateOptions
) -> dict[str, dict[str, list[Difference]]]:
    """task -> "second against first" -> differences, corrected over all rows of the task.

    Args:
        scores: system -> its scores; the first system is the one compared with. All must hold
            the same samples in the same order (`predictions.jsonl.in_order_of`).
        patients: task -> [n].
        options: resamples and seed of the tests.
    """
    (first, ours), *others = scores.items()
    found: dict[str, dict[str, list[Difference]]] = {}
    for task, mine in ours.items():
        rows: dict[str, list[Difference]] = {}
        for name, theirs in others:
            if task in theirs:
                rows[f"{name} against {first}"] = compare(
                    headlines(mine), headlines(theirs[task]), patients[task],
                    resamples=options.resamples, seed=options.seed,
                )  # fmt: skip
        flat = iter(corrected([row for part in rows.values() for row in part]))
        found[task] = {name: [next(flat) for _ in part] for name, part in rows.items()}
    return found


def write_scores(
    path: Path,
    scores: Scores,
    provenance: Mapping[str, str],
    beside: Mapping[str, Scores] | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """scores.json: where the numbers come from, every score with its parts, and other rows.

    Args:
        path: the file; its folder is made.
        scores: task -> name -> Score.
        provenance: release, split protocol, n, seed, command, commit.
        beside: row name -> the scores of that row, blind rows among them.
        more: further keys of the file, such as "subgroups" or "differences".
    """
    values = {
        "provenance": dict(provenance),
        "scores": plain_scores(scores),
        "beside": {row: plain_scores(others) for row, others in (beside or {}).items()},
        **(more or {}),
    }
    write_text(path, json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False))


def plain_scores(scores: Mapping[str, Mapping[str, Score]]) -> dict[str, dict[str, Any]]:
    """The scores as JSON holds them: without their statistics."""
    return {
        task: {name: _plain_score(score) for name, score in found.items()}
        for task, found in scores.items()
    }


def _plain_score(score: Score) -> dict[str, Any]:
    values = {name: getattr(score, name) for name in ("name", "value", "low", "high")}
    return {**values, "per_sample": score.per_sample, "details": score.details}


def plain_differences(rows: Sequence[Difference]) -> list[dict[str, Any]]:
    """The differences as JSON holds them."""
    return [{**asdict(row), "value": row.value} for row in rows]
