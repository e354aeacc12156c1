"""Defects of files, tables and splits: missing, empty, damaged or inconsistent."""

from __future__ import annotations

import gzip
import hashlib

from lapse.phantom.dataset.scene_graph import GRAPH_SUFFIX
from lapse.phantom.defects.records import Records, on_table, on_table_rows
from lapse.phantom.defects.tree import TABLE_NAMES, DefectTree, Row, Table

_OPTIONAL_TABLES = ("chexpert", "negbio", "mimic_all")
_SPLIT_ROWS = Records(
    "split",
    lambda table, index: [f"split {table.rows[index]['dicom_id']}"],
    lambda table, index: table.rows[index]["dicom_id"],
)


@on_table("metadata", "split", "chexpert", "negbio")
def plain_csv(_tree: DefectTree, table: Table) -> list[str]:
    """A decompressed table."""
    table.path.unlink()
    table.path = table.path.with_suffix("")
    return [table.path.name]


@on_table("metadata", "split", "chexpert", "questions", "mimic_all", "train")
def column_order(_tree: DefectTree, table: Table) -> list[str]:
    """The same columns in another order."""
    table.header = table.header[::-1]
    table.rows = [dict(reversed(row.items())) for row in table.rows]
    return [table.path.name]


@on_table(*TABLE_NAMES)
def line_endings(_tree: DefectTree, table: Table) -> list[str]:
    """Windows line endings."""
    table.line_ending = "\r\n"
    return [table.path.name]


@_SPLIT_ROWS.edited
def padded_ids(tree: DefectTree, row: Row, _index: int) -> None:
    """Study numbers with a leading "s" or a leading zero."""
    study = row["study_id"]
    row["study_id"] = f"{'s' if tree.random_int(study) % 2 else '0'}{study}"


@on_table(*TABLE_NAMES)
def byte_order_mark(_tree: DefectTree, table: Table) -> list[str]:
    table.byte_order_mark = b"\xef\xbb\xbf"
    return [table.path.name]


@on_table("chexpert", "negbio", exclusive=True)
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


def _delete_table(tree: DefectTree, table: Table) -> list[str]:
    table.path.unlink(missing_ok=True)
    tree.drop(table)
    return [table.path.name.split(".csv")[0]]


missing_side_table = on_table("negbio", "chexpert", exclusive=True)(_delete_table)
missing_table = on_table("valid", "test", exclusive=True)(_delete_table)
avoid_list_missing = on_table("images_to_avoid", exclusive=True)(_delete_table)


@on_table(*_OPTIONAL_TABLES)
def missing_column(_tree: DefectTree, table: Table) -> list[str]:
    """A renamed label column: the expected name is missing, the new name is unknown."""
    table.header[table.header.index("Edema")] = "edema_label"
    return [f"{table.path.name}: Edema"]


@on_table("metadata", "split", "questions", *_OPTIONAL_TABLES)
def extra_column(_tree: DefectTree, table: Table) -> list[str]:
    table.header.append("notes")
    for row in table.rows:
        row["notes"] = ""
    return [f"{table.path.name}: notes"]


@on_table_rows(*_OPTIONAL_TABLES)
def field_count(row: Row) -> None:
    row["surplus"] = "surplus"  # the header does not have it


@on_table_rows("mimic_all", "train")
def not_utf8(row: Row) -> None:
    """A Latin-1 letter in a text column."""
    row["view" if "view" in row else "path"] += "\udce9"


@on_table_rows(*_OPTIONAL_TABLES)
def unreadable_id(row: Row) -> None:
    row["subject_id"] = "unknown"


def empty_file(tree: DefectTree) -> list[str]:
    """Images, reports or scene graphs of zero bytes."""
    kind = ("image", "report", "graph")[tree.random_int("what") % 3]
    column = "study_id" if kind == "report" else "dicom_id"
    names = []
    for row in tree.pick(tree.tables["metadata"].rows, lambda row: [f"{kind} {row[column]}"]):
        if kind == "graph":
            tree.graphs[row["dicom_id"]] = b""
            names.append(f"{row['dicom_id']}{GRAPH_SUFFIX}")
            continue
        path = tree.image_file(row) if kind == "image" else tree.report_file(row)
        path.write_bytes(b"")
        names.append(path.relative_to(tree.root_of(path)).as_posix())
    return names


@_SPLIT_ROWS.edited
def unknown_split(_tree: DefectTree, row: Row, _index: int) -> None:
    row["split"] = "holdout"


def image_without_split(tree: DefectTree) -> list[str]:
    table = tree.tables["split"]
    rows = _SPLIT_ROWS.pick_rows(tree)
    removed = {id(row) for row in rows}
    table.rows = [row for row in table.rows if id(row) not in removed]
    return [row["dicom_id"] for row in rows]


def split_without_image(tree: DefectTree) -> list[str]:
    rows = [
        {**row, "dicom_id": tree.new_dicom(row["dicom_id"])} for row in _SPLIT_ROWS.pick_rows(tree)
    ]
    tree.tables["split"].rows += rows
    return [f"split: {row['dicom_id']}" for row in rows]


def ids_disagree(tree: DefectTree) -> list[str]:
    """Split rows in which an image has the study of another image."""
    studies = [row["study_id"] for row in tree.tables["split"].rows]
    rows = _SPLIT_ROWS.pick_rows(tree)
    for row in rows:
        row["study_id"] = next(other for other in studies if other != row["study_id"])
    return [f"split: {row['dicom_id']}" for row in rows]


def patient_two_splits(tree: DefectTree) -> list[str]:
    """One image of a patient in another split than the others."""
    rows: dict[str, list[Row]] = {}
    for row in tree.tables["split"].rows:
        rows.setdefault(row["subject_id"], []).append(row)
    candidates = [patient for patient, group in rows.items() if len(group) > 1]
    patients = tree.pick(
        candidates, lambda patient: [f"split {row['dicom_id']}" for row in rows[patient]]
    )
    for patient in patients:
        row = rows[patient][-1]
        row["split"] = "test" if row["split"] == "train" else "train"
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
