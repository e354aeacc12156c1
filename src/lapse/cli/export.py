"""`lapse export`: two runs -> one model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import commit, say


def export(
    stage1: Annotated[Path, typer.Argument(help="Run folder of stage 1.")],
    stage2: Annotated[Path, typer.Argument(help="Run folder of stage 2, trained on it.")],
    out: Annotated[Path, typer.Argument(help="New folder of the model.")],
    resize: Annotated[str, typer.Option(help="As in prepare: squash or letterbox.")] = "squash",
    trained_on: Annotated[str, typer.Option(help="One sentence for the model card.")] = "",
    encoder: Annotated[
        Path | None, typer.Option(help="Also write the encoder for transformers' SigLIP here.")
    ] = None,
) -> None:
    """Write a model folder (weights in 16 bits, card) that lapse.load() and answer open."""
    from lapse.inference.pretrained import Lapse
    from lapse.inference.pretrained.export import from_runs

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not empty: name a new folder")
    facts = {"trained on": trained_on} if trained_on else {}
    model = Lapse(from_runs(stage1, stage2, resize=resize, facts={**facts, "commit": commit()}))
    model.save_pretrained(out)
    say(f"model in {out}, weights {(out / 'model.safetensors').stat().st_size / 1e6:.1f} MB")
    if encoder is not None:
        model.export_encoder(encoder)
        say(f"encoder for transformers in {encoder}")
