"""Defects of the simulated trees of public releases, by registered name of the layout.

Each injector changes the tables of a tree in place and returns the ids that `lapse verify` reports.
The choice of rows is derived from (seed, defect, row).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

from release_defects import REPORT_RELEASES, Injector, chosen

Rows = list[list[str]]
ENTRIES, BOXES = "Data_Entry_2017_v2020.csv", "BBox_List_2017.csv"
MASKS = Path("chexmask") / "OriginalResolution" / "ChestX-Ray8.csv"
NIH_IMAGES = "images_001/images"
FOLLOW_UP, PATIENT, AGE = 2, 3, 4  # columns of the entries


def _edit(path: Path, change: Callable[[Rows], None]) -> None:
    """Change the rows of a table; its header stays as it is."""
    with path.open(encoding="utf-8", newline="") as stream:
        header, rows = stream.readline(), list(csv.reader(stream))
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(header)
        csv.writer(stream, lineterminator="\n").writerows(rows)


def release_table(folder: Path, seed: int) -> list[str]:
    """An unknown label of a film without boxes."""
    boxed = (folder / BOXES).read_text(encoding="utf-8")

    def change(rows: Rows) -> None:
        free = [row for row in rows if row[0] not in boxed]
        free[chosen(len(free), seed, "release-table")[0]][1] = "Oedema"

    _edit(folder / ENTRIES, change)
    return ["Data_Entry_2017_v2020.csv line"]


def file_numbers(folder: Path, _: int) -> list[str]:
    """`Follow-up #` as in the file names, and one age per patient."""

    def change(rows: Rows) -> None:
        ages: dict[str, str] = {}
        for row in rows:
            row[FOLLOW_UP] = str(int(row[0].partition("_")[2].partition(".")[0]))
            row[AGE] = ages.setdefault(row[PATIENT], row[AGE])

    _edit(folder / ENTRIES, change)
    return [ENTRIES]


def falling_ages(folder: Path, seed: int) -> list[str]:
    """The last film of some patients has age 0."""
    ids: list[str] = []

    def change(rows: Rows) -> None:
        series: dict[str, Rows] = {}
        for row in rows:
            series.setdefault(row[PATIENT], []).append(row)
        several = [films for films in series.values() if len(films) > 1]
        for index in chosen(len(several), seed, "age-falls"):
            ordered = sorted(several[index], key=lambda row: int(row[FOLLOW_UP]))
            ordered[-1][AGE] = "0"
            ids.append(f"{ordered[0][PATIENT]}: {ordered[-2][0]}, {ordered[-1][0]}")

    _edit(folder / ENTRIES, change)
    return ids


def box_labels(folder: Path, seed: int) -> list[str]:
    """Boxes of a finding that no film of the phantom has."""
    ids: list[str] = []

    def change(rows: Rows) -> None:
        for index in chosen(len(rows), seed, "box-label"):
            rows[index][1] = "Mass"
            ids.append(f"{rows[index][0]} Mass")

    _edit(folder / BOXES, change)
    return ids


def _edit_masks(folder: Path, seed: int, defect: str, change: Callable[[list[str]], None]) -> Rows:
    """The changed rows of CheXmask."""
    changed: Rows = []

    def edit(rows: Rows) -> None:
        for index in chosen(len(rows), seed, defect):
            change(rows[index])
            changed.append([*rows[index], str(index + 2)])

    _edit(folder / MASKS, edit)
    return changed


def mask_landmarks(folder: Path, seed: int) -> list[str]:
    """Rows with one coordinate less."""

    def change(row: list[str]) -> None:
        row[3] = " ".join(row[3].replace(",", " ").split()[:-1])

    rows = _edit_masks(folder, seed, "mask-landmarks", change)
    return [f"{MASKS.name} line {row[-1]}" for row in rows]


def mask_size(folder: Path, seed: int) -> list[str]:
    """Rows of images of another height."""

    def change(row: list[str]) -> None:
        row[-2] = "1100"

    rows = _edit_masks(folder, seed, "mask-size", change)
    return [f"{NIH_IMAGES}/{row[0]} is (1024, 1024)" for row in rows]


def mask_box(folder: Path, seed: int) -> list[str]:
    """Rows whose right lung starts left of the image."""

    def change(row: list[str]) -> None:
        row[3] = re.sub(r"[\d.]+", "-9.0", row[3], count=1)

    rows = _edit_masks(folder, seed, "mask-box", change)
    return [f"{NIH_IMAGES}/{row[0]} right lung" for row in rows]


def mask_sides(folder: Path, seed: int) -> list[str]:
    """Mirrored rows."""

    def change(row: list[str]) -> None:
        numbers = [float(text) for text in re.findall(r"[\d.]+", row[3])]
        numbers[::2] = [1024 - value for value in numbers[::2]]
        row[3] = ",".join(f"{value:.1f}" for value in numbers)

    rows = _edit_masks(folder, seed, "sides-swapped", change)
    return [f"{NIH_IMAGES}/{row[0]} right lung" for row in rows]


def few_masks(folder: Path, _: int) -> list[str]:
    """A file with the rows of a few images."""

    def change(rows: Rows) -> None:
        del rows[len(rows) // 3 :]

    _edit(folder / MASKS, change)
    return [f"{MASKS.name}: "]


RELEASES: dict[str, dict[str, Injector]] = {
    "nih": {
        "release-table": release_table,
        "nih-2017-numbers": file_numbers,
        "age-falls": falling_ages,
        "box-label": box_labels,
        "mask-landmarks": mask_landmarks,
        "mask-size": mask_size,
        "mask-box": mask_box,
        "sides-swapped": mask_sides,
        "few-masks": few_masks,
    },
    **REPORT_RELEASES,
}
