"""`lapse calibrate`: validation predictions -> threshold file for abstention."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import say


def calibrate(
    validation: Annotated[
        Path, typer.Argument(help="Predictions on validation patients, with --confidence.")
    ],
    alpha: Annotated[
        float, typer.Option(help="False-change rate to keep: mean over patients, 0 to 1.")
    ] = 0.1,
    by: Annotated[
        str, typer.Option(help="Which probability of a change: beam or clauses.")
    ] = "beam",
    out: Annotated[Path | None, typer.Option(help="Default: threshold.json beside it.")] = None,
    resplits: Annotated[
        int, typer.Option(min=0, help="Test the promise on so many halves of these patients.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of the halves.")] = 0,
) -> None:
    """Choose when to say "undecided", so that at most ALPHA of the answers state a false change.

    Choose on validation patients, then apply it to others: lapse evaluate --threshold FILE.
    """
    from lapse.evaluation.evaluate import read_predictions
    from lapse.metrics.abstention import choose_threshold, resplit_rates, write_threshold

    found = [item for item in read_predictions(validation) if item.task == "diff_vqa"]
    if not found:
        raise ValueError(f"{validation} holds no difference answer (task diff_vqa)")
    chosen = choose_threshold(found, alpha, by)
    target = out or validation.with_name("threshold.json")
    write_threshold(target, chosen)
    typer.echo(
        f"a change is stated when its probability by {by} is above {chosen.threshold:.6g}: "
        f"false-change rate {chosen.rate:.4f} on {chosen.patients} patients, promised {alpha:g}"
    )
    if resplits:
        rates = resplit_rates(found, alpha, by, splits=resplits, seed=seed)
        mean = sum(rates) / len(rates)
        kept = sum(rate <= alpha + 0.03 for rate in rates)
        typer.echo(
            f"{resplits} resplits by patient: mean {mean:.4f}, "
            f"{kept}/{resplits} at most {alpha + 0.03:.2f}"
        )
    say(f"threshold in {target}")
