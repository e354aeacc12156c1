"""`lapse compare`: paired tests between systems."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from lapse.cli.references import ReferenceOptions, ReferenceSource

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TestOptions:
    """How the systems are scored and tested."""

    panel: ClassVar[str] = "Scores and tests"

    no_java: Annotated[
        bool,
        typer.Option(
            "--no-java", help="Leave out BLEU, METEOR, ROUGE-L and CIDEr, which need Java."
        ),
    ] = False
    seed: Annotated[int, typer.Option(help="Seed of the tests and intervals.")] = 0
    resamples: Annotated[
        int, typer.Option(min=100, help="Number of resamples and permutations of the patients.")
    ] = 10000


def compare_command(
    systems: Annotated[
        list[Path],
        typer.Argument(help="Predictions files; each is tested against the first."),
    ],
    references: ReferenceOptions,
    tests: TestOptions,
    *,
    out: Annotated[Path, typer.Option(help="Scores file to write.")] = Path("comparison.json"),
) -> None:
    """Compare systems on the same samples, with paired tests against the first."""
    if len(systems) < 2:
        raise ValueError(f"compare needs two predictions files or more, got {len(systems)}")
    from lapse.evaluation.evaluate import (
        EvaluateOptions,
        compare_systems,
        evaluate,
        plain_differences,
        write_scores,
    )
    from lapse.evaluation.predictions.jsonl import in_order_of
    from lapse.evaluation.score_tables import (
        differences_table,
        format_markdown,
        format_plain,
        scores_table,
        table_note,
    )

    source = ReferenceSource(references, tests.seed)
    questions = source.read_questions()
    first = source.read_predictions(systems[0], questions)
    predictions = {systems[0].stem: first}
    for path in systems[1:]:
        name = path.stem if path.stem not in predictions else str(path)
        if name in predictions:
            raise ValueError(f"{path} is given twice")
        others = source.read_predictions(path, questions)
        predictions[name] = in_order_of(first, others, str(path))
    options = EvaluateOptions(tests.seed, tests.resamples, use_java=not tests.no_java)
    scores = {name: evaluate(rows, options=options) for name, rows in predictions.items()}
    baselines = {
        name: evaluate(rows, options=options) for name, rows in source.baselines(first).items()
    }
    patients: dict[str, list[str]] = {}
    for item in first:
        patients.setdefault(item.task, []).append(item.patient)
    differences = compare_systems(scores, patients, options)
    facts = source.facts(len(first))
    for task in patients:
        columns = {
            name: values[task] for name, values in (scores | baselines).items() if task in values
        }
        typer.echo(f"\n{task}\n\n{format_markdown(scores_table(columns))}")
        typer.echo(table_note(columns, facts))
        for pair, rows in differences[task].items():
            typer.echo(f"\n{task}: {pair} (first = A)\n\n{format_plain(differences_table(rows))}")
    typer.echo(
        "\np: paired permutation test, patients exchanged; Holm over all rows of a task; effect: "
        "difference over the spread of single patients"
    )
    (name, first_scores), *others_scores = scores.items()
    plain = {
        task: {pair: plain_differences(rows) for pair, rows in part.items()}
        for task, part in differences.items()
    }
    write_scores(
        out,
        first_scores,
        {**facts, "system": name},
        dict(others_scores) | baselines,
        {"differences": plain},
    )
    logger.info("scores in %s", out)
