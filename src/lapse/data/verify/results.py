"""What `verify` found: defects by kind with their ids, rows beside the published ones, notes.

checks --add(code, id)--> Findings --close--> VerifyReport --> terminal | JSON | page
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lapse.data.datasets.release_counts import RowCount
from lapse.data.verify.defect_kinds import KINDS, Kind, kind_of

MAX_IDS = 10_000  # of one kind; the rest is counted
MAX_ID_LENGTH = 200
SHOWN_IDS = 2


class Findings:
    """Collects defects while the checks run; what a file says is made printable first."""

    def __init__(self, max_ids: int = MAX_IDS) -> None:
        self.max_ids = max_ids
        self.notes: list[str] = []
        self._counts: dict[str, int] = {}
        self._ids: dict[str, list[str]] = {}

    def add(self, code: str, example: str) -> None:
        """One more defect of a kind, by the id of what has it.

        Raises:
            ValueError: no such kind.
        """
        self._counts[kind_of(code).code] = self._counts.get(code, 0) + 1
        kept = self._ids.setdefault(code, [])
        if len(kept) < self.max_ids:
            kept.append(printable(example))

    def count(self, code: str) -> None:
        """One more defect of a kind whose ids nobody needs."""
        self._counts[kind_of(code).code] = self._counts.get(code, 0) + 1

    def note(self, line: str) -> None:
        """Something that was not looked at, and why; each line once."""
        if line not in self.notes:
            self.notes.append(line)

    def defects(self) -> tuple[Defect, ...]:
        """What was found, in the order of the table of kinds."""
        return tuple(
            Defect(kind, self._counts[kind.code], tuple(self._ids.get(kind.code, ())))
            for kind in KINDS
            if kind.code in self._counts
        )


@dataclass(frozen=True, slots=True)
class Defect:
    """All defects of one kind. `ids` holds the first `MAX_IDS` of them."""

    kind: Kind
    count: int
    ids: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data; `num_unlisted` says how many ids were left out."""
        return {
            "code": self.kind.code,
            "severity": self.kind.severity,
            "sentence": self.kind.sentence,
            "count": self.count,
            "ids": list(self.ids),
            "num_unlisted": self.count - len(self.ids),
        }


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The result of one `verify`.

    Attributes:
        roots: the folders that were read, by data set.
        is_simulated: the trees carry the mark of `lapse simulate`.
        has_pixels: image files were decoded.
        defects: by kind, errors and warnings.
        rows: the rows of each table beside the published ones.
        notes: what was not looked at, and why.
    """

    roots: tuple[tuple[str, str], ...]
    is_simulated: bool
    has_pixels: bool
    defects: tuple[Defect, ...]
    rows: tuple[RowCount, ...]
    notes: tuple[str, ...]

    def num(self, severity: str) -> int:
        """Defects of one severity, all kinds together."""
        return sum(item.count for item in self.defects if item.kind.severity == severity)

    @property
    def exit_code(self) -> int:
        """0 clean or warnings alone, 1 with an error."""
        return 1 if self.num("error") else 0

    def ids(self, code: str) -> tuple[str, ...]:
        """The listed ids of one kind, () where it was not found.

        Raises:
            ValueError: no such kind.
        """
        kind = kind_of(code)
        return next((item.ids for item in self.defects if item.kind is kind), ())

    @property
    def verdict(self) -> str:
        """One sentence for the end of the list."""
        errors, warnings = self.num("error"), self.num("warning")
        mark = "simulated data: " if self.is_simulated else ""
        if not errors and not warnings:
            return f"{mark}no defect found"
        return f"{mark}{errors} errors, {warnings} warnings"

    def to_json(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "errors": self.num("error"),
            "warnings": self.num("warning"),
            "is_simulated": self.is_simulated,
            "has_pixels": self.has_pixels,
            "roots": dict(self.roots),
            "defects": [item.to_json() for item in self.defects],
            "rows": [{**asdict(row), "verdict": row.verdict} for row in self.rows],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The report for a person at a terminal: two tables, the notes, the verdict."""
        rows = [
            (row.data_set, row.what, number(row.found), number(row.published), row.verdict)
            for row in self.rows
        ]
        lines = aligned(("data set", "rows of", "found", "published", ""), rows, right={2, 3})
        if self.defects:
            found = [
                (item.kind.severity, item.kind.code, number(item.count), item.kind.sentence)
                for item in self.defects
            ]
            header, *listed = aligned(("", "code", "count", "what"), found, right={2})
            lines += ["", header]
            for item, line in zip(self.defects, listed, strict=True):
                lines += [line, f"    {shown_ids(item)}"] if item.ids else [line]
        if self.notes:
            lines += ["", *(f"note: {line}" for line in self.notes)]
        return [*lines, "", self.verdict]


def shown_ids(defect: Defect, limit: int = SHOWN_IDS) -> str:
    """The first few ids of a defect, "..." where there are more."""
    more = ", ..." if defect.count > limit else ""
    return f"{', '.join(defect.ids[:limit])}{more}"


def number(value: int | None) -> str:
    """A count with thousands apart, "-" for none.

    >>> number(377110), number(None)
    ('377,110', '-')
    """
    return "-" if value is None else f"{value:,}"


def printable(text: str) -> str:
    """An id on one line without control characters, cut to 200 characters.

    >>> printable("a\\tb")
    'a\\\\tb'
    """
    shown = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text[: MAX_ID_LENGTH + 1]
    )
    return shown if len(shown) <= MAX_ID_LENGTH else f"{shown[: MAX_ID_LENGTH - 3]}..."


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    """Columns of text, padded to their widest cell; those in `right` to the right."""
    table = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(header))]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
