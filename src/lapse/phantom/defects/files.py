"""Defects of files and tables: empty, missing, damaged, renamed columns, broken rows, splits."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable

from lapse.phantom.defects.tree import SUFFIX, QuirkTree, Table

_SIDE = ("chexpert", "negbio", "mimic_all")
_FRONT = ("PA", "AP")


def plain_csv(tree: QuirkTree) -> list[str]:
    """A table that somebody unpacked."""
    table = tree.pick_table("metadata", "split", "chexpert", "negbio")
    if table is None:
        return []
    table.path.unlink()
    table.path = table.path.with_suffix("")
    return [table.path.name]


def column_order(tree: QuirkTree) -> list[str]:
    """The same columns in another order."""
    table = tree.pick_table("metadata", "split", "chexpert", "questions", "mimic_all", "train")
    if table is None:
        return []
    table.header = table.header[::-1]
    table.rows = [row[::-1] for row in table.rows]
    return [table.path.name]


def line_endings(tree: QuirkTree) -> list[str]:
    """Lines that end as on Windows."""
    table = tree.pick_table(*tree.tables)
    if table is None:
        return []
    table.ending = "\r\n"
    return [table.path.name]


def padded_ids(tree: QuirkTree) -> list[str]:
    """Study numbers written with their letter, or with a leading zero."""
    table = tree.tables["split"]
    rows = tree.pick(table.rows, lambda row: [f"split {table.cell(row, 'dicom_id')}"])
    for row in rows:
        study = table.cell(row, "study_id")
        letter = "s" if tree.count(study) % 2 else "0"
        table.set(row, "study_id", f"{letter}{study}")
    return [table.cell(row, "dicom_id") for row in rows]


def byte_order_mark(tree: QuirkTree) -> list[str]:
    table = tree.pick_table(*tree.tables)
    if table is None:
        return []
    table.mark = b"\xef\xbb\xbf"
    return [table.path.name]


def damaged_table(tree: QuirkTree) -> list[str]:
    """A gzip file that ends early."""
    table = tree.pick_table("chexpert", "negbio", whole=True)
    if table is None:
        return []
    table.write()
    data = table.path.read_bytes()
    if table.path.suffix != ".gz":
        table.path.unlink()
        table.path = table.path.with_suffix(".csv.gz")
        data = gzip.compress(data, mtime=0)
    table.path.write_bytes(data[: len(data) * 6 // 10])
    tree.drop(table)
    return [table.path.name]


def missing_side_table(tree: QuirkTree) -> list[str]:
    table = tree.pick_table("negbio", "chexpert", whole=True)
    if table is None:
        return []
    table.path.unlink(missing_ok=True)
    tree.drop(table)
    return [table.path.name.split(".csv")[0]]


def missing_table(tree: QuirkTree) -> list[str]:
    table = tree.pick_table("valid", "test", whole=True)
    if table is None:
        return []
    table.path.unlink()
    tree.drop(table)
    return [table.path.stem]


def avoid_list_missing(tree: QuirkTree) -> list[str]:
    table = tree.pick_table("images_to_avoid", whole=True)
    if table is None:
        return []
    table.path.unlink()
    tree.drop(table)
    return [table.path.stem]


def missing_column(tree: QuirkTree) -> list[str]:
    """A renamed label column: the old name is missing, the new one unknown."""
    table = tree.pick_table(*_SIDE)
    if table is None:
        return []
    place = table.place("Edema")
    table.header[place] = "edema_label"
    return [f"{table.path.name}: Edema"]


def extra_column(tree: QuirkTree) -> list[str]:
    table = tree.pick_table("metadata", "split", "questions", *_SIDE)
    if table is None:
        return []
    table.header.append("notes")
    for row in table.rows:
        row.append("")
    return [f"{table.path.name}: notes"]


def field_count(tree: QuirkTree) -> list[str]:
    table = tree.pick_table(*_SIDE)
    if table is None:
        return []
    places = _pick_places(tree, table)
    for place in places:
        table.rows[place].append("surplus")
    return [table.line(place) for place in places]


def not_utf8(tree: QuirkTree) -> list[str]:
    """A Latin-1 letter in a column of words."""
    table = tree.pick_table("mimic_all", "train")
    if table is None:
        return []
    column = "view" if "view" in table.header else "path"
    places = _pick_places(tree, table)
    for place in places:
        row = table.rows[place]
        table.set(row, column, table.cell(row, column) + "\udce9")
    return [table.line(place) for place in places]


def unreadable_id(tree: QuirkTree) -> list[str]:
    table = tree.pick_table(*_SIDE)
    if table is None:
        return []
    places = _pick_places(tree, table)
    for place in places:
        table.set(table.rows[place], "subject_id", "unknown")
    return [table.line(place) for place in places]


def _pick_places(tree: QuirkTree, table: Table) -> list[int]:
    return tree.pick(range(len(table.rows)), lambda place: [f"row {table.line(place)}"])


def empty_file(tree: QuirkTree) -> list[str]:
    """Images, reports or scene graphs without a byte."""
    metadata = tree.tables["metadata"]
    what = ("image", "report", "graph")[tree.count("what") % 3]
    column = "study_id" if what == "report" else "dicom_id"
    found = []
    for row in tree.pick(metadata.rows, lambda row: [f"{what} {metadata.cell(row, column)}"]):
        dicom = metadata.cell(row, "dicom_id")
        if what == "graph":
            tree.graphs[dicom] = b""
            found.append(f"{dicom}{SUFFIX}")
            continue
        path = tree.image_file(row) if what == "image" else tree.report_file(row)
        path.write_bytes(b"")
        found.append(path.relative_to(tree.root_of(path)).as_posix())
    return found


def unknown_split(tree: QuirkTree) -> list[str]:
    table = tree.tables["split"]
    rows = tree.pick(table.rows, lambda row: [f"split {table.cell(row, 'dicom_id')}"])
    for row in rows:
        table.set(row, "split", "holdout")
    return [table.cell(row, "dicom_id") for row in rows]


def image_without_split(tree: QuirkTree) -> list[str]:
    table = tree.tables["split"]
    rows = tree.pick(table.rows, lambda row: [f"split {table.cell(row, 'dicom_id')}"])
    gone = {id(row) for row in rows}
    table.rows = [row for row in table.rows if id(row) not in gone]
    return [table.cell(row, "dicom_id") for row in rows]


def split_without_image(tree: QuirkTree) -> list[str]:
    table = tree.tables["split"]
    found = []
    for row in tree.pick(table.rows, lambda row: [f"split {table.cell(row, 'dicom_id')}"]):
        new = list(row)
        dicom = tree.new_dicom(table.cell(row, "dicom_id"))
        table.set(new, "dicom_id", dicom)
        table.rows.append(new)
        found.append(f"split: {dicom}")
    return found


def ids_disagree(tree: QuirkTree) -> list[str]:
    """Split rows that give an image the study of another image."""
    table = tree.tables["split"]
    studies = [table.cell(row, "study_id") for row in table.rows]
    rows = tree.pick(table.rows, lambda row: [f"split {table.cell(row, 'dicom_id')}"])
    for row in rows:
        own = table.cell(row, "study_id")
        table.set(row, "study_id", next(study for study in studies if study != own))
    return [f"split: {table.cell(row, 'dicom_id')}" for row in rows]


def patient_two_splits(tree: QuirkTree) -> list[str]:
    """One image of a patient in another split than the rest."""
    table = tree.tables["split"]
    rows: dict[str, list[list[str]]] = {}
    for row in table.rows:
        rows.setdefault(table.cell(row, "subject_id"), []).append(row)

    def keys(patient: str) -> list[str]:
        return [f"split {table.cell(row, 'dicom_id')}" for row in rows[patient]]

    several = [patient for patient, own in rows.items() if len(own) > 1]
    patients = tree.pick(several, keys)
    for patient in patients:
        row = rows[patient][-1]
        is_trained = table.cell(row, "split") == "train"
        table.set(row, "split", "test" if is_trained else "train")
    return [f"MIMIC-CXR: p{patient}" for patient in patients]


def checksum(tree: QuirkTree) -> list[str]:
    """Sums of the publisher beside files that have since lost their last byte."""
    root = tree.out / "medical-diff-vqa"
    paths = sorted(path for path in root.iterdir() if path.is_file())
    victims = set(tree.pick(paths, lambda path: [f"sum {path.name}"]))
    lines = []
    for path in paths:
        data = path.read_bytes() + (b"\n" if path in victims else b"")
        lines.append(f"{hashlib.sha256(data).hexdigest()} {path.name}\n")
    (root / "SHA256SUMS.txt").write_text("".join(lines), encoding="utf-8", newline="\n")
    return sorted(path.name for path in victims)


Injector = Callable[[QuirkTree], list[str]]
HARMLESS: dict[str, Injector] = {
    "plain-csv": plain_csv,
    "column-order": column_order,
    "line-endings": line_endings,
    "padded-ids": padded_ids,
}
TABLES: dict[str, Injector] = {
    "byte-order-mark": byte_order_mark,
    "damaged-table": damaged_table,
    "missing-side-table": missing_side_table,
    "missing-table": missing_table,
    "avoid-list-missing": avoid_list_missing,
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
