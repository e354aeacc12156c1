"""`lapse simulate`: simulated patients as raw data."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from lapse.cli.console import progress_bar
from lapse.cli.options import Anatomy, ImageFormat, Split, Tier
from lapse.core.extras import check_extra
from lapse.core.registry import find, load

if TYPE_CHECKING:
    from lapse.phantom.dataset.options import SimulateConfig
    from lapse.phantom.dataset.release_tree import LayoutWriter

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CohortOptions:
    """Which patients are simulated: fields of `SimulateConfig`."""

    panel: ClassVar[str] = "Patients"

    patients: Annotated[int, typer.Option(min=1, help="Number of patients.")] = 48
    visits: Annotated[
        str, typer.Option(metavar="N or N-M", help="Number of visits of each patient.")
    ] = "2-4"
    split: Annotated[
        Split | None,
        typer.Option(
            help="Write the patients of this split only (about 15% of --patients for test), with "
            "the same files as in the complete data.",
            show_default="every split",
        ),
    ] = None
    counterfactual_fraction: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Fraction of the test patients in counterfactual quadruplets."
        ),
    ] = 0.1
    ood_fraction: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Fraction of the test patients that are out of distribution."
        ),
    ] = 0.2


@dataclass(frozen=True)
class DifficultyOptions:
    """How hard the findings are to see: fields of `SimulateConfig`."""

    panel: ClassVar[str] = "Difficulty"

    tier: Annotated[
        Tier,
        typer.Option(
            help="Full findings, cues below the sampling limit, or both in different patients."
        ),
    ] = "coarse"
    nuisance: Annotated[
        float, typer.Option(min=0, max=1.5, help="Strength of acquisition differences and noise.")
    ] = 1.0
    portable_fraction: Annotated[
        float, typer.Option(min=0, max=1, help="Fraction of the films that are portable.")
    ] = 0.0
    anatomy: Annotated[
        Anatomy,
        typer.Option(help="Plain, with menisci, mass effect and more, or mixed."),
    ] = "plain"
    subtlety: Annotated[
        float, typer.Option(min=0, max=1, help="How faint the findings are within their level.")
    ] = 0.0
    confound: Annotated[
        float, typer.Option(min=0, max=1, help="How far AP views and devices follow illness.")
    ] = 0.0
    prevalence: Annotated[
        float, typer.Option(min=0, help="Factor on the rates at which findings begin.")
    ] = 1.0


@dataclass(frozen=True)
class FileOptions:
    """How the data is written."""

    panel: ClassVar[str] = "Files"

    size: Annotated[int, typer.Option(min=64, help="Longest side of the images in pixels.")] = 512
    images: Annotated[ImageFormat, typer.Option(help="Image files to write.")] = "jpeg"
    layout: Annotated[
        str,
        typer.Option(
            help="Layout of the files: mimic, or a release of `lapse list layouts`, such as nih."
        ),
    ] = "mimic"
    priors: Annotated[
        bool, typer.Option(help="Write sentences that refer to the earlier study into reports.")
    ] = False
    defect_rate: Annotated[
        float,
        typer.Option(min=0, max=1, help="Fraction of records that get each kind of defect."),
    ] = 0.0
    defect: Annotated[
        list[str],
        typer.Option(help="Only this kind of defect; may be repeated.", show_default="every kind"),
    ] = field(default_factory=list)


def simulate_command(
    cohort: CohortOptions,
    difficulty: DifficultyOptions,
    files: FileOptions,
    *,
    out: Annotated[
        Path | None, typer.Argument(help="New folder for the data, or that of an interrupted run.")
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the simulation; the same seed gives the same bytes.")
    ] = 0,
    processes: Annotated[int, typer.Option(min=1, help="Number of worker processes.")] = 1,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(help="Folder for contact sheets of the simulator; writes no patients."),
    ] = None,
) -> None:
    """Simulate patients in the layouts of MIMIC-CXR-JPG, Chest ImaGenome and Medical-Diff-VQA.

    The same command continues an interrupted run. OUT/phantom holds the ground truth.
    """
    from lapse.phantom.dataset.writer import SimulateConfig, simulate
    from lapse.phantom.defects.inject import TRUTH, check_defects, inject

    if contact_sheet is not None:
        _draw_sheets(contact_sheet, seed)
        return
    if out is None:
        raise ValueError("no output folder: lapse simulate OUT, or --contact-sheet FOLDER")
    patients = {"visits": _parse_visits(cohort.visits), "split": cohort.split or ""}
    config = SimulateConfig(
        seed=seed,
        size=files.size,
        priors=files.priors,
        processes=processes,
        images=files.images,
        **vars(cohort) | patients | vars(difficulty),
    )
    if files.images != "jpeg":
        check_extra("dicom", ["pydicom"], f"--images {files.images}")
    check_defects(files.defect)
    if files.layout != "mimic":
        _write_layout(out, config, files)
        return
    if files.defect and not files.defect_rate:
        raise ValueError(f"--defect {files.defect[0]} needs a rate, such as --defect-rate 0.02")
    with progress_bar("simulate") as progress:
        simulate(out, config, progress)
    if files.defect_rate:
        injected = inject(out, files.defect_rate, seed, files.defect or None)
        num_defects = sum(len(ids) for ids in injected.values())
        logger.info("%d defects of %d types, listed in %s", num_defects, len(injected), out / TRUTH)


def _write_layout(out: Path, config: SimulateConfig, files: FileOptions) -> None:
    if files.defect or files.defect_rate or files.images != "jpeg":
        raise ValueError("--layout goes without --images, --defect and --defect-rate")
    find("layouts", files.layout, registered_only=True)
    write: LayoutWriter = load("layouts", files.layout)
    with progress_bar("simulate") as progress:
        write(out, config, progress)
    logger.info("simulated tree of the layout %s in %s", files.layout, out)


def _draw_sheets(folder: Path, seed: int) -> None:
    from lapse.phantom.dataset.contact_sheet import draw_contact_sheets

    with progress_bar("contact sheets") as progress:
        paths = draw_contact_sheets(folder, seed=seed, progress=progress)
    for path in paths:
        logger.info("%s: %d kB", path, path.stat().st_size // 1000)


def _parse_visits(text: str) -> tuple[int, int]:
    low, separator, high = text.partition("-")
    try:
        fewest, most = int(low), int(high if separator else low)
    except ValueError:
        raise ValueError(f"--visits {text!r} is not a number or a range such as 2-4") from None
    if not 1 <= fewest <= most:
        raise ValueError(f"--visits {text!r}: the range needs 1 <= first <= last")
    return fewest, most
