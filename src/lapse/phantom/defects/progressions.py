"""Defects of the rows of MS-CXR-T."""

from __future__ import annotations

from collections.abc import Callable

from lapse.phantom.dataset.ms_cxr_t import FINDINGS
from lapse.phantom.defects.files import Injector
from lapse.phantom.defects.tree import QuirkTree, Table

WORDS = [f"{finding}_progression" for finding in FINDINGS]
NOW = ("dicom_id", "study_id")
THEN = ("previous_dicom_id", "previous_study_id")


def _on_rows(edit: Callable[[QuirkTree, Table, list[str]], None]) -> Injector:
    """An injector that edits single rows, named by their line."""

    def inject(tree: QuirkTree) -> list[str]:
        table = tree.tables["progressions"]
        places = _pick(tree, table)
        for place in places:
            edit(tree, table, table.rows[place])
        return [table.line(place) for place in places]

    return inject


def _pick(tree: QuirkTree, table: Table) -> list[int]:
    """Rows that get a defect; it uses up the order in time of their studies."""

    def keys(place: int) -> list[str]:
        row = table.rows[place]
        studies = (table.cell(row, column) for column in ("study_id", "previous_study_id"))
        return [f"row {table.line(place)}", *(f"time {study}" for study in studies)]

    return tree.pick(range(len(table.rows)), keys)


def _unknown_image(tree: QuirkTree, table: Table, row: list[str]) -> None:
    column = ("dicom_id", "previous_dicom_id")[tree.count(row[0]) % 2]
    folder = table.cell(row, column).rpartition("/")[0]
    table.set(row, column, f"{folder}/{tree.new_dicom(row[0])}")


def _two_patients(tree: QuirkTree, table: Table, row: list[str]) -> None:
    metadata = tree.tables["metadata"]
    own = table.cell(row, "subject_id")
    others = [other for other in metadata.rows if metadata.cell(other, "subject_id") != own]
    other = others[tree.count(row[0]) % len(others)]
    table.set(row, "previous_dicom_id", metadata.cell(other, "dicom_id"))
    table.set(row, "previous_study_id", metadata.cell(other, "study_id"))


def _reversed(_tree: QuirkTree, table: Table, row: list[str]) -> None:
    for now, then in zip(NOW, THEN, strict=True):
        first, second = table.cell(row, now), table.cell(row, then)
        table.set(row, now, second)
        table.set(row, then, first)


def _unknown_word(tree: QuirkTree, table: Table, row: list[str]) -> None:
    filled = [column for column in WORDS if table.cell(row, column)]
    table.set(row, filled[tree.count(row[0]) % len(filled)], "vanished")


def _empty(_tree: QuirkTree, table: Table, row: list[str]) -> None:
    for column in WORDS:
        table.set(row, column, "")


def duplicate_row(tree: QuirkTree) -> list[str]:
    """The same pair of images a second time, at the end."""
    table = tree.tables["progressions"]
    chosen = _pick(tree, table)
    start = len(table.rows)
    table.rows += [list(table.rows[place]) for place in chosen]
    return [table.line(place) for place in range(start, start + len(chosen))]


PROGRESSIONS: dict[str, Injector] = {
    "progression-unknown-image": _on_rows(_unknown_image),
    "progression-two-patients": _on_rows(_two_patients),
    "progression-reversed": _on_rows(_reversed),
    "progression-unknown-word": _on_rows(_unknown_word),
    "progression-empty": _on_rows(_empty),
    "progression-duplicate": duplicate_row,
}
