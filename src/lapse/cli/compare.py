"""`lapse compare`: systems side by side, with paired tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import say
from lapse.cli.scoring import ReferenceSource


def compare(
    systems: Annotated[list[Path], typer.Argument(help="Predictions files; the first is A.")],
    data: Annotated[Path | None, typer.Option(help="Store: references, blind rows.")] = None,
    blind_from: Annotated[
        Path | None,
        typer.Option(help="Store of other patients whose train split the blind rows know."),
    ] = None,
    questions: Annotated[Path | None, typer.Option(help="mimic_pair_questions.csv.")] = None,
    split: Annotated[str, typer.Option(help="train, validate or test.")] = "test",
    task: Annotated[str, typer.Option(help="Of a CSV or COCO file.")] = "diff_vqa",
    ids: Annotated[str, typer.Option(help="Meaning of a COCO file's image_id.")] = "auto",
    without_java: Annotated[
        bool, typer.Option("--without-java", help="Other tokenizer and METEOR: other numbers.")
    ] = False,
    out: Annotated[Path, typer.Option(help="JSON with all scores.")] = Path("comparison.json"),
    seed: Annotated[int, typer.Option(help="Of tests and intervals.")] = 0,
    resamples: Annotated[int, typer.Option(min=100, help="Of the patients.")] = 10000,
) -> None:
    """Set systems side by side on the same samples and test each against the first."""
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

    truth = ReferenceSource(data, questions, split, task, ids, seed, blind_from)
    asked = truth.asked()
    first = truth.read(systems[0], asked)
    rows = {systems[0].stem: first}
    for path in systems[1:]:
        name = path.stem if path.stem not in rows else str(path)
        if name in rows:
            raise ValueError(f"{path} is given twice")
        rows[name] = in_order_of(first, truth.read(path, asked), str(path))
    options = EvaluateOptions(seed, resamples, without_java)
    scores = {name: evaluate(found, options=options) for name, found in rows.items()}
    blind = {name: evaluate(found, options=options) for name, found in truth.blind(first).items()}
    patients: dict[str, list[str]] = {}
    for item in first:
        patients.setdefault(item.task, []).append(item.patient)
    tested = compare_systems(scores, patients, options)
    facts = truth.facts(len(first))
    for name in patients:
        columns = {row: found[name] for row, found in (scores | blind).items() if name in found}
        typer.echo(f"\n{name}\n\n{format_markdown(scores_table(columns))}")
        typer.echo(table_note(columns, facts))
        for pair, found in tested[name].items():
            typer.echo(f"\n{name}: {pair} (first = A)\n\n{format_plain(differences_table(found))}")
    typer.echo(
        "\np: paired permutation test, patients exchanged; Holm over all rows of a task; effect: "
        "difference over the spread of single patients"
    )
    own, *others = scores.items()
    plain = {
        name: {pair: plain_differences(found) for pair, found in part.items()}
        for name, part in tested.items()
    }
    write_scores(
        out, own[1], {**facts, "system": own[0]}, dict(others) | blind, {"differences": plain}
    )
    say(f"scores in {out}")
