"""Files that users bring: UTF-8, or UTF-16 with its mark; tables with comma, semicolon or tab.

Spreadsheets write all of these. A table in another encoding is refused, because decoding it with
a wrong one changes texts without an error. Every row has the number of its first line in the file,
counted from 1, as an editor shows it (the header is line 1).
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

DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
MAX_CELL = 16 * 1024 * 1024  # characters of one cell
MAX_RATIO = 1000  # bytes that one byte of a .gz file may unpack to: real tables need about 10
SPREADSHEETS = frozenset({".xlsx", ".xls", ".ods"})

Line = tuple[int, dict[str, str]]  # number of the line, column -> cell


def read_table(path: Path, required: Sequence[str] = ()) -> Iterator[Line]:
    """The rows of a table, without blank ones.

    Args:
        path: of a .csv, .tsv or .txt file, or of one with .gz.
        required: columns that the table must have.

    Raises:
        ValueError: no such file, a spreadsheet, another encoding, a missing or repeated column,
            or a row with another number of cells than the header.
    """
    process_limit = csv.field_size_limit(MAX_CELL)  # the limit is shared by all readers
    try:
        with _open(path) as stream:
            header = stream.readline()
            delimiter = max(DELIMITERS, key=header.count)
            (columns,) = csv.reader([header], delimiter=delimiter) if header.strip() else ([],)
            names = [name.strip() for name in columns]
            _check_columns(path, names, required)
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            number = 2
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    if len(cells) != len(names):
                        raise ValueError(
                            f"{path} line {number} has {len(cells)} cells and the header "
                            f"{len(names)}: put quotation marks around texts that contain "
                            f"{DELIMITERS[delimiter]}"
                        )
                    yield number, dict(zip(names, cells, strict=True))
                number = reader.line_num + 2
    except UnicodeError:
        raise ValueError(f"{path} {_wrong_byte(path)}: save it as 'CSV UTF-8'") from None
    except (csv.Error, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as a table ({error}): write it again") from None
    finally:
        csv.field_size_limit(process_limit)


def _open(path: Path) -> IO[str]:
    if not path.is_file():
        raise ValueError(f"no file {path}")
    if path.suffix.lower() in SPREADSHEETS:
        raise ValueError(f"{path} is a spreadsheet: save it as 'CSV UTF-8' and give that file")
    return io.TextIOWrapper(open_utf8(path), encoding="utf-8-sig", newline="")


def open_utf8(path: Path) -> IO[bytes]:
    """A text file as UTF-8 bytes, unpacked where its name ends with .gz; UTF-16 is converted.

    Raises:
        ValueError: UTF-16 without its mark, UTF-32, or a .gz file that unpacks to far more than
            any text does.
    """
    with _open_binary(path) as stream:
        first = stream.read(64)
    if first.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        raise ValueError(f"{path} is in UTF-32: save it as UTF-8")
    if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        with _open_binary(path) as stream:
            content = stream.read()
        try:
            return io.BytesIO(content.decode("utf-16").encode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is damaged UTF-16 ({error}): write it again") from None
    if b"\0" in first:
        raise ValueError(
            f"{path} is in UTF-16 or UTF-32 without a byte order mark: save it as UTF-8"
        )
    return _open_binary(path)


def _open_binary(path: Path) -> IO[bytes]:
    if path.suffix.lower() != ".gz":
        return path.open("rb")
    limit = MAX_RATIO * path.stat().st_size
    try:
        with gzip.open(path, "rb") as packed:
            content = packed.read(limit + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} cannot be unpacked ({error}): write it again") from None
    if len(content) > limit:
        raise ValueError(f"{path} unpacks to more than {limit} bytes: give the unpacked file")
    return io.BytesIO(content)


def _wrong_byte(path: Path) -> str:
    """The first byte of a table that is not UTF-8."""
    with open_utf8(path) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = line[error.start]
                return f"line {number} is not UTF-8 (byte 0x{byte:02x}; Latin-1 or Windows-1252?)"
    return "is not UTF-8"


def _check_columns(path: Path, names: Sequence[str], required: Sequence[str]) -> None:
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise ValueError(f"{path} has the column {repeated[0]!r} twice: keep one of them")
    for name in required:
        if name not in names:
            raise ValueError(f"{path} has no column {name!r}: {nearest(name, names)}")
