"""Defects of the rows of MS-CXR-T."""

from __future__ import annotations

from collections.abc import Callable

from lapse.phantom.dataset.ms_cxr_t import FINDINGS
from lapse.phantom.defects.files import Injector
from lapse.phantom.defects.tree import DefectTree, Table

LABEL_COLUMNS = [f"{finding}_progression" for finding in FINDINGS]
CURRENT = ("dicom_id", "study_id")
PREVIOUS = ("previous_dicom_id", "previous_study_id")


def _on_rows(edit: Callable[[DefectTree, Table, list[str]], None]) -> Injector:
    """An injector that edits single rows; they are identified by their line."""

    def inject(tree: DefectTree) -> list[str]:
        table = tree.tables["progressions"]
        indices = _pick(tree, table)
        for index in indices:
            edit(tree, table, table.rows[index])
        return [table.line(index) for index in indices]

    return inject


def _pick(tree: DefectTree, table: Table) -> list[int]:
    """Choose rows; the defect also claims the order in time of their studies."""

    def keys(index: int) -> list[str]:
        row = table.rows[index]
        studies = (table.cell(row, column) for column in ("study_id", "previous_study_id"))
        return [f"row {table.line(index)}", *(f"time {study}" for study in studies)]

    return tree.pick(range(len(table.rows)), keys)


def _unknown_image(tree: DefectTree, table: Table, row: list[str]) -> None:
    column = ("dicom_id", "previous_dicom_id")[tree.random_int(row[0]) % 2]
    folder = table.cell(row, column).rpartition("/")[0]
    table.set(row, column, f"{folder}/{tree.new_dicom(row[0])}")


def _two_patients(tree: DefectTree, table: Table, row: list[str]) -> None:
    metadata = tree.tables["metadata"]
    patient = table.cell(row, "subject_id")
    others = [other for other in metadata.rows if metadata.cell(other, "subject_id") != patient]
    other = others[tree.random_int(row[0]) % len(others)]
    table.set(row, "previous_dicom_id", metadata.cell(other, "dicom_id"))
    table.set(row, "previous_study_id", metadata.cell(other, "study_id"))


def _reversed(_tree: DefectTree, table: Table, row: list[str]) -> None:
    for current, previous in zip(CURRENT, PREVIOUS, strict=True):
        first, second = table.cell(row, current), table.cell(row, previous)
        table.set(row, current, second)
        table.set(row, previous, first)


def _unknown_word(tree: DefectTree, table: Table, row: list[str]) -> None:
    filled = [column for column in LABEL_COLUMNS if table.cell(row, column)]
    table.set(row, filled[tree.random_int(row[0]) % len(filled)], "vanished")


def _empty(_tree: DefectTree, table: Table, row: list[str]) -> None:
    for column in LABEL_COLUMNS:
        table.set(row, column, "")


def duplicate_row(tree: DefectTree) -> list[str]:
    """The same pair of images again, at the end."""
    table = tree.tables["progressions"]
    chosen = _pick(tree, table)
    start = len(table.rows)
    table.rows += [list(table.rows[index]) for index in chosen]
    return [table.line(index) for index in range(start, start + len(chosen))]


PROGRESSIONS: dict[str, Injector] = {
    "progression-unknown-image": _on_rows(_unknown_image),
    "progression-two-patients": _on_rows(_two_patients),
    "progression-reversed": _on_rows(_reversed),
    "progression-unknown-word": _on_rows(_unknown_word),
    "progression-empty": _on_rows(_empty),
    "progression-duplicate": duplicate_row,
}
