"""Defects and harmless variants of a whole source: tables twice, folders moved, most of it missing.

The ids of the defects `few-...` are the texts by which `lapse verify` names the source.
"""

from __future__ import annotations

import gzip
import re
import zipfile

from PIL import Image

from lapse.phantom.dataset.scene_graph import GRAPH_SUFFIX
from lapse.phantom.defects.files import Injector
from lapse.phantom.defects.images import LATERAL, pick_images
from lapse.phantom.defects.tree import DefectTree, Table

MOST = 0.6  # the fraction of a source that becomes useless
PARAGRAPHS = "FINAL REPORT\n\nThe lungs are clear.\nThe heart is of normal size.\n"
MAC_BYTES = b"\x00\x05\x16\x07"  # the start of an AppleDouble file
_HEADER = re.compile(r"^ ([A-Z ()/,\-]+):", re.MULTILINE)


def _plain_copy(table: Table, num_rows: int | None) -> list[str]:
    """The table as `.csv.gz`, and its first rows (None for all) as `.csv` in the same folder."""
    table.path.unlink(missing_ok=True)
    table.path = table.path.with_name(f"{table.path.name.removesuffix('.gz')}.gz")
    table.write()
    lines = gzip.decompress(table.path.read_bytes()).splitlines(keepends=True)
    kept = lines if num_rows is None else lines[: num_rows + 1]
    copy = table.path.with_suffix("")
    copy.write_bytes(b"".join(kept))
    return [f"{table.path.name} (read), {copy.name}"]


def ambiguous_table(tree: DefectTree) -> list[str]:
    """A short table next to the complete one."""
    table = tree.pick_table("metadata", "split", "questions", "mimic_all", "train", "progressions")
    return [] if table is None else _plain_copy(table, len(table.rows) // 4)


def repeated_table(tree: DefectTree) -> list[str]:
    """A table, packed and plain."""
    table = tree.pick_table("valid", "test", "images_to_avoid", exclusive=True)
    return [] if table is None else _plain_copy(table, None)


def view_nan(tree: DefectTree) -> list[str]:
    """ViewPosition as another program writes an empty field; the view code is complete."""
    table = tree.tables["metadata"]
    rows = pick_images(tree, "row", "second")
    for row in rows:
        word = ("nan", "NaN", "None")[tree.random_int(table.cell(row, "dicom_id")) % 3]
        table.set(row, "ViewPosition", word)
    return [table.cell(row, "dicom_id") for row in rows]


def report_headers(tree: DefectTree) -> list[str]:
    """Section headers in lower case, or without the blank before them."""
    table = tree.tables["metadata"]
    with_sections = [row for row in table.rows if _has_sections(tree, row)]
    rows = tree.pick(with_sections, lambda row: [f"report {table.cell(row, 'study_id')}"])
    for row in rows:
        path = tree.report_file(row)
        text = path.read_text(encoding="utf-8")
        if tree.random_int(path.stem) % 2:
            text = _HEADER.sub(lambda match: f" {match.group(1).capitalize()}:", text)
        else:
            text = _HEADER.sub(r"\1:", text)
        path.write_text(text, encoding="utf-8", newline="\n")
    return [f"s{table.cell(row, 'study_id')}" for row in rows]


def _has_sections(tree: DefectTree, row: list[str]) -> bool:
    path = tree.report_file(row)
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    return "\n FINDINGS:" in text or "\n IMPRESSION:" in text


def nested_graphs(tree: DefectTree) -> list[str]:
    """The archive of scene graphs unpacked into a folder that has its name."""
    silver = tree.archive.parent
    with zipfile.ZipFile(tree.archive) as archive:
        archive.extractall(silver / "scene_graph")
    tree.archive.unlink()
    return ["scene_graph/scene_graph"]


def _num_most(count: int) -> int:
    return int(MOST * count) + 1


def few_frontals(tree: DefectTree) -> list[str]:
    table = tree.tables["metadata"]
    for row in table.rows[: _num_most(len(table.rows))]:
        for column, value in zip(
            ("ViewPosition", "ViewCodeSequence_CodeMeaning"), LATERAL, strict=True
        ):
            table.set(row, column, value)
    return ["studies with a frontal image"]


def few_sections(tree: DefectTree) -> list[str]:
    """Most reports without any section header."""
    rows = tree.tables["metadata"].rows
    for row in rows[: _num_most(len(rows))]:
        tree.report_file(row).write_text(PARAGRAPHS, encoding="utf-8", newline="\n")
    return ["reports with findings or an impression"]


def few_regions(tree: DefectTree) -> list[str]:
    """Most scene graphs without phrases."""
    dicoms = list(tree.graphs)
    for dicom in dicoms[: _num_most(len(dicoms))]:
        tree.set_graph(dicom, {**tree.graph(dicom), "attributes": []})
    return ["images with boxes and descriptions"]


def few_questions(tree: DefectTree) -> list[str]:
    """Most questions of an unknown category."""
    table = tree.tables["questions"]
    for row in table.rows[: _num_most(len(table.rows))]:
        table.set(row, "question_type", "severity")
    return ["questions of a category about known studies"]


def mac_files(tree: DefectTree) -> list[str]:
    """The files that macOS adds to folders and archives."""
    dicom = next(iter(tree.graphs))
    silver = tree.archive.parent
    folder = silver.parent.parent / "__MACOSX" / silver.parent.name / silver.name
    (folder / "scene_graph").mkdir(parents=True)
    image = next(path for path in sorted(tree.out.rglob("s*/*")) if path.suffix in (".jpg", ".dcm"))
    names = [
        folder / "scene_graph" / f"._{dicom}{GRAPH_SUFFIX}",
        image.with_name(f"._{image.name}"),
        image.parent / ".DS_Store",
        silver / "splits" / "._train.csv",
        tree.out / "medical-diff-vqa" / ".DS_Store",
    ]
    for path in names:
        path.write_bytes(MAC_BYTES)
    with zipfile.ZipFile(tree.archive, "a") as archive:
        archive.writestr(f"__MACOSX/scene_graph/._{dicom}{GRAPH_SUFFIX}", MAC_BYTES)
    return [path.name for path in names]


def upper_case_suffix(tree: DefectTree) -> list[str]:
    """Images with suffixes in upper case."""
    names = []
    for row in pick_images(tree, "image"):
        for path in tree.image_files(row):
            names.append(path.rename(path.with_suffix(path.suffix.upper())).name)
    return names


def png_copies(tree: DefectTree) -> list[str]:
    """PNG files instead of the JPEGs."""
    names = []
    for row in pick_images(tree, "image"):
        for path in tree.image_files(row):
            if path.suffix == ".jpg":
                with Image.open(path) as image:
                    image.save(path.with_suffix(".png"))
                path.unlink()
                names.append(path.with_suffix(".png").name)
    return names


def reports_folder(tree: DefectTree) -> list[str]:
    """The reports unpacked into a folder with the name of their archive."""
    root = tree.out / "mimic-cxr"
    names = []
    for path in sorted(root.rglob("s*.txt")):
        target = root / "mimic-cxr-reports" / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        names.append(path.rename(target).name)
    return names


COPIES: dict[str, Injector] = {
    "ambiguous-table": ambiguous_table,
    "repeated-table": repeated_table,
}
VARIANTS: dict[str, Injector] = {"view-nan": view_nan, "report-headers": report_headers}
HARMLESS_FILES: dict[str, Injector] = {
    "upper-case-suffix": upper_case_suffix,
    "png-copies": png_copies,
}
MAC_FILES: dict[str, Injector] = {"mac-files": mac_files}
MOVED: dict[str, Injector] = {
    "nested-graphs": nested_graphs,
    "reports-folder": reports_folder,
}
MOST_OF_A_SOURCE: dict[str, Injector] = {
    "few-frontals": few_frontals,
    "few-sections": few_sections,
    "few-regions": few_regions,
    "few-questions": few_questions,
}
