"""Defects and harmless variants of a whole source: tables twice, folders moved, most of it missing.

The ids of the defects `few-...` are the texts by which `lapse verify` names the source.
"""

from __future__ import annotations

import gzip
import re
import zipfile
from typing import TypeVar

from PIL import Image

from lapse.phantom.dataset.scene_graph import GRAPH_SUFFIX
from lapse.phantom.defects.images import LATERAL
from lapse.phantom.defects.records import image_records, on_table
from lapse.phantom.defects.tree import DefectTree, Row, Table

T = TypeVar("T")

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


@on_table("metadata", "split", "questions", "mimic_all", "train", "progressions")
def ambiguous_table(_tree: DefectTree, table: Table) -> list[str]:
    """A short table next to the complete one."""
    return _plain_copy(table, len(table.rows) // 4)


@on_table("valid", "test", "images_to_avoid", exclusive=True)
def repeated_table(_tree: DefectTree, table: Table) -> list[str]:
    """A table, packed and plain."""
    return _plain_copy(table, None)


def report_headers(tree: DefectTree) -> list[str]:
    """Section headers in lower case, or without the blank before them."""
    with_sections = [row for row in tree.tables["metadata"].rows if _has_sections(tree, row)]
    rows = tree.pick(with_sections, lambda row: [f"report {row['study_id']}"])
    for row in rows:
        path = tree.report_file(row)
        text = path.read_text(encoding="utf-8")
        if tree.random_int(path.stem) % 2:
            text = _HEADER.sub(lambda match: f" {match.group(1).capitalize()}:", text)
        else:
            text = _HEADER.sub(r"\1:", text)
        path.write_text(text, encoding="utf-8", newline="\n")
    return [f"s{row['study_id']}" for row in rows]


def _has_sections(tree: DefectTree, row: Row) -> bool:
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


def _most(items: list[T]) -> list[T]:
    return items[: int(MOST * len(items)) + 1]


def few_frontals(tree: DefectTree) -> list[str]:
    for row in _most(tree.tables["metadata"].rows):
        row["ViewPosition"], row["ViewCodeSequence_CodeMeaning"] = LATERAL
    return ["studies with a frontal image"]


def few_sections(tree: DefectTree) -> list[str]:
    """Most reports without any section header."""
    for row in _most(tree.tables["metadata"].rows):
        tree.report_file(row).write_text(PARAGRAPHS, encoding="utf-8", newline="\n")
    return ["reports with findings or an impression"]


def few_regions(tree: DefectTree) -> list[str]:
    """Most scene graphs without phrases."""
    for dicom in _most(list(tree.graphs)):
        tree.set_graph(dicom, {**tree.graph(dicom), "attributes": []})
    return ["images with boxes and descriptions"]


def few_questions(tree: DefectTree) -> list[str]:
    """Most questions of an unknown category."""
    for row in _most(tree.tables["questions"].rows):
        row["question_type"] = "severity"
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
        entry = zipfile.ZipInfo(f"__MACOSX/scene_graph/._{dicom}{GRAPH_SUFFIX}")  # without a time
        archive.writestr(entry, MAC_BYTES)
    return [path.name for path in names]


def upper_case_suffix(tree: DefectTree) -> list[str]:
    """Images with suffixes in upper case."""
    names = []
    for row in image_records("image").pick_rows(tree):
        for path in tree.image_files(row):
            names.append(path.rename(path.with_suffix(path.suffix.upper())).name)
    return names


def png_copies(tree: DefectTree) -> list[str]:
    """PNG files instead of the JPEGs."""
    names = []
    for row in image_records("image").pick_rows(tree):
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
