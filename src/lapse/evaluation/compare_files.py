"""`lapse compare` as a function: predictions files of several systems -> paired tests.

Every system is tested against the first one, on the same samples.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lapse.core.files import check_output_file
from lapse.core.types import Prediction
from lapse.evaluation.evaluate import EvaluateOptions, Evaluator, Scores, TaskScores
from lapse.evaluation.predictions.jsonl import in_order_of
from lapse.evaluation.readers import with_changes
from lapse.evaluation.references import ReferenceOptions, ReferenceSource
from lapse.evaluation.score_tables import headlines
from lapse.evaluation.scores_file import difference_values, write_scores
from lapse.evaluation.unread import unread_warning
from lapse.metrics.paired_tests import Difference, compare, corrected

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """Which systems are compared, with what, and where the result goes.

    Attributes:
        systems: predictions files; each is tested against the first.
        references: where references and baselines come from.
        scoring: metrics, seed and resamples of intervals and tests.
        changes: changes of another extractor; each line names its system.
        provenance: further facts of the file, such as command, version and commit.
    """

    systems: tuple[Path, ...]
    out: Path
    references: ReferenceOptions = field(default_factory=ReferenceOptions)
    scoring: EvaluateOptions = field(default_factory=EvaluateOptions)
    changes: Path | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """The scores of several systems and their differences.

    Attributes:
        scores: system -> its scores, the first system first.
        baselines: image-blind baseline -> its scores.
        differences: task -> "second against first" -> differences of the headline scores.
        refused: task -> "second against first" -> which scores are not tested, and why.
        provenance: where the numbers come from.
    """

    scores: dict[str, Scores]
    baselines: dict[str, Scores]
    differences: dict[str, dict[str, list[Difference]]]
    refused: dict[str, dict[str, str]]
    provenance: dict[str, str]

    def columns(self, task: str) -> dict[str, TaskScores]:
        """The scores of a task: of all systems, then of the baselines."""
        every = self.scores | self.baselines
        return {name: scores[task] for name, scores in every.items() if task in scores}


def compare_files(options: CompareOptions) -> ComparisonResult:
    """Score the systems, test each against the first, and write the scores file.

    Raises:
        ValueError: fewer than two systems, a file given twice, systems with identical answers or
            that answer other samples, samples without a known patient, or no score that can be
            tested because too many texts are unread.
    """
    if len(options.systems) < 2:
        raise ValueError(f"compare needs two predictions files or more, got {len(options.systems)}")
    check_output_file(options.out)
    source = ReferenceSource(options.references, seed=options.scoring.seed)
    first_path, *other_paths = options.systems
    first = source.read_predictions(first_path)
    predictions = {first_path.stem: first}
    for path in other_paths:
        name = path.stem if path.stem not in predictions else str(path)
        others = in_order_of(first, source.read_predictions(path), str(path))
        _check_different(predictions, others, path)
        predictions[name] = others
    if options.changes is not None:
        predictions = {
            name: with_changes(items, options.changes, Path(name).stem, is_required=False)
            for name, items in predictions.items()
        }
    for name, items in predictions.items():
        if warning := unread_warning(items):
            logger.warning("%s: %s", name, warning)
    evaluator = Evaluator(options.scoring)
    scores = {name: evaluator(items) for name, items in predictions.items()}
    patients = {
        task: [item.patient for item in first if item.task == task]
        for task in dict.fromkeys(item.task for item in first)
    }
    result = ComparisonResult(
        scores=scores,
        baselines={name: evaluator(items) for name, items in source.baselines(first).items()},
        differences=compare_systems(scores, patients, options.scoring),
        refused=_refused_tests(scores),
        provenance={
            **source.provenance(
                first, first_path, changes=options.changes, further=options.provenance
            ),
            "system": first_path.stem,
        },
    )
    if not any(rows for part in result.differences.values() for rows in part.values()):
        reasons = [text for part in result.refused.values() for text in part.values()]
        raise ValueError("; ".join(reasons) or "the systems have no common score with a value")
    (_, first_scores), *other_scores = scores.items()
    differences = {
        task: {pair: difference_values(part) for pair, part in by_pair.items()}
        for task, by_pair in result.differences.items()
    }
    write_scores(
        options.out,
        first_scores,
        result.provenance,
        comparisons=dict(other_scores) | result.baselines,
        extra={"differences": differences, "refused_tests": result.refused},
    )
    return result


def _refused_tests(scores: Mapping[str, Scores]) -> dict[str, dict[str, str]]:
    """Which tests are refused because too many texts are unread: task -> pair -> sentence."""
    (first, first_scores), *others = scores.items()
    refused: dict[str, dict[str, str]] = {}
    for task, task_scores in first_scores.items():
        for name, other_scores in others:
            reasons: dict[str, list[str]] = {}
            for system, part in ((first, task_scores), (name, other_scores.get(task, {}))):
                for score in headlines(part).values():
                    if reason := score.details.get("withheld"):
                        reasons.setdefault(f"{system}: {reason}", []).append(score.name)
            if reasons:
                names = list(dict.fromkeys(name for part in reasons.values() for name in part))
                refused.setdefault(task, {})[f"{name} against {first}"] = (
                    f"not tested: {', '.join(names)} ({'; '.join(reasons)}); use --reader lenient "
                    "for free text"
                )
    return refused


def _check_different(
    predictions: Mapping[str, Sequence[Prediction]], others: Sequence[Prediction], path: Path
) -> None:
    """Refuse a system whose answers are those of a system that is compared already."""
    texts = [item.prediction for item in others]
    for name, items in predictions.items():
        if texts == [item.prediction for item in items]:
            raise ValueError(
                f"{path} has the same {len(texts)} answers as {name}: compare needs files of "
                "different systems"
            )


def compare_systems(
    scores: Mapping[str, Scores], patients: Mapping[str, Sequence[str]], options: EvaluateOptions
) -> dict[str, dict[str, list[Difference]]]:
    """task -> "second against first" -> differences, with p corrected over all rows of the task.

    Args:
        scores: system -> its scores; the first system is the one compared with. All must hold
            the same samples in the same order (`predictions.jsonl.in_order_of`).
        patients: task -> [n].
        options: resamples and seed of the tests.
    """
    (first, first_scores), *others = scores.items()
    differences: dict[str, dict[str, list[Difference]]] = {}
    for task, task_scores in first_scores.items():
        by_pair: dict[str, list[Difference]] = {}
        for name, other_scores in others:
            if task in other_scores:
                by_pair[f"{name} against {first}"] = compare(
                    headlines(task_scores), headlines(other_scores[task]), patients[task],
                    resamples=options.resamples, seed=options.seed,
                )  # fmt: skip
        rows = iter(corrected([row for part in by_pair.values() for row in part]))
        differences[task] = {pair: [next(rows) for _ in part] for pair, part in by_pair.items()}
    return differences
