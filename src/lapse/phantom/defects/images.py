"""Defects of images, of their rows in the metadata, and of reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lapse.phantom.defects.files import Injector
from lapse.phantom.defects.tree import DefectTree

LATERAL = ("LATERAL", "lateral")
FURTHER_VIEWS = (("LL", "left lateral"), ("SWIMMERS", "swimmer's view"), ("LAO", ""))
NO_TEXT = "                                 FINAL REPORT\n INDICATION:  Cough.\n"


def pick_images(tree: DefectTree, *claims: str) -> list[list[str]]:
    """Choose simulated metadata rows; `claims` are what the defect claims of each of them."""
    table = tree.tables["metadata"]

    def keys(row: list[str]) -> list[str]:
        dicom, study = table.cell(row, "dicom_id"), table.cell(row, "study_id")
        return [f"{claim} {study if claim in ('report', 'time') else dicom}" for claim in claims]

    simulated = [row for row in table.rows if table.cell(row, "dicom_id") in tree.sizes]
    return tree.pick(simulated, keys)


def _dicoms(tree: DefectTree, rows: list[list[str]]) -> list[str]:
    return [tree.tables["metadata"].cell(row, "dicom_id") for row in rows]


def _studies(tree: DefectTree, rows: list[list[str]]) -> list[str]:
    return [f"s{tree.tables['metadata'].cell(row, 'study_id')}" for row in rows]


def further_views(tree: DefectTree) -> list[str]:
    """Second images of a study, with views of the real vocabulary that the phantom does not use."""
    table = tree.tables["metadata"]
    names = []
    for row in pick_images(tree, "second", "row"):
        view = FURTHER_VIEWS[tree.random_int(table.cell(row, "dicom_id")) % len(FURTHER_VIEWS)]
        names.append(tree.add_lateral(row, table.cell(row, "subject_id"), view))
    return names


def missing_image(tree: DefectTree) -> list[str]:
    rows = pick_images(tree, "image")
    for path in [path for row in rows for path in tree.image_files(row)]:
        path.unlink()
    return _dicoms(tree, rows)


def unlisted_image(tree: DefectTree) -> list[str]:
    names = []
    for row in pick_images(tree, "image"):
        path = tree.image_file(row)
        copy = path.with_name(f"{tree.new_dicom(path.stem)}{path.suffix}")
        copy.write_bytes(path.read_bytes())
        names.append(copy.relative_to(tree.root_of(copy)).as_posix())
    return names


def duplicate_image(tree: DefectTree) -> list[str]:
    table = tree.tables["metadata"]
    rows = pick_images(tree, "image", "row", "time")
    table.rows += [list(row) for row in rows]
    return _dicoms(tree, rows)


def unreadable_size(tree: DefectTree) -> list[str]:
    table = tree.tables["metadata"]
    rows = pick_images(tree, "row", "image", "graph")
    for row in rows:
        column = ("Rows", "Columns")[tree.random_int(table.cell(row, "dicom_id")) % 2]
        table.set(row, column, ("", "0", "many")[tree.random_int(table.cell(row, "study_id")) % 3])
    return _dicoms(tree, rows)


def unreadable_time(tree: DefectTree) -> list[str]:
    table = tree.tables["metadata"]
    rows = pick_images(tree, "time", "row")
    for row in rows:
        is_date = tree.random_int(table.cell(row, "dicom_id")) % 2
        table.set(row, "StudyDate" if is_date else "StudyTime", "21801399" if is_date else "noon")
    return _dicoms(tree, rows)


def view_disagrees(tree: DefectTree) -> list[str]:
    table = tree.tables["metadata"]
    rows = pick_images(tree, "row")
    for row in rows:
        is_front = table.cell(row, "ViewPosition") == "PA"
        other = "antero-posterior" if is_front else "postero-anterior"
        table.set(row, "ViewCodeSequence_CodeMeaning", other)
    return _dicoms(tree, rows)


def view_empty(tree: DefectTree) -> list[str]:
    table = tree.tables["metadata"]
    rows = pick_images(tree, "row", "second")
    for row in rows:
        table.set(row, "ViewPosition", "")
        table.set(row, "ViewCodeSequence_CodeMeaning", "")
    return _dicoms(tree, rows)


def study_two_patients(tree: DefectTree) -> list[str]:
    """A lateral image of the study has the subject_id of another patient."""
    table = tree.tables["metadata"]
    patients = [table.cell(row, "subject_id") for row in table.rows]
    rows = pick_images(tree, "second", "row")
    for row in rows:
        patient = table.cell(row, "subject_id")
        other = next(candidate for candidate in patients if candidate != patient)
        tree.add_lateral(row, other, LATERAL)
    return _studies(tree, rows)


def undecodable_image(tree: DefectTree) -> list[str]:
    rows = pick_images(tree, "image")
    for row in rows:
        path = tree.image_file(row)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
    return _dicoms(tree, rows)


def image_size(tree: DefectTree) -> list[str]:
    rows = pick_images(tree, "image")
    for row in rows:
        path = tree.image_file(row)
        if path.suffix == ".dcm":
            _widen_dicom(path)
            continue
        with Image.open(path) as image:
            resized = image.resize((image.width + 8, image.height))
        resized.save(path, quality=95)
    return _dicoms(tree, rows)


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
    table = tree.tables["metadata"]
    pairs: list[tuple[list[str], list[str]]] = []
    for first, second in zip(table.rows, table.rows[1:], strict=False):
        patients = {table.cell(row, "subject_id") for row in (first, second)}
        sizes = {(table.cell(row, "Rows"), table.cell(row, "Columns")) for row in (first, second)}
        if len(patients) == 2 and len(sizes) == 1:
            pairs.append((first, second))

    def keys(pair: tuple[list[str], list[str]]) -> list[str]:
        return [f"image {table.cell(row, 'dicom_id')}" for row in pair]

    chosen = tree.pick(pairs, keys)
    for first, second in chosen:
        tree.image_file(second).write_bytes(tree.image_file(first).read_bytes())
    return [" = ".join(_dicoms(tree, list(pair))) for pair in chosen]


def missing_report(tree: DefectTree) -> list[str]:
    rows = pick_images(tree, "report")
    for row in rows:
        tree.report_file(row).unlink()
    return _studies(tree, rows)


def unlisted_report(tree: DefectTree) -> list[str]:
    names = []
    for row in pick_images(tree, "report"):
        path = tree.report_file(row)
        number = 40_000_000 + tree.random_int(path.stem) % 1_000_000
        copy = path.with_name(f"s{number}.txt")
        copy.write_bytes(path.read_bytes())
        names.append(copy.relative_to(tree.out / "mimic-cxr").as_posix())
    return names


def report_not_utf8(tree: DefectTree) -> list[str]:
    rows = pick_images(tree, "report")
    for row in rows:
        path = tree.report_file(row)
        data = path.read_bytes().rstrip()
        path.write_bytes(data + b" Caf\xe9.\n")
    return _studies(tree, rows)


def report_without_text(tree: DefectTree) -> list[str]:
    rows = pick_images(tree, "report")
    for row in rows:
        tree.report_file(row).write_text(NO_TEXT, encoding="utf-8", newline="\n")
    return _studies(tree, rows)


IMAGES: dict[str, Injector] = {
    "missing-image": missing_image,
    "unlisted-image": unlisted_image,
    "duplicate-image": duplicate_image,
    "unreadable-size": unreadable_size,
    "unreadable-time": unreadable_time,
    "view-disagrees": view_disagrees,
    "view-empty": view_empty,
    "study-two-patients": study_two_patients,
    "undecodable-image": undecodable_image,
    "image-size": image_size,
    "identical-pixels": identical_pixels,
}
REPORTS: dict[str, Injector] = {
    "missing-report": missing_report,
    "unlisted-report": unlisted_report,
    "report-not-utf8": report_not_utf8,
    "report-without-text": report_without_text,
}
