"""`lapse evaluate`: predictions file -> scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.terminal import provenance, say


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="predictions.jsonl")],
    data: Annotated[
        Path | None, typer.Option(help="Store: adds blind rows, release and split protocol.")
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="Other predictions of the same samples, one more column each."),
    ] = None,
    probe: Annotated[
        list[Path] | None,
        typer.Option(help="Answers of the same system under probes: adds consistency."),
    ] = None,
    threshold: Annotated[
        Path | None, typer.Option(help="File of lapse calibrate: adds abstention.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Default: scores.json beside it.")] = None,
    seed: Annotated[int, typer.Option(help="Of intervals and random answers.")] = 0,
) -> None:
    """Score a predictions file: caption metrics, change scores, box accuracy; blind rows beside."""
    from lapse.evaluate import (
        check_same_samples,
        format_markdown,
        read_predictions,
        scores_table,
        write_scores,
    )
    from lapse.evaluate import evaluate as run
    from lapse.metrics.abstention import read_threshold
    from lapse.trust import trust_scores

    found = read_predictions(predictions)
    rows = {str(path): read_predictions(path) for path in beside or []}
    for name, others in rows.items():
        check_same_samples(found, others, name)
    if data is not None:
        from lapse.baselines import blind_rows
        from lapse.data.store import open_store

        rows |= blind_rows(open_store(data), found, seed=seed)
    else:
        say("no blind rows: they need the training answers of --data STORE")
    probes = [item for path in probe or [] for item in read_predictions(path)]
    chosen = read_threshold(threshold) if threshold is not None else None
    scores = run(found, seed=seed) | trust_scores(found, probes, chosen, seed=seed)
    others_scores = {name: run(others, seed=seed) for name, others in rows.items()}
    facts = provenance(data=data, seed=seed, n=len(found))
    target = out or predictions.with_name("scores.json")
    write_scores(target, scores, facts, others_scores)
    for task, values in scores.items():
        columns = {predictions.stem: values}
        columns |= {name: other[task] for name, other in others_scores.items() if task in other}
        n = sum(p.task == task for p in found)
        typer.echo(f"\n{task} (n = {n})" if n else f"\n{task}")
        typer.echo(format_markdown(scores_table(columns)))
    say(f"scores in {target}")
