"""A JSON list that is larger than memory should be: its items, one at a time."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

MAX_ITEM = 16 * 1024 * 1024  # characters of one item
_BLOCK = 1 << 20


def json_items(path: Path) -> Iterator[Any]:
    """The items of the list that a JSON file holds.

    Raises:
        ValueError: the file is not one list in UTF-8, ends early, or an item is beyond 16 MB.
    """
    with path.open("rb") as stream:
        reader = _Reader(stream)
        if reader.peek() != "[":
            raise ValueError("it does not begin with a list")
        reader.skip()
        if reader.peek() == "]":
            reader.skip()
        else:
            mark = ","
            while mark == ",":
                yield reader.item()
                mark = reader.peek()
                reader.skip()
            if mark != "]":
                raise ValueError(f"an item is followed by {mark!r}" if mark else "it ends early")
        if reader.peek():
            raise ValueError("something follows the list")


class _Reader:
    """A window on the text of a file; what was read is dropped block by block."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._text = ""
        self._place = 0
        self._is_end = False

    def peek(self) -> str:
        """The next character that is no white space, "" at the end."""
        while True:
            while self._place < len(self._text) and self._text[self._place].isspace():
                self._place += 1
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._more():
                return ""

    def skip(self) -> None:
        """Pass over the character that `peek` saw."""
        self._place += 1

    def item(self) -> Any:
        """The next JSON value."""
        self.peek()
        while True:
            try:
                item, end = self._json.raw_decode(self._text, self._place)
            except (ValueError, RecursionError) as error:
                is_long = len(self._text) - self._place > MAX_ITEM
                if is_long or not self._more():
                    raise ValueError(f"an item is damaged or cut short ({error})") from error
                continue
            if end < len(self._text) or not self._more():  # a number may go on in the next block
                self._place = end
                return item

    def _more(self) -> bool:
        """Whether another block could be read."""
        if self._is_end:
            return False
        block = self._stream.read(_BLOCK)
        self._is_end = not block
        self._text = self._text[self._place :] + self._decoder.decode(block, final=self._is_end)
        self._place = 0
        return True
