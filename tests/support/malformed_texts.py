"""Malformed tables, scene graphs, archives, reports and answers."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np

import small_files as small
from malformed import Kind, bomb, pick

Random = np.random.Generator
Edit = Callable[[dict[str, Any], Random], None]


def _rows(rng: Random) -> list[list[str]]:
    rows = small.simple_rows()
    return [rows[0], *rows[1:] * int(rng.integers(1, 40))]


def _ragged(rng: Random) -> bytes:
    rows = [list(row) for row in _rows(rng)]
    broken = rows[int(rng.integers(1, len(rows)))]
    broken.append("more") if rng.random() < 0.5 else broken.pop()
    return small.table(rows)


def _field(rng: Random, text: str) -> bytes:
    """A table with one field that is written without quoting."""
    lines = small.table(_rows(rng)).decode().splitlines()
    position = int(rng.integers(1, len(lines)))
    lines[position] = f"{text},1,2"
    return ("\n".join(lines) + "\n").encode()


def _open_quote(rng: Random) -> bytes:
    """An unclosed quote: without the strict mode the rest of the table is one field."""
    lines = small.table(_rows(rng)).decode().splitlines()
    lines[-2] = 'image-5,1,"2'
    return ("\n".join(lines) + "\n").encode()


def _packed(rng: Random) -> bytes:
    return small.table(_rows(rng), is_packed=True)


def _zipped_bomb(line: bytes) -> Callable[[Random], bytes]:
    def make(rng: Random) -> bytes:
        stream = BytesIO()
        with gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as packed:
            packed.write(small.table())
            for _ in range(int(rng.integers(20, 30))):
                packed.write((line * (1 << 20))[: 1 << 20])
        return stream.getvalue()

    return make


def _damaged_gzip(rng: Random) -> bytes:
    data = bytearray(_packed(rng))
    data[int(rng.integers(12, len(data) - 8))] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _table(name: str, make, reader="table", expected="refused") -> Kind:
    return Kind(f"table {name}", reader, make, expected)


TABLES = [
    _table("empty", lambda rng: b""),
    _table("without a column", lambda rng: small.table(_rows(rng)).replace(b"study_id", b"study")),
    _table(
        "with a column twice",
        lambda rng: small.table([[*row, row[0]] for row in _rows(rng)]),
    ),
    _table("with a ragged row", _ragged, expected="counted"),
    _table("with semicolons", lambda rng: small.table(_rows(rng)).replace(b",", b";")),
    _table("with zero bytes", lambda rng: _field(rng, "image\0")),
    _table("filled up with zeros", lambda rng: small.table(_rows(rng)) + bytes(4096)),
    _table("of other letters", lambda rng: small.table(_rows(rng)).decode().encode("utf-16")),
    _table("with half a letter", lambda rng: small.table(_rows(rng)) + b"\xc3"),
    _table("with an open quote", _open_quote),
    _table("with letters behind a quote", lambda rng: _field(rng, '"image"5')),
    _table("with an endless field", lambda rng: _field(rng, "x" * int(rng.integers(2e5, 9e5)))),
    _table("with an endless line", lambda rng: _field(rng, "x," * int(rng.integers(6e5, 9e5)))),
    _table("with a byte order mark", lambda rng: b"\xef\xbb\xbf" + small.table(), expected="value"),
    _table("of a header alone", lambda rng: small.table(small.simple_rows()[:1]), expected="value"),
    _table("packed under a plain name", _packed),
    _table("plain under a packed name", lambda rng: small.table(_rows(rng)), "packed table"),
    _table(
        "cut while packed",
        lambda rng: (data := _packed(rng))[: int(rng.integers(3, len(data)))],
        "packed table",
    ),
    _table("with a damaged packing", _damaged_gzip, "packed table"),
    _table(
        "with a wrong checksum",
        lambda rng: _packed(rng)[:-8] + rng.bytes(4) + _packed(rng)[-4:],
        "packed table",
    ),
    _table("bomb of one line", _zipped_bomb(b"x"), "packed table"),
    _table("bomb of empty lines", _zipped_bomb(b"\n"), "packed table"),
    _table("bomb of rows", _zipped_bomb(b"image,1,2\n"), "packed table"),
]


def _edited(edit: Edit) -> Callable[[Random], bytes]:
    def make(rng: Random) -> bytes:
        graph = small.graph("image")
        edit(graph, rng)
        return json.dumps(graph).encode()

    return make


def _set(key: str, *values: Any) -> Edit:
    """One of the objects has another value for this key."""

    def edit(graph: dict[str, Any], rng: Random) -> None:
        pick(rng, graph["objects"])[key] = pick(rng, values)

    return edit


def _phrases(*values: Any) -> Edit:
    def edit(graph: dict[str, Any], rng: Random) -> None:
        pick(rng, graph["attributes"])["phrases"] = pick(rng, values)

    return edit


def _whole(key: str, *values: Any) -> Edit:
    def edit(graph: dict[str, Any], rng: Random) -> None:
        graph[key] = pick(rng, values)

    return edit


def _repeated(graph: dict[str, Any], rng: Random) -> None:
    graph["objects"].append(dict(pick(rng, graph["objects"])))


def _graph(name: str, make, reader="graph", expected="refused") -> Kind:
    return Kind(f"graph {name}", reader, make, expected)


def _patched(data: bytes, mark: bytes, offset: int, piece: bytes) -> bytes:
    """An archive with a changed field in every header with this signature."""
    start = data.find(mark)
    while start >= 0:
        data = data[: start + offset] + piece + data[start + offset + len(piece) :]
        start = data.find(mark, start + 4)
    return data


def _encrypted(rng: Random) -> bytes:
    return _patched(_patched(small.archive(), b"PK\3\4", 6, b"\1"), b"PK\1\2", 8, b"\1")


def _odd_packing(rng: Random) -> bytes:
    method = struct.pack("<H", pick(rng, [1, 6, 97, 99, 500]))
    return _patched(_patched(small.archive(), b"PK\3\4", 8, method), b"PK\1\2", 10, method)


def _damaged_member(rng: Random) -> bytes:
    data = bytearray(small.archive())
    start = data.index(b"_SceneGraph.json") + 20
    data[int(rng.integers(start, start + 100))] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _huge_member(rng: Random) -> bytes:
    return small.archive({"image": b" " * (1 << 20) * int(rng.integers(20, 40))})


def _lying_member(rng: Random) -> bytes:
    """The directory claims a few bytes for a member of megabytes."""
    size = struct.pack("<I", int(rng.integers(10, 999)))
    return _patched(_huge_member(rng), b"PK\1\2", 24, size)


def _renamed(rng: Random) -> bytes:
    return small.archive({pick(rng, ["../../image2", "other", ""]): small.graph_bytes()})


GRAPHS = [
    _graph("empty", lambda rng: b""),
    _graph("cut", lambda rng: (data := small.graph_bytes())[: int(rng.integers(1, len(data)))]),
    _graph("that is a list", lambda rng: b"[" + small.graph_bytes() + b"]"),
    _graph("that is a number", lambda rng: b"%d" % rng.integers(999)),
    _graph("of other letters", lambda rng: small.graph_bytes() + b"\xff\xfe"),
    _graph("of endless depth", lambda rng: b"[" * int(rng.integers(5e4, 2e5))),
    _graph(
        "with an endless number", lambda rng: b'{"x": %s}' % (b"9" * int(rng.integers(5e3, 9e4)))
    ),
    _graph("without corners", _edited(_set("original_x1", None, "12", [], {})), expected="counted"),
    _graph(
        "with a corner that is no number",
        _edited(_set("original_y2", float("nan"), float("inf"), True)),
        expected="counted",
    ),
    _graph("with a box outside", _edited(_set("original_x2", -50, -1)), expected="counted"),
    _graph("with a huge corner", _edited(_set("original_x2", 10**400, 10**9)), expected="counted"),
    _graph("with a box of no area", _edited(_set("original_x2", 40, 0)), expected="counted"),
    _graph("with two disagreeing frames", _edited(_set("x1", 90, 150)), expected="counted"),
    _graph(
        "with an unknown region", _edited(_set("bbox_name", "left knee", "")), expected="counted"
    ),
    _graph("with a region twice", _edited(_repeated), expected="counted"),
    _graph(
        "whose objects are no list",
        _edited(_whole("objects", {"a": 1}, "text", 5, None)),
        expected="counted",
    ),
    _graph(
        "whose objects are no objects",
        _edited(_whole("objects", [1, "a", None], [[]])),
        expected="counted",
    ),
    _graph("whose phrases are no list", _edited(_phrases("text", 5, None, {})), expected="counted"),
    _graph("with phrases without words", _edited(_phrases([""], ["..."])), expected="counted"),
    _graph("archive empty", lambda rng: b"", "archive"),
    _graph(
        "archive cut",
        lambda rng: (data := small.archive())[: int(rng.integers(1, len(data) - 1))],
        "archive",
    ),
    _graph("archive of noise", lambda rng: rng.bytes(4000), "archive"),
    _graph("archive with a damaged member", _damaged_member, "archive"),
    _graph("archive encrypted", _encrypted, "archive"),
    _graph("archive of odd packing", _odd_packing, "archive"),
    _graph("archive with a huge member", _huge_member, "archive"),
    _graph("archive with a lying member", _lying_member, "archive"),
    _graph("archive without the image", _renamed, "archive", "counted"),
    _graph("archive that is gzip", lambda rng: gzip.compress(small.archive(), mtime=0), "archive"),
    _graph("archive that is zlib", lambda rng: bomb(rng, 2), "archive"),
]


def _headers(rng: Random) -> bytes:
    return b"\n FINDINGS: \n \n" * int(rng.integers(20_000, 60_000))


def _report(name: str, make, expected="any") -> Kind:
    return Kind(f"report {name}", "report", make, expected)


# Any text is a report, so no text may stop the reader.
REPORTS = [
    _report("empty", lambda rng: b""),
    _report("of other letters", lambda rng: small.report() + rng.bytes(200)),
    _report("with zero bytes", lambda rng: small.report().replace(b" ", b"\0")),
    _report("of headers", _headers),
    _report("of blanks", lambda rng: b" " * int(rng.integers(5e5, 9e5))),
    _report("of one endless header", lambda rng: b"\n " + b"A /" * int(rng.integers(1e5, 3e5))),
    _report(
        "of endless temporal words",
        lambda rng: b" the prior, no change in" * int(rng.integers(3e4)),
    ),
    _report("of megabytes", lambda rng: small.report() * int(rng.integers(6000, 9000)), "refused"),
]


def _repeat(*pieces: bytes) -> Callable[[Random], bytes]:
    def make(rng: Random) -> bytes:
        return pick(rng, pieces) * int(rng.integers(20_000, 60_000))

    return make


ANSWERS = [
    Kind("answer empty", "answer", lambda rng: b"", "counted"),
    Kind("answer of endless levels", "answer", _repeat(b"the level of "), "counted"),
    Kind("answer of noise", "answer", lambda rng: rng.bytes(3000), "counted"),
    Kind(
        "answer of endless beginnings",
        "answer",
        _repeat(b"the main image ", b"the level of a has changed from "),
        "counted",
    ),
    Kind(
        "answer of endless lists",
        "answer",
        _repeat(b"the main image is missing the findings of edema, ", b"edema, and ", b"to mild "),
        "counted",
    ),
    Kind("answer of blanks", "answer", _repeat(b" ", b"\n", b"\t"), "counted"),
]
