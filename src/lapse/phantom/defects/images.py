"""Defects of images, of their rows in the metadata, and of reports."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from lapse.phantom.defects.records import image_records
from lapse.phantom.defects.tree import DefectTree, Row

LATERAL = ("LATERAL", "lateral")
FURTHER_VIEWS = (("LL", "left lateral"), ("SWIMMERS", "swimmer's view"), ("LAO", ""))
NO_TEXT = "                                 FINAL REPORT\n INDICATION:  Cough.\n"
_FILES = image_records("image")
_REPORTS = image_records("report", has_study_name=True)


@image_records("second", "row").edited
def further_views(tree: DefectTree, row: Row, _index: int) -> str:
    """Second images of a study, with views of the real vocabulary that the phantom does not use."""
    view = FURTHER_VIEWS[tree.random_int(row["dicom_id"]) % len(FURTHER_VIEWS)]
    return tree.add_lateral(row, row["subject_id"], view)


@_FILES.edited
def missing_image(tree: DefectTree, row: Row, _index: int) -> None:
    for path in tree.image_files(row):
        path.unlink()


@_FILES.edited
def unlisted_image(tree: DefectTree, row: Row, _index: int) -> str:
    path = tree.image_file(row)
    copy = path.with_name(f"{tree.new_dicom(path.stem)}{path.suffix}")
    copy.write_bytes(path.read_bytes())
    return copy.relative_to(tree.root_of(copy)).as_posix()


duplicate_image = image_records("image", "row", "time").repeated


@image_records("row", "image", "graph").edited
def unreadable_size(tree: DefectTree, row: Row, _index: int) -> None:
    column = ("Rows", "Columns")[tree.random_int(row["dicom_id"]) % 2]
    row[column] = ("", "0", "many")[tree.random_int(row["study_id"]) % 3]


@image_records("time", "row").edited
def unreadable_time(tree: DefectTree, row: Row, _index: int) -> None:
    is_date = tree.random_int(row["dicom_id"]) % 2
    row["StudyDate" if is_date else "StudyTime"] = "21801399" if is_date else "noon"


@image_records("row").edited
def view_disagrees(_tree: DefectTree, row: Row, _index: int) -> None:
    is_front = row["ViewPosition"] == "PA"
    row["ViewCodeSequence_CodeMeaning"] = "antero-posterior" if is_front else "postero-anterior"


@image_records("row", "second").edited
def view_empty(_tree: DefectTree, row: Row, _index: int) -> None:
    row["ViewPosition"] = row["ViewCodeSequence_CodeMeaning"] = ""


@image_records("row", "second").edited
def view_nan(tree: DefectTree, row: Row, _index: int) -> None:
    """ViewPosition as another program writes an empty field; the view code is complete."""
    row["ViewPosition"] = ("nan", "NaN", "None")[tree.random_int(row["dicom_id"]) % 3]


@image_records("second", "row", has_study_name=True).edited
def study_two_patients(tree: DefectTree, row: Row, _index: int) -> None:
    """A lateral image of the study has the subject_id of another patient."""
    patients = (other["subject_id"] for other in tree.tables["metadata"].rows)
    other = next(patient for patient in patients if patient != row["subject_id"])
    tree.add_lateral(row, other, LATERAL)


@_FILES.edited
def undecodable_image(tree: DefectTree, row: Row, _index: int) -> None:
    path = tree.image_file(row)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@_FILES.edited
def image_size(tree: DefectTree, row: Row, _index: int) -> None:
    path = tree.image_file(row)
    if path.suffix == ".dcm":
        _widen_dicom(path)
        return
    with Image.open(path) as image:
        resized = image.resize((image.width + 8, image.height))
    resized.save(path, quality=95)


def _widen_dicom(path: Path) -> None:
    """Append eight columns equal to the last one."""
    import pydicom

    dicom = pydicom.dcmread(path)
    values = np.frombuffer(dicom.PixelData, np.uint16)[: dicom.Rows * dicom.Columns]
    wide = np.pad(values.reshape(dicom.Rows, dicom.Columns), ((0, 0), (0, 8)), "edge")
    dicom.Columns = wide.shape[1]
    dicom.PixelData = wide.tobytes()
    dicom.save_as(path)


def identical_pixels(tree: DefectTree) -> list[str]:
    """Two patients with the same image file."""
    rows = tree.tables["metadata"].rows
    pairs = [
        (first, second)
        for first, second in pairwise(rows)
        if first["subject_id"] != second["subject_id"]
        and (first["Rows"], first["Columns"]) == (second["Rows"], second["Columns"])
    ]
    chosen = tree.pick(pairs, lambda pair: [f"image {row['dicom_id']}" for row in pair])
    for first, second in chosen:
        tree.image_file(second).write_bytes(tree.image_file(first).read_bytes())
    return [f"{first['dicom_id']} = {second['dicom_id']}" for first, second in chosen]


@_REPORTS.edited
def missing_report(tree: DefectTree, row: Row, _index: int) -> None:
    tree.report_file(row).unlink()


@_REPORTS.edited
def unlisted_report(tree: DefectTree, row: Row, _index: int) -> str:
    path = tree.report_file(row)
    number = 40_000_000 + tree.random_int(path.stem) % 1_000_000
    copy = path.with_name(f"s{number}.txt")
    copy.write_bytes(path.read_bytes())
    return copy.relative_to(tree.out / "mimic-cxr").as_posix()


@_REPORTS.edited
def report_not_utf8(tree: DefectTree, row: Row, _index: int) -> None:
    path = tree.report_file(row)
    path.write_bytes(path.read_bytes().rstrip() + b" Caf\xe9.\n")


@_REPORTS.edited
def report_without_text(tree: DefectTree, row: Row, _index: int) -> None:
    tree.report_file(row).write_text(NO_TEXT, encoding="utf-8", newline="\n")
