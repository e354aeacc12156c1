"""Tables and JSON files of public releases: a row that cannot be read does not end the reading."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lapse.data.datasets.plain_cells import Cells, Row, readable
from lapse.data.io.csv_tables import read_rows


def read_release_rows(
    path: Path,
    columns: Sequence[str],
    row: Callable[[Cells], Row],
    on_error: Callable[[ValueError], None],
) -> Iterator[Row]:
    """The rows of a table, streamed.

    Args:
        path: `.csv` or `.csv.gz`.
        columns: the header must have all of them.
        row: from the cells of one row; raises ValueError for a cell that cannot be read.
        on_error: called with the error of a row, which is then skipped.

    Raises:
        ValueError: the table is damaged or lacks a column, or `on_error` raises.
    """
    rows = (
        Cells(path.name, line, dict(zip(columns, texts, strict=True)))
        for line, texts in enumerate(read_rows(path, columns), start=2)
    )
    return readable(rows, row, on_error)


def read_release_json(path: Path, max_bytes: int) -> object:
    """The content of a JSON file of at most `max_bytes`.

    Raises:
        ValueError: the file is larger, or not valid JSON.
    """
    if path.stat().st_size > max_bytes:
        raise ValueError(f"{path} has more than {max_bytes} bytes: this is another file")
    try:
        content: object = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}): download it again") from error
    return content
