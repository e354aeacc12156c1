import asyncio
import json

import pytest

from lapse.serve.messages import (
    MAX_JSON,
    MAX_PARTS,
    Message,
    MessageError,
    head_length,
    pack,
    parse_head,
    receive,
)


def read(data):
    async def run():
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        return await receive(stream)

    return asyncio.run(run())


def test_a_message_comes_back():
    message = read(pack(Message({"a": 1, "b": "ü"}, (b"", b"xyz"))))
    assert (message.values, message.parts) == ({"a": 1, "b": "ü"}, (b"", b"xyz"))


def test_every_cut_message_is_an_error():
    data = pack(Message({"a": 1}, (b"xyz",)))
    for length in range(len(data)):
        with pytest.raises((asyncio.IncompleteReadError, MessageError)):
            read(data[:length])


@pytest.mark.parametrize(
    "head",
    [b"", b"[]", b"{}", b"3", b"{\"parts\": 3}", b'{"parts": [-1]}', b'{"parts": [true]}',
     b'{"parts": ["1"]}', json.dumps({"parts": [MAX_PARTS + 1]}).encode(), b"[" * 100_000],
)  # fmt: skip
def test_what_is_not_a_head_is_an_error(head):
    with pytest.raises(MessageError):
        parse_head(head)


def test_a_long_head_is_refused_before_it_is_read():
    with pytest.raises(MessageError):
        head_length((MAX_JSON + 1).to_bytes(4, "big"))
