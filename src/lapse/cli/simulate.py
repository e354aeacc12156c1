"""`lapse simulate`: phantom patients as raw trees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import progress_bar, say


def simulate(
    out: Annotated[
        Path | None, typer.Argument(help="New folder for the raw trees, or a cut run.")
    ] = None,
    patients: Annotated[int, typer.Option(min=1, help="How many patients.")] = 48,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    size: Annotated[int, typer.Option(min=64, help="Longest image side in pixels.")] = 512,
    visits: Annotated[str, typer.Option(help="Visits per patient, e.g. 2-4.")] = "2-4",
    nuisance: Annotated[float, typer.Option(min=0, max=1.5, help="Acquisition noise.")] = 1.0,
    subtlety: Annotated[
        float, typer.Option(min=0, max=1, help="Fainter findings within the same levels.")
    ] = 0.0,
    confound: Annotated[
        float, typer.Option(min=0, max=1, help="AP view and devices go with sick.")
    ] = 0.0,
    prevalence: Annotated[float, typer.Option(min=0, help="Scale of finding rates.")] = 1.0,
    tier: Annotated[str, typer.Option(help="coarse, fine or mixed.")] = "coarse",
    quads: Annotated[
        float, typer.Option(min=0, max=1, help="Share of test patients in counterfactual quads.")
    ] = 0.1,
    tails: Annotated[
        float, typer.Option(min=0, max=1, help="Share of test patients in held-out tails.")
    ] = 0.2,
    only: Annotated[
        str,
        typer.Option(
            help="Write one part alone, train, validate or test: the same files as in the whole "
            "tree of --patients patients, of whom about 15% are test patients."
        ),
    ] = "",
    priors: Annotated[bool, typer.Option(help="Reports mention earlier studies.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    images: Annotated[str, typer.Option(help="jpeg, dicom or both.")] = "jpeg",
    quirks: Annotated[
        float, typer.Option(min=0, max=1, help="Share of records that get each kind of defect.")
    ] = 0.0,
    quirk: Annotated[
        list[str] | None, typer.Option(help="Only this kind of defect; may be repeated.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Draw contact sheets into this folder, and stop.")
    ] = None,
) -> None:
    """Simulate patients into MIMIC-CXR-JPG, Chest ImaGenome and Medical-Diff-VQA trees.

    A run that was killed goes on where it stopped when it is started again with the same options.
    The truth of every study lies in OUT/phantom.
    """
    from lapse.phantom.dataset.writer import SimulateConfig
    from lapse.phantom.dataset.writer import simulate as run
    from lapse.phantom.defects.inject import check_kinds, inject

    if sheet is not None:
        _draw_sheets(sheet, seed)
        return
    if out is None:
        raise ValueError("no folder for the trees: lapse simulate OUT, or --sheet DIR for pictures")
    config = SimulateConfig(
        patients=patients,
        seed=seed,
        size=size,
        visits=_visits(visits),
        nuisance=nuisance,
        confound=confound,
        prevalence=prevalence,
        priors=priors,
        processes=processes,
        images=images,
        subtlety=subtlety,
        tier=tier,
        quads=quads,
        tails=tails,
        only=only,
    )
    check_kinds(quirk or [])
    if quirk and not quirks:
        raise ValueError(f"--quirk {quirk[0]} without a rate: add --quirks 0.02, for example")
    with progress_bar("simulate") as progress:
        report = run(out, config, progress)
    for line in report.lines():
        say(line)
    if quirks:
        truth = inject(out, quirks, seed, quirk)
        num_defects = sum(len(ids) for ids in truth.values())
        say(f"{num_defects} defects of {len(truth)} kinds, listed in {out / 'quirks.json'}")


def _draw_sheets(folder: Path, seed: int) -> None:
    from lapse.phantom.analysis.contact_sheet import draw_sheets

    with progress_bar("sheets") as progress:
        files = draw_sheets(folder, seed=seed, progress=progress)
    for path in files:
        say(f"{path}: {path.stat().st_size // 1000} kB")


def _visits(text: str) -> tuple[int, int]:
    low, separator, high = text.partition("-")
    try:
        first, last = int(low), int(high if separator else low)
    except ValueError:
        raise ValueError(f"--visits {text!r} is not a number or a range such as 2-4") from None
    if not 1 <= first <= last:
        raise ValueError(f"--visits {text!r}: the range needs 1 <= first <= last")
    return first, last
