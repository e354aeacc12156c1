"""Defects of files, tables and splits: missing, empty, damaged or inconsistent."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable

from lapse.phantom.dataset.scene_graph import GRAPH_SUFFIX
from lapse.phantom.defects.tree import TABLE_FILES, DefectTree, Table

Injector = Callable[[DefectTree], list[str]]

_OPTIONAL_TABLES = ("chexpert", "negbio", "mimic_all")
_ALL_TABLES: tuple[str, ...] = tuple(TABLE_FILES)


def _on_table(*names: str, exclusive: bool = False) -> Callable[..., Injector]:
    """Make an injector from a function that edits one of the named tables, if one is left."""

    def decorate(edit: Callable[[DefectTree, Table], list[str]]) -> Injector:
        def inject(tree: DefectTree) -> list[str]:
            table = tree.pick_table(*names, exclusive=exclusive)
            return [] if table is None else edit(tree, table)

        return inject

    return decorate


@_on_table("metadata", "split", "chexpert", "negbio")
def plain_csv(_tree: DefectTree, table: Table) -> list[str]:
    """A decompressed table."""
    table.path.unlink()
    table.path = table.path.with_suffix("")
    return [table.path.name]


@_on_table("metadata", "split", "chexpert", "questions", "mimic_all", "train")
def column_order(_tree: DefectTree, table: Table) -> list[str]:
    """The same columns in another order."""
    table.header = table.header[::-1]
    table.rows = [row[::-1] for row in table.rows]
    return [table.path.name]


@_on_table(*_ALL_TABLES)
def line_endings(_tree: DefectTree, table: Table) -> list[str]:
    """Windows line endings."""
    table.line_ending = "\r\n"
    return [table.path.name]


def padded_ids(tree: DefectTree) -> list[str]:
    """Study numbers with a leading "s" or a leading zero."""
    table = tree.tables["split"]
    rows = _pick_split_rows(tree)
    for row in rows:
        study = table.cell(row, "study_id")
        letter = "s" if tree.random_int(study) % 2 else "0"
        table.set(row, "study_id", f"{letter}{study}")
    return [table.cell(row, "dicom_id") for row in rows]


@_on_table(*_ALL_TABLES)
def byte_order_mark(_tree: DefectTree, table: Table) -> list[str]:
    table.byte_order_mark = b"\xef\xbb\xbf"
    return [table.path.name]


@_on_table("chexpert", "negbio", exclusive=True)
def damaged_table(tree: DefectTree, table: Table) -> list[str]:
    """A truncated gzip file."""
    table.write()
    data = table.path.read_bytes()
    if table.path.suffix != ".gz":
        table.path.unlink()
        table.path = table.path.with_suffix(".csv.gz")
        data = gzip.compress(data, mtime=0)
    table.path.write_bytes(data[: len(data) * 6 // 10])
    tree.drop(table)
    return [table.path.name]


def _delete(tree: DefectTree, table: Table) -> list[str]:
    table.path.unlink(missing_ok=True)
    tree.drop(table)
    return [table.path.name.split(".csv")[0]]


@_on_table(*_OPTIONAL_TABLES)
def missing_column(_tree: DefectTree, table: Table) -> list[str]:
    """A renamed label column: the expected name is missing, the new name is unknown."""
    table.header[table.header.index("Edema")] = "edema_label"
    return [f"{table.path.name}: Edema"]


@_on_table("metadata", "split", "questions", *_OPTIONAL_TABLES)
def extra_column(_tree: DefectTree, table: Table) -> list[str]:
    table.header.append("notes")
    for row in table.rows:
        row.append("")
    return [f"{table.path.name}: notes"]


def _on_table_rows(*names: str) -> Callable[..., Injector]:
    """Make an injector from a function that edits single rows of one of the named tables."""

    def decorate(edit: Callable[[Table, list[str]], None]) -> Injector:
        @_on_table(*names)
        def inject(tree: DefectTree, table: Table) -> list[str]:
            indices = tree.pick(range(len(table.rows)), lambda index: [f"row {table.line(index)}"])
            for index in indices:
                edit(table, table.rows[index])
            return [table.line(index) for index in indices]

        return inject

    return decorate


@_on_table_rows(*_OPTIONAL_TABLES)
def field_count(_table: Table, row: list[str]) -> None:
    row.append("surplus")


@_on_table_rows("mimic_all", "train")
def not_utf8(table: Table, row: list[str]) -> None:
    """A Latin-1 letter in a text column."""
    column = "view" if "view" in table.header else "path"
    table.set(row, column, table.cell(row, column) + "\udce9")


@_on_table_rows(*_OPTIONAL_TABLES)
def unreadable_id(table: Table, row: list[str]) -> None:
    table.set(row, "subject_id", "unknown")


def _pick_split_rows(tree: DefectTree) -> list[list[str]]:
    table = tree.tables["split"]
    return tree.pick(table.rows, lambda row: [f"split {table.cell(row, 'dicom_id')}"])


def empty_file(tree: DefectTree) -> list[str]:
    """Images, reports or scene graphs of zero bytes."""
    metadata = tree.tables["metadata"]
    kind = ("image", "report", "graph")[tree.random_int("what") % 3]
    column = "study_id" if kind == "report" else "dicom_id"
    names = []
    for row in tree.pick(metadata.rows, lambda row: [f"{kind} {metadata.cell(row, column)}"]):
        dicom = metadata.cell(row, "dicom_id")
        if kind == "graph":
            tree.graphs[dicom] = b""
            names.append(f"{dicom}{GRAPH_SUFFIX}")
            continue
        path = tree.image_file(row) if kind == "image" else tree.report_file(row)
        path.write_bytes(b"")
        names.append(path.relative_to(tree.root_of(path)).as_posix())
    return names


def unknown_split(tree: DefectTree) -> list[str]:
    table = tree.tables["split"]
    rows = _pick_split_rows(tree)
    for row in rows:
        table.set(row, "split", "holdout")
    return [table.cell(row, "dicom_id") for row in rows]


def image_without_split(tree: DefectTree) -> list[str]:
    table = tree.tables["split"]
    rows = _pick_split_rows(tree)
    removed = {id(row) for row in rows}
    table.rows = [row for row in table.rows if id(row) not in removed]
    return [table.cell(row, "dicom_id") for row in rows]


def split_without_image(tree: DefectTree) -> list[str]:
    table = tree.tables["split"]
    names = []
    for row in _pick_split_rows(tree):
        new_row = list(row)
        dicom = tree.new_dicom(table.cell(row, "dicom_id"))
        table.set(new_row, "dicom_id", dicom)
        table.rows.append(new_row)
        names.append(f"split: {dicom}")
    return names


def ids_disagree(tree: DefectTree) -> list[str]:
    """Split rows in which an image has the study of another image."""
    table = tree.tables["split"]
    studies = [table.cell(row, "study_id") for row in table.rows]
    rows = _pick_split_rows(tree)
    for row in rows:
        study = table.cell(row, "study_id")
        table.set(row, "study_id", next(other for other in studies if other != study))
    return [f"split: {table.cell(row, 'dicom_id')}" for row in rows]


def patient_two_splits(tree: DefectTree) -> list[str]:
    """One image of a patient in another split than the others."""
    table = tree.tables["split"]
    rows: dict[str, list[list[str]]] = {}
    for row in table.rows:
        rows.setdefault(table.cell(row, "subject_id"), []).append(row)

    def keys(patient: str) -> list[str]:
        return [f"split {table.cell(row, 'dicom_id')}" for row in rows[patient]]

    candidates = [patient for patient, group in rows.items() if len(group) > 1]
    patients = tree.pick(candidates, keys)
    for patient in patients:
        row = rows[patient][-1]
        is_train = table.cell(row, "split") == "train"
        table.set(row, "split", "test" if is_train else "train")
    return [f"MIMIC-CXR: p{patient}" for patient in patients]


def checksum(tree: DefectTree) -> list[str]:
    """Published checksums of files that later lost their last byte."""
    root = tree.out / "medical-diff-vqa"
    paths = sorted(path for path in root.iterdir() if path.is_file())
    changed = set(tree.pick(paths, lambda path: [f"sum {path.name}"]))
    lines = []
    for path in paths:
        data = path.read_bytes() + (b"\n" if path in changed else b"")
        lines.append(f"{hashlib.sha256(data).hexdigest()} {path.name}\n")
    (root / "SHA256SUMS.txt").write_text("".join(lines), encoding="utf-8", newline="\n")
    return sorted(path.name for path in changed)


HARMLESS: dict[str, Injector] = {
    "plain-csv": plain_csv,
    "column-order": column_order,
    "line-endings": line_endings,
    "padded-ids": padded_ids,
}
TABLES: dict[str, Injector] = {
    "byte-order-mark": byte_order_mark,
    "damaged-table": damaged_table,
    "missing-side-table": _on_table("negbio", "chexpert", exclusive=True)(_delete),
    "missing-table": _on_table("valid", "test", exclusive=True)(_delete),
    "avoid-list-missing": _on_table("images_to_avoid", exclusive=True)(_delete),
    "missing-column": missing_column,
    "extra-column": extra_column,
    "field-count": field_count,
    "not-utf8": not_utf8,
    "unreadable-id": unreadable_id,
}
SPLITS: dict[str, Injector] = {
    "patient-two-splits": patient_two_splits,
    "unknown-split": unknown_split,
    "image-without-split": image_without_split,
    "split-without-image": split_without_image,
    "ids-disagree": ids_disagree,
}
