"""CSV tables read with their defects: malformed rows are reported and skipped.

The loaders (`lapse.data.io.csv_tables`) stop at the first damage. Here a malformed row is reported
and skipped, and bytes that are not UTF-8 are kept as escapes. Only damage of the file itself ends
the reading. Then `is_complete` is False, and absent rows are not reported as missing.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from lapse.data.io.csv_tables import is_packed, plain_id
from lapse.data.verify.results import Findings

BYTE_ORDER_MARK = "\ufeff"
MAX_DIGITS = 16  # of a patient or study number


class RawTable:
    """One table; its defects are reported while it is read.

    Args:
        path: `.csv`, `.csv.gz`, or a tab-separated text.
        columns: the columns of the release; others are reported.
        delimiter: "," or a tab.
        allows_extra: columns outside `columns` are not reported.

    Attributes:
        num_rows: well-formed rows read so far.
        is_complete: the file was read to its end and had the requested columns.
    """

    def __init__(
        self,
        path: Path,
        findings: Findings,
        columns: Sequence[str],
        *,
        delimiter: str = ",",
        allows_extra: bool = False,
    ) -> None:
        self.path = path
        self.name = path.name
        self.num_rows = 0
        self.is_complete = False
        self._findings = findings
        self._columns = columns
        self._delimiter = delimiter
        self._allows_extra = allows_extra

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """("NAME line 7", the given fields) of each well-formed row; none without a column."""
        if self.path.stat().st_size == 0:
            self._findings.add("empty-file", self.name)
            return
        try:
            with _open(self.path) as stream:
                yield from self._rows(stream, columns)
        except (EOFError, OSError, zlib.error, csv.Error) as error:
            self.is_complete = False
            self._findings.add("damaged-table", self.name)
            self._findings.note(f"{self.name} cannot be read to its end: {error}")

    def _rows(
        self, stream: IO[str], columns: Sequence[str]
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        reader = csv.reader(self._lines(stream), delimiter=self._delimiter)
        header = next(reader, None)
        if header is None:
            self._findings.add("empty-file", self.name)
            return
        self._check_header(header)
        if not set(columns) <= set(header):
            self._findings.note(f"{self.name} was not read further: columns are missing")
            return
        indices = [header.index(column) for column in columns]
        for row in reader:
            if len(row) == len(header):
                self.num_rows += 1
                yield self._line(reader.line_num), tuple(row[index] for index in indices)
            elif row:
                self._findings.add("field-count", self._line(reader.line_num))
        self.is_complete = True

    def _line(self, number: int) -> str:
        return f"{self.name} line {number}"

    def _check_header(self, header: list[str]) -> None:
        for column in self._columns:
            if column and column not in header:  # the nameless row index is optional
                self._findings.add("missing-column", f"{self.name}: {column}")
        for column in header:
            if column and column not in self._columns and not self._allows_extra:
                self._findings.add("extra-column", f"{self.name}: {column}")

    def _lines(self, stream: IO[str]) -> Iterator[str]:
        for number, line in enumerate(stream, start=1):
            if number == 1 and line.startswith(BYTE_ORDER_MARK):
                self._findings.add("byte-order-mark", self.name)
                line = line.removeprefix(BYTE_ORDER_MARK)
            if not line.isascii() and not _is_utf8(line):
                self._findings.add("not-utf8", self._line(number))
            yield line


def id_number(text: str) -> int | None:
    """A patient or study id as a number, None if it is not a number.

    >>> id_number("s50414267"), id_number("050414267.0"), id_number("unknown")
    (50414267, 50414267, None)
    """
    plain = plain_id(text)
    if not plain.isascii() or not plain.isdigit() or len(plain) > MAX_DIGITS:
        return None
    return int(plain)


def _is_utf8(text: str) -> bool:
    """Whether a text that was read with `surrogateescape` was valid UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _open(path: Path) -> IO[str]:
    if is_packed(path):
        return gzip.open(path, "rt", encoding="utf-8", errors="surrogateescape", newline="")
    return path.open(encoding="utf-8", errors="surrogateescape", newline="")
