"""`lapse compare`: paired tests between systems."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from lapse.cli.console import program_facts
from lapse.cli.references import ReferenceGroup

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
    changes: Annotated[
        Path | None,
        typer.Option(help="Changes of another extractor (JSON lines); each line names its system."),
    ] = None
    seed: Annotated[int, typer.Option(help="Seed of the tests and intervals.")] = 0
    resamples: Annotated[
        int, typer.Option(min=100, help="Number of resamples and permutations of the patients.")
    ] = 10000


def compare_command(
    systems: Annotated[
        list[Path],
        typer.Argument(help="Predictions files; each is tested against the first."),
    ],
    references: ReferenceGroup,
    tests: TestOptions,
    *,
    out: Annotated[Path, typer.Option(help="Scores file to write.")] = Path("comparison.json"),
) -> None:
    """Compare systems on the same samples, with paired tests against the first."""
    from lapse.evaluation.compare_files import CompareOptions, compare_files
    from lapse.evaluation.evaluate import EvaluateOptions
    from lapse.evaluation.score_tables import (
        differences_table,
        format_markdown,
        format_plain,
        scores_table,
        table_note,
    )

    result = compare_files(
        CompareOptions(
            tuple(systems),
            out,
            references=references.to_options(),
            scoring=EvaluateOptions(
                seed=tests.seed, resamples=tests.resamples, use_java=not tests.no_java
            ),
            changes=tests.changes,
            provenance=program_facts(),
        )
    )
    for task, differences in result.differences.items():
        columns = result.columns(task)
        typer.echo(f"\n{task}\n\n{format_markdown(scores_table(columns))}")
        typer.echo(table_note(columns, result.provenance))
        for pair, rows in differences.items():
            typer.echo(f"\n{task}: {pair} (first = A)\n\n{format_plain(differences_table(rows))}")
            if refusal := result.refused.get(task, {}).get(pair):
                typer.echo(f"\n{refusal}")
    typer.echo(
        "\np: paired permutation test, patients exchanged; Holm over all rows of a task; effect: "
        "difference over the spread of single patients"
    )
    logger.info("scores in %s", out)
