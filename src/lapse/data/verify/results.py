"""The results of `lapse verify`: defects by type with their ids, row counts, notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lapse.data.datasets.release_counts import RowCount
from lapse.data.verify.defect_types import DEFECT_TYPES, DefectType, defect_type

MAX_IDS = 10_000  # ids listed per defect type; further defects are only counted
MAX_ID_LENGTH = 200
SHOWN_IDS = 2  # ids per defect type at the terminal


class Findings:
    """Collects defects while the checks run. Ids are made printable when they are added."""

    def __init__(self, max_ids: int = MAX_IDS) -> None:
        self.max_ids = max_ids
        self.notes: list[str] = []
        self._counts: Counter[str] = Counter()
        self._ids: dict[str, list[str]] = {}

    def add(self, code: str, example: str) -> None:
        """Record a defect with the id of the affected record.

        Raises:
            ValueError: the code is unknown.
        """
        self.count(code)
        ids = self._ids.setdefault(code, [])
        if len(ids) < self.max_ids:
            ids.append(printable(example))

    def add_row_counts(self, rows: Iterable[tuple[str, RowCount]]) -> None:
        """Record the (name, count) of tables whose number of rows is not the published one."""
        for name, row in rows:
            if row.differs:
                self.add("row-count", f"{name}: {row.num_rows:,} of {row.num_published:,}")

    def count(self, code: str) -> None:
        """Record a defect without listing its id."""
        self._counts[defect_type(code).code] += 1

    def note(self, line: str) -> None:
        """Record what was not checked, and why; repeated lines are kept once."""
        if line not in self.notes:
            self.notes.append(line)

    def defects(self) -> tuple[Defect, ...]:
        """The recorded defects, in the order of `DEFECT_TYPES`."""
        return tuple(
            Defect(entry, self._counts[entry.code], tuple(self._ids.get(entry.code, ())))
            for entry in DEFECT_TYPES
            if self._counts[entry.code]
        )


@dataclass(frozen=True, slots=True)
class Defect:
    """All defects of one type. `ids` holds the first `MAX_IDS` of them."""

    type: DefectType
    count: int
    ids: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; `num_unlisted` is the number of defects without an id in the list."""
        return {
            "code": self.type.code,
            "severity": self.type.severity,
            "description": self.type.description,
            "count": self.count,
            "ids": list(self.ids),
            "num_unlisted": self.count - len(self.ids),
        }


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The result of one run of `verify`.

    Attributes:
        roots: (dataset, folder) of each folder that was read.
        is_simulated: the trees were written by `lapse simulate`.
        has_pixels: image files were decoded.
        defects: errors and warnings, by type.
        rows: the number of rows of each table, with the published number.
        notes: what was not checked, and why.
    """

    roots: tuple[tuple[str, str], ...]
    is_simulated: bool
    has_pixels: bool
    defects: tuple[Defect, ...]
    rows: tuple[RowCount, ...]
    notes: tuple[str, ...]

    def num_defects(self, severity: str) -> int:
        """The number of defects of one severity."""
        return sum(defect.count for defect in self.defects if defect.type.severity == severity)

    @property
    def exit_code(self) -> int:
        """0 without errors, else 1."""
        return 1 if self.num_defects("error") else 0

    def ids(self, code: str) -> tuple[str, ...]:
        """The listed ids of one defect type, () where there is no such defect.

        Raises:
            ValueError: the code is unknown.
        """
        expected = defect_type(code)
        return next((defect.ids for defect in self.defects if defect.type is expected), ())

    @property
    def row_cells(self) -> tuple[tuple[str, ...], ...]:
        """The cells of `rows` as text: dataset, table, rows, published rows, verdict."""
        cells = []
        for row in self.rows:
            published = "-" if row.num_published is None else f"{row.num_published:,}"
            cells.append((row.dataset, row.table, f"{row.num_rows:,}", published, row.verdict))
        return tuple(cells)

    @property
    def verdict(self) -> str:
        """A summary in one line."""
        errors, warnings = self.num_defects("error"), self.num_defects("warning")
        mark = "simulated data: " if self.is_simulated else ""
        if not errors and not warnings:
            return f"{mark}no defect found"
        return f"{mark}{errors} errors, {warnings} warnings"

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "errors": self.num_defects("error"),
            "warnings": self.num_defects("warning"),
            "is_simulated": self.is_simulated,
            "has_pixels": self.has_pixels,
            "roots": dict(self.roots),
            "defects": [defect.to_json() for defect in self.defects],
            "rows": [{**asdict(row), "verdict": row.verdict} for row in self.rows],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The report for a terminal: row counts, defects, notes, verdict."""
        header = ("dataset", "table", "rows", "published", "")
        lines = aligned(header, self.row_cells, right={2, 3})
        if self.defects:
            cells = [
                (item.type.severity, item.type.code, f"{item.count:,}", item.type.description)
                for item in self.defects
            ]
            titles, *listed = aligned(("", "code", "count", "description"), cells, right={2})
            lines += ["", titles]
            for defect, line in zip(self.defects, listed, strict=True):
                lines += [line, f"    {_some_ids(defect)}"] if defect.ids else [line]
        if self.notes:
            lines += ["", *(f"note: {line}" for line in self.notes)]
        return [*lines, "", self.verdict]


def _some_ids(defect: Defect) -> str:
    more = ", ..." if defect.count > SHOWN_IDS else ""
    return f"{', '.join(defect.ids[:SHOWN_IDS])}{more}"


def printable(text: str) -> str:
    """An id on one line without control characters, cut to 200 characters.

    >>> printable("a\\tb")
    'a\\\\tb'
    """
    escaped = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text[: MAX_ID_LENGTH + 1]
    )
    return escaped if len(escaped) <= MAX_ID_LENGTH else f"{escaped[: MAX_ID_LENGTH - 3]}..."


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    """Columns of text, padded to their widest cell; the columns in `right` are right-aligned."""
    table = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
