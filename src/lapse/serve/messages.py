"""Messages between the server and its processes: one JSON object and binary parts.

    4 bytes: length of the JSON | JSON, "parts": lengths | parts

No pickle: a process that decodes files of others may send anything, and it stays data.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

MAX_JSON = 1 << 20  # bytes
MAX_PARTS = 64 << 20  # bytes of all parts of one message, and one film


class MessageError(Exception):
    """The other end sent something else than a message."""


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One message, complete in memory."""

    values: dict[str, Any]
    parts: tuple[bytes, ...] = ()


def pack_head(values: dict[str, Any], lengths: Sequence[int]) -> bytes:
    """Everything of a message except its parts."""
    text = json.dumps({**values, "parts": list(lengths)}).encode()
    return len(text).to_bytes(4, "big") + text


def pack(message: Message) -> bytes:
    """A message as bytes."""
    return pack_head(message.values, [len(part) for part in message.parts]) + b"".join(
        message.parts
    )


def head_length(data: bytes) -> int:
    """The length of the JSON, from the first 4 bytes.

    Raises:
        MessageError: too long.
    """
    length = int.from_bytes(data, "big")
    if length > MAX_JSON:
        raise MessageError("the JSON of a message is too long")
    return length


def parse_head(data: bytes) -> tuple[dict[str, Any], list[int]]:
    """The JSON of a message, and the lengths of its parts.

    Raises:
        MessageError: not such a JSON, or the parts are too long.
    """
    try:
        values = json.loads(data)
        lengths = values.pop("parts")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MessageError("the head of a message is not the expected JSON") from error
    is_valid = isinstance(lengths, list) and all(type(n) is int and n >= 0 for n in lengths)
    if not is_valid or sum(lengths) > MAX_PARTS:
        raise MessageError("the parts of a message are too long")
    return values, lengths


async def receive(stream: asyncio.StreamReader) -> Message:
    """The next message of a process.

    Raises:
        MessageError, asyncio.IncompleteReadError: the process failed.
    """
    head = await stream.readexactly(head_length(await stream.readexactly(4)))
    values, lengths = parse_head(head)
    return Message(values, tuple([await stream.readexactly(length) for length in lengths]))


class Pipe:
    """The end of a process: requests from stdin, answers to stdout.

    Whatever a library prints goes to the null device and cannot appear between the messages.
    """

    def __init__(self) -> None:
        self._input: BinaryIO = sys.stdin.buffer
        self._output: BinaryIO = os.fdopen(os.dup(1), "wb")
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)

    def receive(self) -> Message | None:
        """The next request; None when the server has closed the pipe."""
        start = self._input.read(4)
        if len(start) < 4:
            return None
        values, lengths = parse_head(self._input.read(head_length(start)))
        parts = tuple(self._input.read(length) for length in lengths)
        if [len(part) for part in parts] != lengths:
            return None
        return Message(values, parts)

    def send(self, message: Message) -> None:
        """Send an answer."""
        self._output.write(pack(message))
        self._output.flush()
