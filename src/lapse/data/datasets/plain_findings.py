"""The findings of a study in a table of own films: in one cell, or in one column per finding.

    findings                   "pleural effusion=small|cardiomegaly", "none", or empty: not labelled
    finding:pleural effusion   1 present, 0 absent, -1 uncertain, empty: not labelled, or a level

Names are those of the 30 findings or their synonyms, compared as a whole: "pericardial effusion"
is not an effusion. Names outside the 30 are listed in `dataset.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lapse.core.findings import ALIASES, FINDINGS, LEVELS
from lapse.core.types import nearest
from lapse.data.datasets.plain_cells import FINDING_COLUMN, Cells
from lapse.data.datasets.plain_info import DatasetInfo
from lapse.data.io.csv_tables import is_empty

COLUMN = "findings"
NO_FINDING = "none"
PRESENT, ABSENT, UNCERTAIN = ("1", "1.0"), ("0", "0.0"), ("-1", "-1.0")
_NORMAL = {"no finding", "no findings", "normal", "nothing", "negative", "clear", "nan", "n/a", "-"}
_KNOWN = {**{name: name for name in FINDINGS}, **ALIASES}


@dataclass(frozen=True, slots=True)
class StudyFindings:
    """What was seen in a labelled study.

    Attributes:
        present: finding -> level, or "" where no level is given.
        uncertain: findings that may be present.
        unlabelled: findings that have a column, which is empty in this row.
    """

    present: Mapping[str, str] = field(default_factory=dict)
    uncertain: frozenset[str] = frozenset()
    unlabelled: frozenset[str] = frozenset()


class FindingReader:
    """Reads the findings of the rows of one table.

    Args:
        info: the findings that were looked for, and names outside the 30 that the table may hold.

    Raises:
        ValueError: a column has an unknown name, two columns are one finding, or the table has
            both forms.
    """

    def __init__(self, table: str, columns: Sequence[str], info: DatasetInfo) -> None:
        labelled = info.labelled or FINDINGS
        self._names = {name: finding for name, finding in _KNOWN.items() if finding in labelled}
        self._names |= {_plain(name): _plain(name) for name in info.outside}
        self.columns: dict[str, str] = {}  # column -> finding
        for column in columns:
            if column.lower().startswith(FINDING_COLUMN):
                self._add(table, column)
        if self.columns and COLUMN in columns:
            raise ValueError(
                f"{table} has the column {COLUMN!r} and columns {FINDING_COLUMN!r}: keep one form"
            )

    def _add(self, table: str, column: str) -> None:
        name = _plain(column[len(FINDING_COLUMN) :])
        if name not in self._names:
            raise ValueError(f"{table}: the column {column!r} {self._unknown(name)}")
        finding = self._names[name]
        other = next((other for other, name in self.columns.items() if name == finding), None)
        if other is not None:
            raise ValueError(
                f"{table}: the columns {other!r} and {column!r} are one finding: keep one of them"
            )
        self.columns[column] = finding

    def _unknown(self, name: str) -> str:
        return (
            f"is not a known finding; {nearest(name, tuple(self._names))}. A finding outside "
            "these can be listed under 'outside' in dataset.json"
        )

    def read(self, cells: Cells) -> StudyFindings | None:
        """The findings of a row, None if it is not labelled.

        Raises:
            ValueError: a name, a level or a value is unknown.
        """
        return self._read_columns(cells) if self.columns else self._read_cell(cells)

    def _read_columns(self, cells: Cells) -> StudyFindings | None:
        present: dict[str, str] = {}
        uncertain, unlabelled = set(), set()
        for column, finding in self.columns.items():
            value = _plain(cells[column])
            if is_empty(value):
                unlabelled.add(finding)
            elif value in UNCERTAIN:
                uncertain.add(finding)
            elif value in PRESENT or value in LEVELS:
                present[finding] = "" if value in PRESENT else value
            elif value not in ABSENT:
                raise cells.error(
                    column,
                    "is not 1 (present), 0 (absent), -1 (uncertain), empty (not labelled) or a "
                    f"level; {nearest(value, LEVELS)}",
                )
        if len(unlabelled) == len(self.columns):
            return None
        return StudyFindings(present, frozenset(uncertain), frozenset(unlabelled))

    def _read_cell(self, cells: Cells) -> StudyFindings | None:
        text = cells[COLUMN]
        if not text:
            return None
        if text.lower() == NO_FINDING:
            return StudyFindings()
        if text.lower() in _NORMAL:
            raise cells.error(
                COLUMN,
                f"is not a finding: write {NO_FINDING!r} for a study without findings, or leave "
                "the cell empty if the study was not labelled",
            )
        findings: dict[str, str] = {}
        for part in text.split("|"):
            name, _, level = map(_plain, part.partition("="))
            if name not in self._names:
                raise cells.error(COLUMN, self._unknown(name), name)
            if level and level not in LEVELS:
                raise cells.error(
                    COLUMN, f"is not a known level; {nearest(level, LEVELS)}", part.strip()
                )
            if "=" in part and not level:
                raise cells.error(COLUMN, "has no level after '=': remove the '='", part.strip())
            if self._names[name] in findings:
                raise cells.error(COLUMN, f"names {self._names[name]!r} twice: name it once")
            findings[self._names[name]] = level
        return StudyFindings(findings)


def known_finding(name: str) -> str | None:
    """The finding of the 30 that a name or a synonym means, None for any other name.

    >>> known_finding("Pleural Fluid"), known_finding("pericardial effusion")
    ('pleural effusion', None)
    """
    return _KNOWN.get(_plain(name))


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
