"""A CSV table read by a doctor: what is wrong with it is reported, and reading goes on.

The loaders (`lapse.data.io.csv_tables`) stop at the first damage. Here a row that is broken is
listed
and passed over, and bytes that are not UTF-8 stay visible as escapes; only damage of the file
itself ends the reading, and then `is_whole` is False: nothing is concluded from absent rows.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from lapse.data.io.csv_tables import plain_id
from lapse.data.verify.results import Findings

BYTE_ORDER_MARK = "\ufeff"
MAX_DIGITS = 16  # of a patient or study number: four times it fits into 63 bits


class RawTable:
    """One table, its defects reported while it is read.

    Args:
        path: `.csv`, `.csv.gz`, or a text with tabs.
        findings: takes the defects.
        columns: every named column that the release has; others are reported.
        delimiter: "," or a tab.
        is_open: columns beyond the known ones are nobody's business.

    Attributes:
        num_rows: well-formed rows read so far.
        is_whole: the file was read to its end and had the columns asked for.
    """

    def __init__(
        self,
        path: Path,
        findings: Findings,
        columns: Sequence[str],
        *,
        delimiter: str = ",",
        is_open: bool = False,
    ) -> None:
        self.path = path
        self.name = path.name
        self.num_rows = 0
        self.is_whole = False
        self._findings = findings
        self._columns = columns
        self._delimiter = delimiter
        self._is_open = is_open

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
        """(line, the named fields) of every well-formed row; nothing where a column lacks."""
        if self.path.stat().st_size == 0:
            self._findings.add("empty-file", self.name)
            return
        try:
            with _open(self.path) as stream:
                yield from self._rows(stream, columns)
        except (EOFError, OSError, zlib.error, csv.Error) as error:
            self.is_whole = False
            self._findings.add("damaged-table", self.name)
            self._findings.note(f"{self.name} cannot be read to its end: {error}")

    def again(self, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
        """The same rows a second time, their defects not reported again."""
        silent = RawTable(self.path, Findings(0), self._columns, delimiter=self._delimiter)
        return silent.rows(columns)

    def _rows(
        self, stream: IO[str], columns: Sequence[str]
    ) -> Iterator[tuple[int, tuple[str, ...]]]:
        reader = csv.reader(self._lines(stream), delimiter=self._delimiter)
        header = next(reader, None)
        if header is None:
            self._findings.add("empty-file", self.name)
            return
        self._check_header(header)
        if not set(columns) <= set(header):
            self._findings.note(f"{self.name} was not read further: it lacks columns")
            return
        places = [header.index(column) for column in columns]
        for row in reader:
            if len(row) == len(header):
                self.num_rows += 1
                yield reader.line_num, tuple(row[place] for place in places)
            elif row:
                self._findings.add("field-count", self.line(reader.line_num))
        self.is_whole = True

    def line(self, number: int) -> str:
        """How a line of this table is named in a report."""
        return f"{self.name} line {number}"

    def _check_header(self, header: list[str]) -> None:
        for column in self._columns:
            if column and column not in header:  # a nameless row index comes and goes
                self._findings.add("missing-column", f"{self.name}: {column}")
        for column in header:
            if column and column not in self._columns and not self._is_open:
                self._findings.add("extra-column", f"{self.name}: {column}")

    def _lines(self, stream: IO[str]) -> Iterator[str]:
        for number, line in enumerate(stream, start=1):
            if number == 1 and line.startswith(BYTE_ORDER_MARK):
                self._findings.add("byte-order-mark", self.name)
                line = line.removeprefix(BYTE_ORDER_MARK)
            if not line.isascii() and not is_utf8(line):
                self._findings.add("not-utf8", self.line(number))
            yield line


def is_utf8(escaped: str) -> bool:
    """Whether a text that was read with `surrogateescape` was valid UTF-8."""
    try:
        escaped.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def id_number(text: str) -> int | None:
    """A patient or study as a number, None where it is none.

    >>> id_number("s50414267"), id_number("050414267.0"), id_number("unknown")
    (50414267, 50414267, None)
    """
    plain = plain_id(text)
    if not plain.isascii() or not plain.isdigit() or len(plain) > MAX_DIGITS:
        return None
    return int(plain)


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return io.TextIOWrapper(
            gzip.open(path, "rb"), encoding="utf-8", errors="surrogateescape", newline=""
        )
    return path.open(encoding="utf-8", errors="surrogateescape", newline="")
