"""`lapse prepare`: raw data -> store."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from lapse.cli.console import progress_bar
from lapse.cli.options import Boxes, Frontals, Intensity, Protocol, RegionSet, Resize
from lapse.cli.raw_data import find_raw_data, with_release_options

if TYPE_CHECKING:
    from lapse.data.datasets.discovery import DatasetRoots, ReleaseRoots
    from lapse.data.datasets.release import FilmRoots

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ContentOptions:
    """What the store holds: fields of `PrepareOptions`."""

    panel: ClassVar[str] = "Content of the store"

    size: Annotated[
        int, typer.Option(min=16, help="Width and height of the stored images in pixels.")
    ] = 448
    resize: Annotated[
        Resize,
        typer.Option(help="squash, as in the paper, or letterbox, which keeps proportions."),
    ] = "squash"
    intensity: Annotated[
        Intensity | None,
        typer.Option(
            show_default="percentile for PadChest, otherwise mimic",
            help="Grey values of DICOM files: mimic, as MIMIC-CXR-JPG was made, display, with the "
            "rescale and the window of the file, or percentile, without the darkest and the "
            "brightest pixels, also for PNG files of 16 bits. All images are histogram-equalised.",
        ),
    ] = None
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="patient-safe keeps each patient in one split; published uses the splits of the "
            "data sets."
        ),
    ] = "patient-safe"
    priors: Annotated[
        str,
        typer.Option(
            help="How references to earlier studies are removed from reports: rules, none, or "
            "classifier:FOLDER."
        ),
    ] = "rules"
    boxes: Annotated[
        Boxes,
        typer.Option(
            help="silver boxes of the scene graphs, or gold boxes that people drew (evaluation "
            "only)."
        ),
    ] = "silver"
    regions: Annotated[RegionSet, typer.Option(help="Number of region names.")] = "29"
    frontals: Annotated[Frontals, typer.Option(help="Frontal images to use of each study.")] = (
        "first"
    )
    is_subset: Annotated[
        bool,
        typer.Option(
            "--subset",
            "--allow-missing-images",
            help="The raw data is a part of a release: skip images that are not on disk, and "
            "accept sources that deliver less than half.",
        ),
    ] = False


@dataclass(frozen=True)
class ReleaseOptions:
    """How another public release than MIMIC-CXR is read."""

    panel: ClassVar[str] = "Other public releases"

    map_label: Annotated[
        list[str],
        typer.Option(
            metavar="LABEL=FINDING",
            help='Read a label outside the 30 findings as one of them, such as "Infiltration=lung '
            'opacity"; may be repeated. Pairs that differ in another such label are left out.',
            show_default="none",
        ),
    ] = field(default_factory=list)
    experts: Annotated[
        list[Path],
        typer.Option(
            help="Table of labels by expert readers (NIH ChestX-ray14: Google's two tables; may be "
            "repeated). Their pairs become the task expert_changes, and their patients are in "
            "test.",
            show_default="none",
        ),
    ] = field(default_factory=list)
    chexmask: Annotated[
        Path | None,
        typer.Option(
            help="CSV of CheXmask (OriginalResolution) for the images: boxes of both lungs and of "
            "the heart. Also for your own films.",
        ),
    ] = None
    language: Annotated[
        str,
        typer.Option(help="Language of reports and phrases, in a release with several: en or es."),
    ] = "en"


@dataclass(frozen=True)
class WorkOptions:
    """Which processes and machines make the store."""

    panel: ClassVar[str] = "Processes and machines"

    workers: Annotated[int, typer.Option(min=0, help="Number of processes that decode images.")] = 2
    shard: Annotated[
        str,
        typer.Option(metavar="I/N", help="Make only every N-th shard from the I-th, and no store."),
    ] = ""
    dask: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Make the shards on the workers of this Dask scheduler, such as "
            'tcp://node1:8786, or of "local", which starts --workers of them here.',
        ),
    ] = ""


def prepare_command(
    roots: Annotated[
        list[Path],
        typer.Argument(
            metavar="ROOTS... OUT",
            help="Folders with the raw data, or the CSV of your own films, then the new store.",
        ),
    ],
    content: ContentOptions,
    release: ReleaseOptions,
    work: WorkOptions,
    *,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the images that the CSV of your own films lists."),
    ] = None,
) -> None:
    """Convert raw data into one store: records as Parquet, pixels decoded once.

    With your own films: lapse prepare my_table.csv --images FOLDER OUT. Releases are recognised by
    their tables: lapse prepare ROOT OUT.

    The same command continues an interrupted run. To share the work between machines, run each
    with --shard I/N, copy the folders OUT.shards into one, and run without --shard to merge them.
    On a shared file system, --dask ADDRESS makes and merges them with the workers of a cluster.
    """
    if len(roots) < 2:
        raise ValueError("prepare needs at least one raw folder and the output folder, in order")
    from lapse.data.prepare.prepare import PrepareOptions, prepare

    *sources, out = roots
    options = PrepareOptions(
        **vars(content) | {"intensity": content.intensity or ""},
        workers=work.workers,
        dask=work.dask,
        shard=_parse_shard(work.shard),
    )
    raw_data = find_raw_data(sources, images, command="lapse prepare TABLE.csv --images FOLDER OUT")
    raw_data = with_release_options(
        raw_data, label_map=release.map_label, experts=release.experts, masks=release.chexmask
    )
    if release.language != "en":
        raw_data = _in_language(raw_data, release.language, content.priors)
    with progress_bar("prepare") as progress:
        report = prepare(raw_data, out, options, progress=progress)
    if options.shard is not None:
        logger.info(
            "%d shards in %s.shards, %.1f images/s", report.num_made, out, report.images_per_second
        )
        return
    for line in report.lines():
        logger.info(line)


def _in_language(raw_data: DatasetRoots | FilmRoots, language: str, priors: str) -> ReleaseRoots:
    """The raw data in another language than English, whose references to priors stay."""
    from lapse.data.datasets.discovery import ReleaseRoots
    from lapse.data.datasets.release import with_language

    if not isinstance(raw_data, ReleaseRoots):
        raise ValueError("--language is for releases with texts in several, such as PadChest-GR")
    if priors == "rules":
        raise ValueError(
            "the rules remove English references to earlier studies only: add --priors none, and "
            "the references stay, or --priors classifier:FOLDER"
        )
    return with_language(raw_data, language)


def _parse_shard(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    index, _, count = text.partition("/")
    if not index.isdecimal() or not count.isdecimal():
        raise ValueError(f"--shard {text!r} is not of the form I/N, such as 1/2")
    return int(index), int(count)
