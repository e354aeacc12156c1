"""CSV tables as PhysioNet ships them: plain or gzipped, columns found by name, ids made plain.

Rows stream: memory does not grow with a table. What a small file can unpack to is limited.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from lapse.core.types import nearest
from lapse.data.io.skip_log import SkipLog

MAX_LINE = 1024 * 1024  # characters of one line
MAX_RATIO = 100  # characters for each byte of a file; real tables pack to a fifth or less
MIN_UNPACKED = 1024 * 1024  # characters that any file may unpack to

SPLIT_WORDS = {
    "train": "train",
    "validate": "validate",
    "validation": "validate",
    "valid": "validate",
    "val": "validate",
    "test": "test",
}


def find_table(folder: Path, pattern: str) -> Path | None:
    """The table of that name, `.csv.gz` or `.csv`; of several versions the newest.

    Args:
        folder: where to look, not below.
        pattern: a file name without its ending, `*` allowed.
    """
    found = [*folder.glob(f"{pattern}.csv"), *folder.glob(f"{pattern}.csv.gz")]
    return max(found, key=lambda path: path.name.removesuffix(".gz"), default=None)


def read_rows(
    path: Path, columns: Sequence[str], broken: SkipLog | None = None
) -> Iterator[tuple[str, ...]]:
    """The named columns of every row, in the order asked for.

    Args:
        path: a `.csv` or `.csv.gz` file, with or without a byte order mark.
        columns: names that the header must hold, wherever they stand.
        broken: takes rows with a wrong number of fields; without it they are an error.

    Raises:
        ValueError: a column is missing or stands there twice, a row is broken, or the file is
            damaged or unpacks too far.
    """
    with _open_text(path) as stream:
        reader = csv.reader(_lines(path, stream), strict=True)
        try:
            header = next(reader, None)
            if header is None:
                raise ValueError(f"{path} is empty: fetch the file again")
            places = [_place(path, header, column) for column in columns]
            for row in reader:
                if len(row) == len(header):
                    yield tuple(row[place] for place in places)
                elif row:
                    _report_broken(path, reader.line_num, len(row), len(header), broken)
        except (EOFError, OSError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} is damaged ({error}): fetch the file again") from error


def read_header(path: Path) -> list[str]:
    """The names of a table's columns; those of an empty table are [].

    Raises:
        ValueError: no such table, or a damaged one.
    """
    with _open_text(path) as stream:
        try:
            return next(csv.reader(_lines(path, stream), strict=True), [])
        except (EOFError, OSError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} is damaged ({error}): fetch the file again") from error


def split_word(word: str, path: Path) -> str:
    """train, validate or test from any of the words that the data sets use.

    Raises:
        ValueError: the word is none of them.
    """
    known = SPLIT_WORDS.get(word.strip().lower())
    if known is None:
        raise ValueError(f"{path} has the split {word!r}; {nearest(word, list(SPLIT_WORDS))}")
    return known


def plain_id(text: str) -> str:
    """One spelling for a patient or study number: no letter, no padding, no ".0".

    >>> plain_id("s50414267"), plain_id("050414267"), plain_id("50414267.0")
    ('50414267', '50414267', '50414267')
    """
    bare = text.strip().removesuffix(".0")
    if bare[:1] in {"p", "s"} and bare[1:].isdigit():
        bare = bare[1:]
    return bare.lstrip("0") or bare


def _open_text(path: Path) -> IO[str]:
    if not path.is_file():
        raise ValueError(f"no table {path}")
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _lines(path: Path, stream: IO[str]) -> Iterator[str]:
    """The lines of a table, none too long and none of zeros, as a broken download leaves them."""
    limit = max(MIN_UNPACKED, MAX_RATIO * path.stat().st_size)
    total = 0
    while line := stream.readline(MAX_LINE):
        total += len(line)
        if len(line) == MAX_LINE or total > limit:
            what = f"a line of {MAX_LINE}" if len(line) == MAX_LINE else f"more than {limit}"
            raise ValueError(f"{path} unpacks to {what} characters: fetch the file again")
        if "\0" in line:
            raise ValueError(f"{path} is damaged (zero bytes in a table): fetch the file again")
        yield line


def _place(path: Path, header: list[str], column: str) -> int:
    if column not in header:
        raise ValueError(
            f"{path} has no column {column!r}: found {', '.join(header)}; was it renamed?"
        )
    if header.count(column) > 1:
        raise ValueError(f"{path} has {header.count(column)} columns {column!r}: keep one of them")
    return header.index(column)


def _report_broken(path: Path, line: int, got: int, wanted: int, broken: SkipLog | None) -> None:
    if broken is None:
        raise ValueError(
            f"{path} line {line} has {got} fields and the header {wanted}: fetch the file again"
        )
    broken.add("row with a wrong number of fields", f"{path.name} line {line}")
