"""The items of a large JSON list, one at a time, with limits on their size and depth."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import ijson

MAX_ITEM = 16 * 1024 * 1024  # bytes of one item
MAX_DEPTH = 100


def json_items(path: Path) -> Iterator[Any]:
    """The items of the list that a JSON file holds.

    Raises:
        ValueError: the file is not a single list in UTF-8, is cut short, or an item is larger
            than `MAX_ITEM` or nested deeper than `MAX_DEPTH`.
    """
    with path.open("rb") as stream:
        if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            stream.seek(0)
        reader = _ItemReader(stream)
        try:
            yield from _items(reader)
        except ijson.JSONError as error:
            reason = "; ".join(line.strip() for line in str(error).splitlines()[:1])
            raise ValueError(
                f"an item is damaged, cut short or larger than {MAX_ITEM} bytes ({reason})"
            ) from error


class _ItemReader:
    """A stream that ends after `MAX_ITEM` bytes unless an item is completed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._num_bytes = 0

    def read(self, size: int = -1) -> bytes:
        if self._num_bytes > MAX_ITEM:
            return b""
        data = self._stream.read(size)
        self._num_bytes += len(data)
        return data

    def item_completed(self) -> None:
        self._num_bytes = 0


def _items(reader: _ItemReader) -> Iterator[Any]:
    events = ijson.basic_parse(reader)
    if next(events)[0] != "start_array":
        raise ValueError("it does not start with a list")
    depth, builder = 0, ijson.ObjectBuilder()
    for event, value in events:
        if event in ("start_map", "start_array"):
            depth += 1
        elif event in ("end_map", "end_array"):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ValueError(f"an item is nested deeper than {MAX_DEPTH}")
        if depth < 0:
            continue  # the end of the list; the parser rejects further content
        builder.event(event, value)
        if depth == 0:
            reader.item_completed()
            yield builder.value
            builder = ijson.ObjectBuilder()
