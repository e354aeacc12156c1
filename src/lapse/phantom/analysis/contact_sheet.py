"""Contact sheets: what the simulator draws, on a page to look at critically.

    normals    healthy patients, one acquisition each
    findings   every finding at three severities, the box of its region
    pairs      prior | current, the same findings under another acquisition
    tiers      without | coarse | fine | the mimic, a magnified corner beside each

Pages are grey 8-bit PNG, tiles in rows with a line of text above each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lapse.phantom.patients.acquisition import Acquisition, draw_acquisition
from lapse.phantom.patients.catalogue import DEVICES
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.patients.places import regions_of
from lapse.phantom.patients.state import Device, Finding, Mimic, Visit
from lapse.phantom.rendering.fine_findings import FINE_FINDINGS, SPREAD
from lapse.phantom.rendering.render import Rendered, render

Grey = NDArray[np.uint8]
CAPTION = 13  # px above each tile
SIZE, FINE_SIZE = 448, 1024  # px rendered
GREYS = 4  # steps between the greys of a page: PNG stays small, the eye sees no difference
SEVERITIES = (0.15, 0.5, 0.9)
_DAY = datetime(2150, 1, 1)

# name, side, zone, type, where a region of places.py would not be the one to mark: its name
SHOWN: tuple[tuple[str, str, str, str, str], ...] = (
    ("pleural effusion", "right", "basilar", "", "right lung"),
    ("pleural effusion", "left", "basilar", "supine", "left lung"),
    ("blunting of the costophrenic angle", "left", "basilar", "", ""),
    ("pneumothorax", "left", "apical", "", "left lung"),
    ("atelectasis", "right", "basilar", "linear", ""),
    ("atelectasis", "left", "basilar", "plate-like", ""),
    ("atelectasis", "left", "basilar", "obstructive", ""),
    ("atelectasis", "right", "upper", "obstructive", ""),
    ("atelectasis", "right", "basilar", "compressive", ""),
    ("consolidation", "right", "upper", "dense", ""),
    ("consolidation", "left", "lower", "", ""),
    ("pneumonia", "right", "lower", "multifocal", ""),
    ("pneumonia", "left", "mid", "focal", ""),
    ("lung opacity", "right", "mid", "patchy", ""),
    ("lung opacity", "left", "lower", "ground-glass", ""),
    ("contusion", "left", "mid", "", "left mid lung zone"),
    ("edema", "bilateral", "", "", "right lung"),
    ("edema", "bilateral", "", "interstitial", "right lung"),
    ("vascular congestion", "bilateral", "", "", "right lung"),
    ("hilar congestion", "bilateral", "", "", "right hilar structures"),
    ("cardiomegaly", "", "", "", ""),
    ("enlargement of the cardiac silhouette", "", "", "", "cardiac silhouette"),
    ("hypertensive heart disease", "", "", "", "cardiac silhouette"),
    ("emphysema", "bilateral", "", "", "right lung"),
    ("pleural thickening", "right", "apical", "", ""),
    ("pleural thickening", "left", "lower", "", ""),
    ("granuloma", "right", "mid", "calcified", ""),
    ("calcification", "", "", "", ""),
    ("fracture", "left", "mid", "", "left lung"),
    ("scoliosis", "", "", "", ""),
    ("tortuosity of the thoracic aorta", "", "", "", "mediastinum"),
    ("hernia", "", "", "", ""),
    ("gastric distention", "left", "", "", "left upper abdomen"),
    ("thymoma", "", "", "", "mediastinum"),
    ("pneumomediastinum", "", "", "", "mediastinum"),
    ("air collection", "left", "", "", "left lung"),
    ("hematoma", "right", "mid", "", "right lung"),
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of a page: the image, what is written above it, a box in fractions."""

    image: Grey
    caption: str
    box: tuple[float, float, float, float] | None = None


def draw_sheets(
    out: Path,
    *,
    seed: int = 0,
    tile: int = 240,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, ...]:
    """Draw all contact sheets into a folder; their files. `progress(pages done, pages)`.

    Raises:
        ValueError: a tile has fewer than 64 pixels.
    """
    if tile < 64:
        raise ValueError(f"tiles of {tile} pixels show nothing: use at least 64")
    out.mkdir(parents=True, exist_ok=True)
    half = -(-len(SHOWN) // 2)
    pages: tuple[tuple[str, Iterator[Tile], int], ...] = (
        ("normals", normal_tiles(seed), 6),
        ("findings-1", finding_tiles(seed, SHOWN[:half]), 6),
        ("findings-2", finding_tiles(seed, SHOWN[half:]), 6),
        ("pairs", pair_tiles(seed), 6),
        ("devices", device_tiles(seed), 5),
        ("tiers", tier_tiles(seed), 8),
    )
    files = []
    for index, (name, tiles, columns) in enumerate(pages):
        if progress:
            progress(index, len(pages))
        path = out / f"{name}.png"
        _page(list(tiles), columns, tile).save(path, optimize=True)
        files.append(path)
    if progress:
        progress(len(pages), len(pages))
    return tuple(files)


def normal_tiles(seed: int, count: int = 24) -> Iterator[Tile]:
    """Patients without any finding."""
    for index in range(count):
        taken = draw_acquisition(seed, index, 0, 0)
        person = draw_patient(seed, index)
        shown = _shown(seed, index, taken)
        kind = "supine" if taken.is_supine else taken.view
        yield Tile(shown.image, f"{person.sex}{person.age} BMI {person.bmi:.0f} {kind}")


def finding_tiles(seed: int, shown: tuple[tuple[str, str, str, str, str], ...]) -> Iterator[Tile]:
    """Each finding at three severities, the same patient and acquisition in a row."""
    for row, (name, side, zone, kind, region) in enumerate(shown):
        is_supine = kind == "supine"
        person = 100 + (row * 7 + len(name)) % 40
        taken = plain(seed, person, is_supine=is_supine)
        kind = "" if is_supine else kind
        for severity in SEVERITIES:
            finding = Finding(name, side, zone, severity, kind, 1000 + row)
            made = _shown(seed, person, taken, finding)
            target = region or next(iter(regions_of(finding)), "")
            words = " ".join(word for word in (kind, name, side) if word)
            caption = f"{words}{' supine' if is_supine else ''} {severity:.2f}"
            yield Tile(made.image, caption, made.boxes.get(target))


def pair_tiles(seed: int, count: int = 9) -> Iterator[Tile]:
    """Prior and current image of patients whose findings did not change."""
    chosen = [row for row in SHOWN if row[3] != "supine"]
    for index in range(count):
        findings = tuple(
            Finding(name, side, zone, 0.3 + 0.13 * ((index + step) % 4), kind, 50 + index)
            for step in (0, 1)
            for name, side, zone, kind, _ in (chosen[(index * 4 + step * 9) % len(chosen)],)
        )
        person = 200 + index
        for visit, word in ((0, "prior"), (1, "current")):
            taken = draw_acquisition(seed, person, visit, 0)
            made = _shown(seed, person, taken, *findings)
            names = " + ".join(finding.name for finding in findings)
            yield Tile(made.image, f"{word} {taken.view}: {names}")


def device_tiles(seed: int) -> Iterator[Tile]:
    """Every tube, line and implant, and some together."""
    groups: list[tuple[str, ...]] = [(spec.name,) for spec in DEVICES]
    groups += [("endotracheal tube", "nasogastric tube", "central line", "ecg leads")]
    groups += [("pacemaker", "sternal wires")]
    for index, names in enumerate(groups):
        side = "left" if "pacemaker" in names else "right"
        devices = tuple(Device(name, side, 9 + index) for name in names)
        visit = Visit(0, 0, _DAY, (), devices)
        taken = plain(seed, 300 + index, view="AP")
        image = render(draw_patient(seed, 300 + index), visit, taken, SIZE).image
        yield Tile(image, " + ".join(names))


def tier_tiles(seed: int) -> Iterator[Tile]:
    """Without, coarse, fine and mimic, each beside the corner that holds the cue."""
    mimic_of = {
        "pneumothorax": "skin fold",
        "edema": "under-exposure haze",
        "granuloma": "end-on vessel",
        "fracture": "nutrient canal",
        "atelectasis": "expiration crowding",
        "pleural effusion": "breast shadow",
        "lung opacity": "breast shadow",
    }
    assert set(mimic_of) == set(FINE_FINDINGS)
    assert set(mimic_of.values()) == set(SPREAD)
    zones = {"pneumothorax": "apical", "granuloma": "mid", "fracture": "mid"}
    kinds = {"granuloma": "calcified", "atelectasis": "linear"}
    for index, (name, mimic) in enumerate(mimic_of.items()):
        person, zone = 400 + index, zones.get(name, "lower")
        taken = plain(seed, person)
        fine = Finding(name, "left", zone, 0.5, kinds.get(name, ""), 5 + index, is_fine=True)
        coarse = replace(fine, is_fine=False)
        like = Mimic(mimic, name, "left", zone, fine.seed)
        visits = (
            ("without", Visit(0, 0, _DAY, (), ())),
            (f"coarse {name}", Visit(0, 0, _DAY, (coarse,), ())),
            (f"fine {name}", Visit(0, 0, _DAY, (fine,), ())),
            (f"mimic: {mimic}", Visit(0, 0, _DAY, (), (), (like,))),
        )
        made = [render(draw_patient(seed, person), visit, taken, FINE_SIZE) for _, visit in visits]
        top, left = _corner(made[2].image, made[0].image)
        side = FINE_SIZE // 5
        for (word, _), shown in zip(visits, made, strict=True):
            height, width = shown.image.shape
            box = (left / width, top / height, (left + side) / width, (top + side) / height)
            yield Tile(shown.image, word, box)
            yield Tile(shown.image[top : top + side, left : left + side], "")


def plain(seed: int, patient: int, *, view: str = "PA", is_supine: bool = False) -> Acquisition:
    """The first acquisition of this kind, near the ideal one, without a label."""
    view = "AP" if is_supine else view
    for visit in range(1000):
        taken = draw_acquisition(seed, patient, visit, 0, nuisance=0.5)
        if (taken.view, taken.is_supine) == (view, is_supine):
            return replace(taken, label="")
    raise AssertionError("1,000 acquisitions without one of this kind")


def _shown(seed: int, patient: int, taken: Acquisition, *findings: Finding) -> Rendered:
    visit = Visit(patient, 0, _DAY, findings, ())
    return render(draw_patient(seed, patient), visit, taken, SIZE)


def _corner(image: Grey, without: Grey) -> tuple[int, int]:
    """The square of a fifth of the image where two images differ most; its top and left."""
    moved = np.abs(image.astype(np.float64) - without)
    side, step = FINE_SIZE // 5, 8
    sums = np.pad(moved.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    mass = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    mass = mass[::step, ::step]
    at = int(np.argmax(mass))
    return at // mass.shape[1] * step, at % mass.shape[1] * step


def _page(tiles: list[Tile], columns: int, size: int) -> Image.Image:
    rows = -(-len(tiles) // columns)
    page = Image.new("L", (columns * size, rows * (size + CAPTION)), 0)
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=9.5)
    for index, tile in enumerate(tiles):
        left, top = index % columns * size, index // columns * (size + CAPTION)
        picture = Image.fromarray(tile.image)
        picture.thumbnail((size - 2, size - 2), Image.Resampling.LANCZOS)
        if picture.width < size - 2 and tile.image.shape[0] == tile.image.shape[1]:
            picture = picture.resize((size - 2, size - 2), Image.Resampling.BICUBIC)
        across, down = left + (size - picture.width) // 2, top + CAPTION
        page.paste(picture.point(lambda grey: grey // GREYS * GREYS), (across, down))
        if tile.box:
            x1, y1, x2, y2 = tile.box
            frame = (
                x1 * picture.width,
                y1 * picture.height,
                x2 * picture.width,
                y2 * picture.height,
            )
            pen.rectangle(
                [a + b for a, b in zip(frame, (across, down) * 2, strict=True)], None, 255
            )
        caption = tile.caption
        while caption and pen.textlength(caption, font=font) > size - 4:
            caption = caption[:-1]
        pen.text((left + 2, top + 1), caption, 230, font=font)
    return page
