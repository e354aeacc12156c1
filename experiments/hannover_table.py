"""The table of own films for the COVID-19 Image Repository of Hannover Medical School.

    python -m experiments.hannover_table FOLDER films.csv
    lapse prepare films.csv --images FOLDER/png store --size 224

The repository (doi 10.25835/0090041, CC BY 3.0) has a `data.csv` with `admission_offset`: days from
the film to the admission, so that later films have lower values. The column `days` of own films
grows with time: it is the negative offset. Rows without an offset or with another projection than
ap and pa are counted and left out. There are no reports and no labels, so the store has no
question: it serves for films of one patient in order, as input of `lapse answer` and of probes.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
from collections import Counter
from pathlib import Path

COLUMNS = ("image", "patient", "study", "days", "view")
DATASET = {
    "name": "COVID-19 Image Repository, Hannover Medical School",
    "licence": "CC BY 3.0, doi 10.25835/0090041",
    "description": "Portable films without reports and labels.",
    "prefix": "hannover",
}

logger = logging.getLogger(__name__)


def film_rows(table: Path) -> tuple[list[tuple[str, ...]], Counter[str]]:
    """The rows of films.csv, and the counts of what is left out by reason."""
    rows: list[tuple[str, ...]] = []
    left_out: Counter[str] = Counter()
    with table.open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            view = row["projection"].strip().upper()
            if view not in ("PA", "AP"):
                left_out["projection that is neither ap nor pa"] += 1
                continue
            try:
                days = -float(row["admission_offset"])
            except ValueError:
                left_out["no admission_offset"] += 1
                continue
            image, patient = row["image_id"].strip(), row["patient_id"].strip()
            rows.append((f"{image}.png", patient, image, f"{days:g}", view))
    return rows, left_out


def write_table(folder: Path, out: Path) -> Counter[str]:
    """Write films.csv, and dataset.json next to it."""
    rows, left_out = film_rows(folder / "data.csv")
    with out.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *rows])
    text = json.dumps(DATASET, indent=1)
    out.with_name("dataset.json").write_text(f"{text}\n", encoding="utf-8")
    logger.info("%s: %d films of %d patients", out, len(rows), len({row[1] for row in rows}))
    for reason, count in left_out.items():
        logger.info("left out: %d x %s", count, reason)
    return left_out


def main() -> None:
    """Write the table of the folder that the command line names."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with data.csv and png/")
    parser.add_argument("out", type=Path, help="films.csv to write")
    arguments = parser.parse_args()
    write_table(arguments.folder, arguments.out)


if __name__ == "__main__":
    main()
