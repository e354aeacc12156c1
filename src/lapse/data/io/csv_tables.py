"""CSV tables as they are published: plain, gzipped or zipped, columns by name, ids normalised.

Rows are streamed, so memory does not grow with a table. The size that a small file can unpack to
is limited.
"""

from __future__ import annotations

import csv
import gzip
import io
import logging
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import IO, cast

from lapse.core.types import nearest
from lapse.data.io.skip_log import SkipLog

MAX_LINE = 1024 * 1024  # characters of one line
MAX_RATIO = 100  # characters per byte of the file; real tables compress to a fifth or more
MIN_UNPACKED = 1024 * 1024  # characters that any file may unpack to

SPLIT_NAMES = {
    "train": "train",
    "validate": "validate",
    "validation": "validate",
    "valid": "validate",
    "val": "validate",
    "test": "test",
}
_EXTENSION = re.compile(r"\.csv(\.gz)?$", re.IGNORECASE)
_EMPTY_WORDS = {"", "nan", "none", "null", "n/a", "na"}
_CHUNK = 1024 * 1024  # bytes that are compared at once
_DAMAGE = (EOFError, OSError, zlib.error, zipfile.BadZipFile, UnicodeDecodeError, csv.Error)

logger = logging.getLogger(__name__)


def find_table(folder: Path, pattern: str) -> Path | None:
    """The table of that name, `.csv.gz` or `.csv`, None if there is none.

    Several files of the same content are one table; the log says which of them is read.

    Args:
        folder: searched without its subfolders.
        pattern: a file name without its extension, `*` allowed.

    Raises:
        ValueError: several files match and their contents differ.
    """
    paths = matching_tables(folder, pattern)
    for other in paths[1:]:
        if not have_same_content(paths[0], other):
            raise ValueError(
                f"{paths[0]} and {other.name} are the same table and differ: keep the complete "
                "one and move the other to another folder"
            )
        logger.info("%s is read: %s has the same content", paths[0], other.name)
    return paths[0] if paths else None


def matching_tables(folder: Path, pattern: str) -> list[Path]:
    """All files of a table; the first is the one to read.

    Names in which `*` is a version come first, then the newest version, then `.csv.gz`.
    """
    name = re.compile(re.escape(pattern).replace(r"\*", ".*"))
    version = re.compile(re.escape(pattern).replace(r"\*", r"[\d.]*"))
    ranked = []
    for path in folder.glob(f"{pattern}.*"):
        stem = _EXTENSION.sub("", path.name)
        if stem != path.name and name.fullmatch(stem) and path.is_file():
            is_version = version.fullmatch(stem) is not None
            ranked.append(((is_version, stem, is_packed(path), path.name), path))
    return [path for _, path in sorted(ranked, reverse=True)]


def have_same_content(first: Path, second: Path) -> bool:
    """Whether two tables, packed or not, have equal bytes; False if one of them is damaged."""
    try:
        with _open_bytes(first) as left, _open_bytes(second) as right:
            pairs = zip_longest(
                iter(lambda: left.read(_CHUNK), b""), iter(lambda: right.read(_CHUNK), b"")
            )
            return all(part == other for part, other in pairs)
    except (EOFError, OSError, zlib.error):
        return False


def is_csv(path: Path) -> bool:
    """Whether a path is a table, packed or not, that an operating system does not hide."""
    return bool(_EXTENSION.search(path.name)) and path.is_file() and not path.name.startswith(".")


def is_packed(path: Path) -> bool:
    """Whether a table is compressed, by its name."""
    return path.suffix.lower() == ".gz"


def is_empty(text: str) -> bool:
    """Whether a field is empty, or holds a word that programs write for an empty field.

    >>> is_empty(" "), is_empty("nan"), is_empty("PA")
    (True, True, False)
    """
    return text.strip().lower() in _EMPTY_WORDS


def read_rows(
    path: Path,
    columns: Sequence[str],
    skipped: SkipLog | None = None,
    *,
    width: int | None = None,
    delimiter: str = ",",
) -> Iterator[tuple[str, ...]]:
    """The given columns of every row, in the given order.

    Args:
        path: a `.csv`, `.csv.gz` or `.csv.zip` file, with or without a byte order mark.
        columns: names that the header must contain, in any order.
        skipped: counts rows with a wrong number of fields; without it they are an error.
        width: number of fields that rows may have besides that of the header.
        delimiter: between the fields of a row.

    Raises:
        ValueError: a column is missing or occurs twice, a row is malformed, or the file is
            damaged or unpacks to too many characters.
    """
    with _open_text(path) as stream:
        # fields between tabs can hold quotation marks that are part of the text
        reader = csv.reader(_lines(path, stream), delimiter=delimiter, strict=delimiter == ",")
        try:
            header = next(reader, None)
            if header is None:
                raise ValueError(f"{path} is empty: fetch the file again")
            indices = [_column_index(path, header, column) for column in columns]
            for row in reader:
                if len(row) in (len(header), width):
                    yield tuple(row[index] for index in indices)
                elif row and skipped is not None:
                    line = f"{path.name} line {reader.line_num}"
                    skipped.add("row with a wrong number of fields", line)
                elif row:
                    raise ValueError(
                        f"{path} line {reader.line_num} has {len(row)} fields and the header "
                        f"{len(header)}: fetch the file again"
                    )
        except _DAMAGE as error:
            raise ValueError(f"{path} is damaged ({error}): fetch the file again") from error


def read_header(path: Path, *, delimiter: str = ",") -> list[str]:
    """The column names of a table, [] for an empty file.

    Raises:
        ValueError: the table is missing or damaged.
    """
    with _open_text(path) as stream:
        try:
            lines = _lines(path, stream)
            return next(csv.reader(lines, delimiter=delimiter, strict=delimiter == ","), [])
        except _DAMAGE as error:
            raise ValueError(f"{path} is damaged ({error}): fetch the file again") from error


def parse_split(name: str, path: Path) -> str:
    """train, validate or test from any of the names that the datasets use.

    Raises:
        ValueError: the name is unknown.
    """
    split = SPLIT_NAMES.get(name.strip().lower())
    if split is None:
        raise ValueError(f"{path} has the split {name!r}; {nearest(name, list(SPLIT_NAMES))}")
    return split


def plain_id(text: str) -> str:
    """A patient or study number without prefix letter, padding and ".0".

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
    return io.TextIOWrapper(_open_bytes(path), encoding="utf-8-sig", newline="")


def _open_bytes(path: Path) -> IO[bytes]:
    if is_packed(path):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return _open_zipped(path) if path.suffix.lower() == ".zip" else path.open("rb")


def _open_zipped(path: Path) -> IO[bytes]:
    """The only table of an archive; macOS adds hidden copies."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.startswith("__MACOSX")]
            tables = [name for name in names if name.endswith(".csv")]
            if len(tables) != 1:
                raise ValueError(
                    f"{path} holds {len(tables)} tables instead of one: fetch it again"
                )
            return archive.open(tables[0])
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}): fetch the file again") from error


def _lines(path: Path, stream: IO[str]) -> Iterator[str]:
    """The lines of a table, limited in length and number, without zero bytes.

    An interrupted download can end in zero bytes.
    """
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


def _column_index(path: Path, header: list[str], column: str) -> int:
    if column not in header:
        raise ValueError(
            f"{path} has no column {column!r}: found {', '.join(header)}; was it renamed?"
        )
    if header.count(column) > 1:
        raise ValueError(f"{path} has {header.count(column)} columns {column!r}: keep one of them")
    return header.index(column)
