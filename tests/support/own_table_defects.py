"""Defects of the example of own films (lapse.phantom.dataset.plain_example).

Each injector changes the tables in place and returns the start of the ids that `lapse verify`
reports: "films.csv row 4, column 'order'". The choice of rows is derived from (seed, defect, row).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lapse.core.files import write_text
from lapse.core.seeding import derive_index
from release_defects import chosen, read_rows, write_rows

FILMS, BOXES = "films.csv", "boxes.csv"
BAD_CELLS = (
    ("findings", "oedemaa"),
    ("findings", "edema=huge"),
    ("findings", "No Finding"),
    ("order", "first"),
    ("date", "01/03/2024"),
    ("patient", "1.23E+38"),
    ("image", "../film.png"),
    ("split", "dev"),
)


def table_cell(folder: Path, seed: int) -> list[str]:
    """Cells that cannot be read, in films or boxes."""
    rows, ids = read_rows(folder / FILMS), []
    for index in chosen(len(rows), seed, "table-cell", "own"):
        column, value = BAD_CELLS[derive_index(len(BAD_CELLS), seed, "own", "cell", index)]
        rows[index][column] = value
        ids.append(f"{FILMS} row {index + 2}, column '{column}'")
    write_rows(folder / FILMS, rows)
    boxes = read_rows(folder / BOXES)
    for index in chosen(len(boxes), seed, "table-cell boxes", "own")[:2]:
        boxes[index]["x_max"] = "0"
        ids.append(f"{BOXES} row {index + 2}, column 'x_max'")
    write_rows(folder / BOXES, boxes)
    return ids


def table_rows(folder: Path, seed: int) -> list[str]:
    """A patient in two splits, or a study of two patients."""
    rows = read_rows(folder / FILMS)
    patients = list(dict.fromkeys(row["patient"] for row in rows))[1:]
    patient = patients[chosen(len(patients), seed, "table-rows", "own")[0]]
    index = max(number for number, row in enumerate(rows) if row["patient"] == patient)
    if derive_index(2, seed, "own", "rows"):
        column = "study"
        rows[index]["study"] = rows[0]["study"]
    else:
        column = "split"
        rows[index]["split"] = "test" if rows[index]["split"] == "train" else "train"
    write_rows(folder / FILMS, rows)
    return [f"{FILMS} row {index + 2}, column '{column}'"]


def table_file(folder: Path, seed: int) -> list[str]:
    """A file that is not such a table."""
    name = (FILMS, BOXES)[derive_index(2, seed, "own", "file")]
    text = (folder / name).read_text(encoding="utf-8")
    write_text(folder / name, text.replace("image,", "picture,", 1))
    return [f"{name} has no column 'image'"]


def sides_swapped(folder: Path, seed: int) -> list[str]:
    """Images whose right and left regions have each other's boxes."""
    rows = read_rows(folder / BOXES)
    images = sorted({row["image"] for row in rows if row["region"] == "right lung"})
    images = [
        image
        for image in images
        if any(row["image"] == image and row["region"] == "left lung" for row in rows)
    ]
    swapped = [images[index] for index in chosen(len(images), seed, "sides-swapped", "own")]
    other = {"right lung": "left lung", "left lung": "right lung"}
    for row in rows:
        if row["image"] in swapped:
            row["region"] = other.get(row["region"], row["region"])
    write_rows(folder / BOXES, rows)
    return [f"{image} right lung" for image in swapped]


OWN_TABLE: dict[str, Callable[[Path, int], list[str]]] = {
    "table-cell": table_cell,
    "table-rows": table_rows,
    "table-file": table_file,
    "sides-swapped": sides_swapped,
}
