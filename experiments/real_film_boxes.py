"""Lung boxes of a model on real films, against the boxes of lung masks.

    pip download torchxrayvision --no-deps --dest packages
    python experiments/real_film_boxes.py FOLDER --masks packages/torchxrayvision-*.whl
        --data STORE [--model MODEL] --out OUT.json

FOLDER holds data.csv (patient_id, image_id, projection) and png/, as in the COVID-19 Image
Repository of Hannover Medical School (doi 10.25835/0090041, CC BY 3.0). The package torchxrayvision
(Cohen et al. 2022) has lung masks that V7 Labs drew on films of several public sets, among them 59
of that repository. The left and the right part of a mask give the boxes of the two lungs; the heart
has no mask.

Two baselines see no image: the mean box of the training studies of STORE, and the mean box of the
masks of all *other* patients, which a model that has never seen a real film does not know. Scores
are means over lungs with 95% intervals over patients, for portable (AP) and upright (PA) films.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

import lapse
from lapse.core.types import Box
from lapse.data.store.store import open_store
from lapse.inference.pretrained import DEFAULT
from lapse.metrics.blind_baselines import mean_box

MASKS = "torchxrayvision/data/semantic_masks_v7labs_lungs.zip"
LUNGS = ("right lung", "left lung")  # in the order of the columns of the image
RESAMPLES = 2000


@dataclass(frozen=True)
class Film:
    """A film with the boxes of its lung masks."""

    patient: str
    path: Path
    projection: str
    boxes: Mapping[str, Box]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--masks", type=Path, required=True, help="wheel of torchxrayvision")
    parser.add_argument("--data", type=Path, required=True, help="store of the mean simulated box")
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    films = read_films(options.folder, options.masks)
    print(f"{len(films)} films of {len({film.patient for film in films})} patients have masks")
    simulated = mean_box(
        (region.name, region.box)
        for study in open_store(options.data).studies_of("train")
        for region in study.regions
        if region.box is not None and region.name in LUNGS
    )
    boxes = {
        "model": _model_boxes(options.model, films),
        "mean simulated box": [simulated] * len(films),
        "mean real box of other patients": _boxes_of_others(films),
    }
    kinds = {"AP": "ap", "PA": "pa", "all": ""}
    scores = {
        kind: {
            "films": sum(film.projection.startswith(prefix) for film in films),
            **{name: score(films, given, prefix) for name, given in boxes.items()},
        }
        for kind, prefix in kinds.items()
    }
    options.out.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    print(table(scores))


def read_films(folder: Path, package: Path) -> list[Film]:
    """The films that have a mask with two lungs."""
    with zipfile.ZipFile(package) as wheel:
        masks = zipfile.ZipFile(io.BytesIO(wheel.read(MASKS)))
    names = {Path(name).stem: name for name in masks.namelist()}
    films = []
    with (folder / "data.csv").open(encoding="utf-8-sig", newline="") as table:
        for row in csv.DictReader(table):
            if (name := names.get(row["image_id"])) is None:
                continue
            path = folder / "png" / f"{row['image_id']}.png"
            boxes = lung_boxes(np.asarray(Image.open(io.BytesIO(masks.read(name)))) == 255)
            films.append(Film(row["patient_id"], path, row["projection"].lower(), boxes))
    return films


def lung_boxes(mask: np.ndarray) -> dict[str, Box]:
    """The boxes of the two largest parts of a mask, in fractions of the image.

    Args:
        mask: [H, W] of truth values.

    Raises:
        ValueError: the mask has fewer than two parts.
    """
    parts, count = ndimage.label(mask)
    if count < 2:
        raise ValueError(f"a mask of lungs needs two separate parts, got {count}")
    height, width = mask.shape
    areas = np.bincount(parts.ravel())[1:]
    slices = [ndimage.find_objects(parts)[part] for part in np.argsort(-areas)[:2]]
    boxes = [
        Box(x.start / width, y.start / height, x.stop / width, y.stop / height) for y, x in slices
    ]
    return dict(zip(LUNGS, sorted(boxes, key=lambda box: box.x_min + box.x_max), strict=True))


def _model_boxes(name: str, films: Sequence[Film]) -> list[dict[str, Box | None]]:
    """The boxes that the model generates for the names of the two lungs (CAREF)."""
    model = lapse.load(name, device="cpu")
    given: list[dict[str, Box | None]] = []
    for film in films:
        regions = model.region(model.open(film.path, allow_unusual=True), LUNGS)
        given.append({region.name: region.box for region in regions})
    return given


def _boxes_of_others(films: Sequence[Film]) -> list[dict[str, Box]]:
    """For each film, the mean boxes of the films of all other patients."""
    return [
        mean_box(
            item for other in films if other.patient != film.patient for item in other.boxes.items()
        )
        for film in films
    ]


def score(
    films: Sequence[Film], given: Sequence[Mapping[str, Box | None]], projection: str
) -> dict[str, Any]:
    """Mean IoU and Acc@0.5 over lungs, with intervals over patients; a missing box scores 0."""
    chosen = [
        (film, boxes)
        for film, boxes in zip(films, given, strict=True)
        if film.projection.startswith(projection)
    ]
    patients = sorted({film.patient for film, _ in chosen})
    sums = np.zeros((len(patients), 3))  # of IoU, of hits, of lungs
    for film, boxes in chosen:
        for lung in LUNGS:
            box = boxes[lung]
            overlap = 0.0 if box is None else box.iou(film.boxes[lung])
            sums[patients.index(film.patient)] += (overlap, overlap >= 0.5, 1)
    draws = np.random.default_rng(0).multinomial(
        len(patients), np.full(len(patients), 1 / len(patients)), RESAMPLES
    )
    drawn = draws @ sums
    result = {}
    for column, name in enumerate(("mean IoU", "Acc@0.5")):
        low, high = np.quantile(drawn[:, column] / drawn[:, 2], (0.025, 0.975))
        value = sums[:, column].sum() / sums[:, 2].sum()
        result[name] = {"value": value, "low": low, "high": high}
    return result


def table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """The scores as Markdown; higher is better."""
    lines = ["| films | n | boxes | mean IoU | Acc@0.5 |", "|---|---|---|---|---|"]
    for kind, rows in scores.items():
        for name, values in rows.items():
            if name == "films":
                continue
            cells = [
                f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
                for value in values.values()
            ]
            lines.append(f"| {kind} | {rows['films']} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
