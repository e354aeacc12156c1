"""Defects of the rows of MS-CXR-T."""

from __future__ import annotations

from lapse.phantom.dataset.ms_cxr_t import FINDINGS
from lapse.phantom.defects.records import Records
from lapse.phantom.defects.tree import DefectTree, Row, Table

LABEL_COLUMNS = [f"{finding}_progression" for finding in FINDINGS]


def _claims(table: Table, index: int) -> list[str]:
    """A row, and the order in time of its studies."""
    row = table.rows[index]
    studies = (row["study_id"], row["previous_study_id"])
    return [f"row {table.line(index)}", *(f"time {study}" for study in studies)]


_ROWS = Records("progressions", _claims, Table.line)
progression_duplicate = _ROWS.repeated


@_ROWS.edited
def progression_unknown_image(tree: DefectTree, row: Row, _index: int) -> None:
    image = row["dicom_id"]
    column = ("dicom_id", "previous_dicom_id")[tree.random_int(image) % 2]
    folder = row[column].rpartition("/")[0]
    row[column] = f"{folder}/{tree.new_dicom(image)}"


@_ROWS.edited
def progression_two_patients(tree: DefectTree, row: Row, _index: int) -> None:
    other = tree.row_of_another_patient(row, tree.random_int(row["dicom_id"]))
    row["previous_dicom_id"], row["previous_study_id"] = other["dicom_id"], other["study_id"]


@_ROWS.edited
def progression_reversed(_tree: DefectTree, row: Row, _index: int) -> None:
    for column in ("dicom_id", "study_id"):
        previous = f"previous_{column}"
        row[column], row[previous] = row[previous], row[column]


@_ROWS.edited
def progression_unknown_word(tree: DefectTree, row: Row, _index: int) -> None:
    filled = [column for column in LABEL_COLUMNS if row[column]]
    row[filled[tree.random_int(row["dicom_id"]) % len(filled)]] = "vanished"


@_ROWS.edited
def progression_empty(_tree: DefectTree, row: Row, _index: int) -> None:
    for column in LABEL_COLUMNS:
        row[column] = ""
