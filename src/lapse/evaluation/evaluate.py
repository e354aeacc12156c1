"""Predictions -> scores with intervals. Standard library, numpy and metrics only, no torch.

Any system can be scored from its predictions file (`lapse.evaluation.predictions`). Every score
is resampled by patient from its statistics.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from lapse.core import registry
from lapse.core.types import Prediction, Score
from lapse.evaluation.predictions.jsonl import check_unique
from lapse.metrics.bertscore import BertChoice
from lapse.metrics.bootstrap import RESAMPLES, with_intervals
from lapse.metrics.radeval import RadEvalChoice

logger = logging.getLogger(__name__)

ALL_NEED_JAVA = "every metric of these tasks needs Java: evaluate with Java"

Metric: TypeAlias = Callable[[Sequence[Prediction]], Mapping[str, Score]]
TaskScores: TypeAlias = dict[str, Score]  # name -> Score
Scores: TypeAlias = dict[str, TaskScores]  # task -> name -> Score


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How predictions are scored.

    Attributes:
        resamples: number of resamples of the patients for the intervals.
        use_java: False leaves out the metrics that need Java: BLEU, METEOR, ROUGE-L and CIDEr.
        bert: model for BERTScore, None for no BERTScore.
        radeval: metrics of RadEval, None for none.
        extra_metrics: names of metrics, or "module:Class", that every task gets as well.
    """

    seed: int = 0
    resamples: int = RESAMPLES
    use_java: bool = True
    bert: BertChoice | None = None
    radeval: RadEvalChoice | None = None
    extra_metrics: tuple[str, ...] = ()


class Evaluator:
    """Scores predictions of any number of systems; each metric is built once.

    Args:
        metrics: task -> names of its metrics, instead of `task_metrics`.
    """

    def __init__(
        self,
        options: EvaluateOptions | None = None,
        metrics: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.options = options or EvaluateOptions()
        self.metrics = metrics or {}
        self._metric = cache(self._build)

    def __call__(self, predictions: Sequence[Prediction]) -> Scores:
        """Score the predictions of one system: task -> name -> Score with its 95% interval.

        Raises:
            ValueError: no prediction, an id that occurs twice, an unknown metric, or a metric
                that cannot read the predictions.
        """
        scores = dict(self.by_task(predictions))
        if not scores:
            raise ValueError(ALL_NEED_JAVA)
        return scores

    def by_task(self, predictions: Sequence[Prediction]) -> Iterator[tuple[str, TaskScores]]:
        """The same, task by task, so that the scores of one are kept if the next one fails.

        A task whose metrics all need Java is left out where the options exclude Java.
        """
        if not predictions:
            raise ValueError("there is nothing to evaluate: got no prediction")
        check_unique(predictions)
        for task in dict.fromkeys(item.task for item in predictions):
            of_task = [item for item in predictions if item.task == task]
            names = self.metrics.get(task) or task_metrics(task, self.options)
            metrics = [self._metric(name) for name in (*names, *self.options.extra_metrics)]
            scores: TaskScores = {}
            for metric in filter(None, metrics):
                scores |= metric(of_task)
            if scores:
                patients = [item.patient for item in of_task]
                resamples, seed = self.options.resamples, self.options.seed
                yield task, with_intervals(scores, patients, resamples=resamples, seed=seed)

    def _build(self, name: str) -> Metric | None:
        """The metric of this name; None where it needs Java and the options exclude Java."""
        metric_class = registry.load("metrics", name)
        if getattr(metric_class, "needs_java", False) and not self.options.use_java:
            names = ", ".join(metric_class.names)
            logger.info("without Java, these scores are left out: %s", names)
            return None
        option = registry.find("metrics", name).option
        arguments = () if option is None else (getattr(self.options, option),)
        metric: Metric = metric_class(*arguments)
        return metric


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


def evaluate(
    predictions: Sequence[Prediction],
    options: EvaluateOptions | None = None,
    *,
    metrics: Mapping[str, Sequence[str]] | None = None,
) -> Scores:
    """Score the predictions of one system once: see `Evaluator`."""
    return Evaluator(options, metrics)(predictions)
