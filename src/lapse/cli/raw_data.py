"""The raw data that a command line names: folders of public data sets, or one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lapse.data.datasets.discovery import DatasetRoots
    from lapse.data.datasets.release import FilmRoots


def find_raw_data(
    sources: list[Path], images: Path | None, *, command: str
) -> DatasetRoots | FilmRoots:
    """MIMIC-CXR and its companions or another release in folders, or a table of own films.

    Args:
        images: the folder of the images of a table.
        command: an example of the command with a table, for messages.

    Raises:
        ValueError: the sources cannot be combined, or something is missing.
    """
    from lapse.data.datasets.discovery import find_roots, find_table_roots
    from lapse.data.datasets.release import find_release

    is_table = len(sources) == 1 and (images is not None or sources[0].is_file())
    if images is not None and not is_table:
        raise ValueError(f"--images goes with one table: {command}")
    if not is_table:
        return find_release(sources) or find_roots(sources)
    if images is None:
        raise ValueError(f"{sources[0]} is a table: give the folder of its images with --images")
    return find_table_roots(sources[0], images)


def with_release_options(
    raw_data: DatasetRoots | FilmRoots,
    *,
    label_map: Sequence[str] = (),
    experts: Sequence[Path] = (),
    masks: Path | None = None,
) -> DatasetRoots | FilmRoots:
    """The raw data with the options of a release.

    Args:
        raw_data: from `find_raw_data`.
        label_map: "LABEL=FINDING" and so on.
        masks: a CSV of CheXmask.

    Raises:
        ValueError: an option is not allowed for this data, or the file of masks does not exist.
    """
    from lapse.data.datasets.discovery import DatasetRoots, ReleaseRoots
    from lapse.data.datasets.release import with_experts, with_label_map

    if masks is not None:
        if isinstance(raw_data, DatasetRoots):
            raise ValueError("--chexmask: the boxes of MIMIC-CXR are those of Chest ImaGenome")
        if not masks.is_file():
            raise ValueError(f"no file {masks}: give a CSV of CheXmask with --chexmask")
        raw_data = replace(raw_data, masks=masks)
    if not label_map and not experts:
        return raw_data
    if not isinstance(raw_data, ReleaseRoots):
        name = "--map-label" if label_map else "--experts"
        raise ValueError(f"{name} goes with a release that has such labels: NIH ChestX-ray14")
    return with_experts(with_label_map(raw_data, label_map), experts)
