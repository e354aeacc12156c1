"""Injectors from functions that edit one row of a table, or one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lapse.phantom.defects.tree import DefectTree, Row, Table

Injector = Callable[[DefectTree], list[str]]
# tree, row, index of the row -> the name of the defect if it is not that of the row
RowEdit = Callable[[DefectTree, Row, int], str | None]
TableEdit = Callable[[DefectTree, Table], list[str]]


@dataclass(frozen=True, slots=True)
class Records:
    """The rows of one table that can get a defect.

    Attributes:
        table: name of the table.
        claims: table, index of a row -> what a defect claims of the row.
        name: table, index of a row -> the name of the row in a validation report.
        is_candidate: whether a row can get the defect.
    """

    table: str
    claims: Callable[[Table, int], list[str]]
    name: Callable[[Table, int], str]
    is_candidate: Callable[[DefectTree, Row], bool] = lambda _tree, _row: True

    def pick(self, tree: DefectTree, most: int | None = None) -> list[int]:
        """Choose rows, at most `most`; returns their indices."""
        table = tree.tables[self.table]
        indices = [index for index, row in enumerate(table.rows) if self.is_candidate(tree, row)]
        return tree.pick(indices, lambda index: self.claims(table, index), most)

    def pick_rows(self, tree: DefectTree) -> list[Row]:
        """Choose rows."""
        return [tree.tables[self.table].rows[index] for index in self.pick(tree)]

    def edited(self, edit: RowEdit) -> Injector:
        """An injector that edits each chosen row."""

        def inject(tree: DefectTree) -> list[str]:
            table = tree.tables[self.table]
            return [
                edit(tree, table.rows[index], index) or self.name(table, index)
                for index in self.pick(tree)
            ]

        return inject

    def repeated(self, tree: DefectTree) -> list[str]:
        """An injector that appends the chosen rows again."""
        table = tree.tables[self.table]
        start = len(table.rows)
        table.rows += [dict(row) for row in self.pick_rows(tree)]
        return [self.name(table, index) for index in range(start, len(table.rows))]


def image_records(*claims: str, has_study_name: bool = False) -> Records:
    """The metadata rows of simulated images; `claims` are what a defect claims of each of them."""

    def claims_of(table: Table, index: int) -> list[str]:
        row = table.rows[index]
        of_study = ("report", "time")
        return [
            f"{claim} {row['study_id' if claim in of_study else 'dicom_id']}" for claim in claims
        ]

    def name(table: Table, index: int) -> str:
        row = table.rows[index]
        return f"s{row['study_id']}" if has_study_name else row["dicom_id"]

    return Records("metadata", claims_of, name, lambda tree, row: row["dicom_id"] in tree.sizes)


def on_table(*names: str, exclusive: bool = False) -> Callable[[TableEdit], Injector]:
    """Make an injector from a function that edits one of the named tables, if one is left."""

    def decorate(edit: TableEdit) -> Injector:
        def inject(tree: DefectTree) -> list[str]:
            table = tree.pick_table(*names, exclusive=exclusive)
            return [] if table is None else edit(tree, table)

        return inject

    return decorate


def on_table_rows(*names: str) -> Callable[[Callable[[Row], None]], Injector]:
    """Make an injector from a function that edits single rows of one of the named tables."""

    def decorate(edit: Callable[[Row], None]) -> Injector:
        @on_table(*names)
        def inject(tree: DefectTree, table: Table) -> list[str]:
            indices = tree.pick(range(len(table.rows)), lambda index: [f"row {table.line(index)}"])
            for index in indices:
                edit(table.rows[index])
            return [table.line(index) for index in indices]

        return inject

    return decorate
