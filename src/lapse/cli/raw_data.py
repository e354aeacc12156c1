"""The raw data that a command line names: folders of the public data sets, or one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lapse.data.datasets.discovery import DatasetRoots, TableRoots


def find_raw_data(
    sources: list[Path], images: Path | None, *, command: str
) -> DatasetRoots | TableRoots:
    """The public datasets in folders, or a table of own films.

    Args:
        sources: folders, or one table.
        images: the folder of the images of a table.
        command: an example of the command with a table, for messages.

    Raises:
        ValueError: the sources cannot be combined, or something is missing.
    """
    from lapse.data.datasets.discovery import find_roots, find_table_roots

    is_table = len(sources) == 1 and (images is not None or sources[0].is_file())
    if images is not None and not is_table:
        raise ValueError(f"--images goes with one table: {command}")
    if not is_table:
        return find_roots(sources)
    if images is None:
        raise ValueError(f"{sources[0]} is a table: give the folder of its images with --images")
    return find_table_roots(sources[0], images)
