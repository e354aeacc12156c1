"""`lapse evaluate` as a function: a predictions file -> scores, comparisons, subgroups, a file.

predictions file ─┬─> scores by task, with intervals
other systems,    ├─> comparisons: the same samples, scored in the same way
baselines, gold  ─┤
probes, threshold ├─> reliability: consistency, confidence, abstention
                  └─> subgroups of patients, images and questions   -> scores.json
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lapse.core.files import check_output_file
from lapse.core.types import Prediction
from lapse.evaluation.evaluate import ALL_NEED_JAVA, EvaluateOptions, Evaluator, Scores, TaskScores
from lapse.evaluation.predictions.jsonl import in_order_of, write_predictions
from lapse.evaluation.readers import with_changes
from lapse.evaluation.references import DEFAULT_TASK, ReferenceOptions, ReferenceSource
from lapse.evaluation.reliability import reliability_scores
from lapse.evaluation.sample_labels import sample_labels
from lapse.evaluation.score_tables import headlines
from lapse.evaluation.scores_file import UNFINISHED, default_path, score_values, write_scores
from lapse.evaluation.subgroups import SubgroupScores, subgroup_scores
from lapse.evaluation.unread import unread_warning
from lapse.metrics.abstention import check_other_patients, read_threshold

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvaluateFileOptions:
    """What is evaluated, with what, and where the scores go.

    Attributes:
        predictions: predictions file: jsonl, CSV or COCO results.
        out: scores file; None for STEM.scores.json in the folder of the predictions.
        references: where references and baselines come from.
        scoring: metrics, seed and resamples.
        compare_with: predictions of other systems on the same samples.
        probes: predictions of the same system under probes; adds consistency scores.
        threshold: threshold file of `lapse calibrate`; adds abstention scores.
        gold: predictions of the same system on gold boxes; adds comparisons.
        patients: patients.csv[.gz] of MIMIC-IV; adds subgroups by sex and age.
        groups: CSV with study_id[, ref_id] and one column per further subgroup.
        joined: file to write the predictions with their references to (jsonl).
        changes: changes of another extractor for these predictions (`lapse.evaluation.readers`).
        provenance: further facts of the file, such as command, version and commit.
    """

    predictions: Path
    out: Path | None = None
    references: ReferenceOptions = field(default_factory=ReferenceOptions)
    scoring: EvaluateOptions = field(default_factory=EvaluateOptions)
    compare_with: Sequence[Path] = ()
    probes: Sequence[Path] = ()
    threshold: Path | None = None
    gold: Path | None = None
    patients: Path | None = None
    groups: Path | None = None
    joined: Path | None = None
    changes: Path | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """The scores of one predictions file.

    Attributes:
        system: name of the predictions file without its suffix.
        scores: task -> name -> Score.
        comparisons: other systems and baselines -> their scores.
        reliability: "consistency", "confidence", "abstention" -> scores, where available.
        provenance: where the numbers come from.
    """

    system: str
    scores: Scores
    comparisons: dict[str, Scores]
    reliability: Scores
    subgroups: dict[str, SubgroupScores]
    provenance: dict[str, str]
    path: Path

    def columns(self, task: str) -> dict[str, TaskScores]:
        """The scores of a task: of the system, then of all comparisons that have the task."""
        others = {name: part[task] for name, part in self.comparisons.items() if task in part}
        return {self.system: self.scores[task], **others}


def evaluate_file(options: EvaluateFileOptions) -> EvaluationResult:
    """Score a predictions file, write the scores file and return the scores.

    Raises:
        ValueError: an output that cannot be written, a file that cannot be read or does not answer
            the questions, other systems that answer other samples, or a metric that cannot be
            computed.
    """
    seed = options.scoring.seed
    path = options.out or default_path(options.predictions)
    for output in filter(None, (path, options.joined)):
        check_output_file(output)
    source = ReferenceSource(options.references, seed=seed)
    predictions = source.read_predictions(options.predictions)
    if options.changes is not None:
        predictions = with_changes(predictions, options.changes, options.predictions.stem)
    probed = [item for path in options.probes for item in source.read_probes(path)]
    threshold = None if options.threshold is None else read_threshold(options.threshold)
    if threshold is not None:
        check_other_patients(
            threshold, [item.patient for item in predictions if item.task == DEFAULT_TASK]
        )
    if options.joined is not None:
        _write_joined(options, options.joined, predictions)
    columns = _read_comparisons(options, source, predictions)
    for name, items in {options.predictions.name: predictions, **columns}.items():
        if warning := unread_warning(items):
            logger.warning("%s: %s", name, warning)
    provenance = source.provenance(
        predictions, options.predictions, changes=options.changes, further=options.provenance
    )
    evaluator = Evaluator(options.scoring)
    scores: Scores = {}
    comparisons: dict[str, Scores] = {}
    for task, task_scores in evaluator.by_task(predictions):
        scores[task] = task_scores
        _write_unfinished(path, scores, provenance, comparisons)
    if not scores:
        raise ValueError(ALL_NEED_JAVA)
    reliability = reliability_scores(predictions, probed, threshold, seed=seed)
    for name in list(columns):
        if part := dict(evaluator.by_task(columns.pop(name))):
            # The intervals are computed, and the rows of the statistics need most of the memory.
            comparisons[name] = {
                task: {key: replace(score, statistics=None) for key, score in of_task.items()}
                for task, of_task in part.items()
            }
        _write_unfinished(path, scores | reliability, provenance, comparisons)
    if options.patients is None:
        logger.info("no subgroups by sex and age: they need --patients, a table of MIMIC-IV")
    result = EvaluationResult(
        system=options.predictions.stem,
        scores=scores,
        comparisons=comparisons,
        reliability=reliability,
        subgroups={
            task: _subgroups(options, source, predictions, task, task_scores)
            for task, task_scores in scores.items()
        },
        provenance=provenance,
        path=path,
    )
    _write(result)
    return result


def _write_unfinished(
    path: Path, scores: Scores, provenance: Mapping[str, str], comparisons: Mapping[str, Scores]
) -> None:
    """Keep what is computed so far: a score that fails loses no other one."""
    state = f"only {', '.join(scores)} and {len(comparisons)} comparisons are computed"
    write_scores(path, scores, {**provenance, UNFINISHED: state}, comparisons=comparisons)


def _write_joined(options: EvaluateFileOptions, path: Path, predictions: list[Prediction]) -> None:
    inputs = (options.predictions, *options.compare_with, *options.probes)
    if any(path.resolve() == other.resolve() for other in inputs):
        raise ValueError(f"--write-joined {path} is a file that is read: give another name")
    write_predictions(path, predictions)
    logger.info("predictions with their references in %s", path)


def _read_comparisons(
    options: EvaluateFileOptions, source: ReferenceSource, predictions: list[Prediction]
) -> dict[str, list[Prediction]]:
    """Name -> predictions of other systems, of baselines, and of gold boxes."""
    columns: dict[str, list[Prediction]] = {}
    for path in options.compare_with:
        others = source.read_predictions(path)
        columns[str(path)] = in_order_of(predictions, others, str(path))
    columns |= source.baselines(predictions)
    if options.gold is None:
        return columns
    gold = source.read_predictions(options.gold, is_checked=False)
    columns[f"gold: {options.gold.stem}"] = gold
    columns |= {f"gold: {name}": rows for name, rows in source.baselines(gold).items()}
    tasks, gold_tasks = ({item.task for item in part} for part in (predictions, gold))
    if extra := ", ".join(sorted(gold_tasks - tasks)):
        message = "%s: %s only in the scores file, because %s has no such task"
        logger.info(message, options.gold.name, extra, options.predictions.name)
    return columns


def _subgroups(
    options: EvaluateFileOptions,
    source: ReferenceSource,
    predictions: list[Prediction],
    task: str,
    scores: TaskScores,
) -> SubgroupScores:
    of_task = [item for item in predictions if item.task == task]
    labels = sample_labels(of_task, source.store, patients=options.patients, groups=options.groups)
    return subgroup_scores(
        headlines(scores),
        [item.patient for item in of_task],
        labels,
        unread=[not item.is_read for item in of_task] if task == "diff_vqa" else (),
        resamples=options.scoring.resamples,
        seed=options.scoring.seed,
    )


def _write(result: EvaluationResult) -> None:
    subgroups = result.subgroups.items()
    extra = {
        "subgroups": {
            task: {name: score_values(groups) for name, groups in part.scores.items()}
            for task, part in subgroups
        },
        "hidden_subgroups": {task: list(part.hidden) for task, part in subgroups},
    }
    write_scores(
        result.path,
        result.scores | result.reliability,
        result.provenance,
        comparisons=result.comparisons,
        extra=extra,
    )
