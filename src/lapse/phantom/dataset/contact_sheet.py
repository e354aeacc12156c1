"""Contact sheets: pages of simulated images for visual inspection.

    normals    healthy patients, one acquisition each
    findings   every finding at three severities, with the box of its region
    pairs      prior | current, the same findings in another acquisition
    devices    every tube, line and implant
    tiers      without | coarse | fine | mimic, each with a magnified detail
    kinds      the same findings with a plain and a detailed anatomy, and on portable films

Pages are 8-bit grey PNG files with rows of tiles and a caption above each tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lapse.core.progress import Progress, no_progress
from lapse.phantom.patients.acquisition import Acquisition, draw_acquisition
from lapse.phantom.patients.anatomy_locations import regions_of
from lapse.phantom.patients.catalogue import DEVICES
from lapse.phantom.patients.patient import DETAILS, draw_patient
from lapse.phantom.patients.portable import make_portable
from lapse.phantom.patients.state import Device, Finding, Mimic, Visit
from lapse.phantom.rendering.fine_findings import CUES, WIDENING
from lapse.phantom.rendering.render import Rendered, render

Grey = NDArray[np.uint8]
Example = tuple[str, str, str, str, str]
CAPTION = 13  # px above each tile
SIZE, FINE_SIZE = 448, 1024  # px rendered
GREY_STEP = 4  # quantisation of a page: smaller PNG files without a visible difference
SEVERITIES = (0.15, 0.5, 0.9)
_DAY = datetime(2150, 1, 1)

# (name, side, zone, type, region to mark); "" marks the first region of anatomy_locations.py
EXAMPLES: tuple[Example, ...] = (
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
    """One image of a page with its caption and a box in fractions."""

    image: Grey
    caption: str
    box: tuple[float, float, float, float] | None = None


def draw_contact_sheets(
    out: Path, *, seed: int = 0, tile: int = 240, progress: Progress = no_progress
) -> tuple[Path, ...]:
    """Draw all contact sheets into a folder and return their files.

    Args:
        out: the folder; it is created if necessary.
        tile: side of a tile in pixels.
        progress: called with (pages done, total pages).
    """
    if tile < 64:
        raise ValueError(f"tiles of {tile} pixels are too small: use at least 64")
    out.mkdir(parents=True, exist_ok=True)
    half = -(-len(EXAMPLES) // 2)
    pages: tuple[tuple[str, Iterator[Tile], int], ...] = (
        ("normals", normal_tiles(seed), 6),
        ("findings-1", finding_tiles(seed, EXAMPLES[:half]), 6),
        ("findings-2", finding_tiles(seed, EXAMPLES[half:]), 6),
        ("pairs", pair_tiles(seed), 6),
        ("devices", device_tiles(seed), 5),
        ("tiers", tier_tiles(seed), 8),
        ("kinds", kind_tiles(seed), 6),
    )
    files = []
    for index, (name, tiles, columns) in enumerate(pages):
        progress(index, len(pages))
        path = out / f"{name}.png"
        _page(list(tiles), columns, tile).save(path, optimize=True)
        files.append(path)
    progress(len(pages), len(pages))
    return tuple(files)


def normal_tiles(seed: int, count: int = 24) -> Iterator[Tile]:
    """Patients without findings."""
    for index in range(count):
        acquisition = draw_acquisition(seed, index, 0, 0)
        person = draw_patient(seed, index)
        image = _render(seed, index, acquisition).image
        view = "supine" if acquisition.is_supine else acquisition.view
        yield Tile(image, f"{person.sex}{person.age} BMI {person.bmi:.0f} {view}")


def finding_tiles(seed: int, examples: tuple[Example, ...]) -> Iterator[Tile]:
    """Each finding at three severities, for one patient and acquisition per row."""
    for row, (name, side, zone, kind, region) in enumerate(examples):
        is_supine = kind == "supine"
        patient = 100 + (row * 7 + len(name)) % 40
        acquisition = near_ideal_acquisition(seed, patient, is_supine=is_supine)
        kind = "" if is_supine else kind
        for severity in SEVERITIES:
            finding = Finding(name, side, zone, severity, kind, 1000 + row)
            rendered = _render(seed, patient, acquisition, finding)
            marked = region or next(iter(regions_of(finding)), "")
            words = " ".join(word for word in (kind, name, side) if word)
            caption = f"{words}{' supine' if is_supine else ''} {severity:.2f}"
            yield Tile(rendered.image, caption, rendered.boxes.get(marked))


def pair_tiles(seed: int, count: int = 9) -> Iterator[Tile]:
    """Prior and current image of patients with unchanged findings."""
    examples = [example for example in EXAMPLES if example[3] != "supine"]
    for index in range(count):
        findings = tuple(
            Finding(name, side, zone, 0.3 + 0.13 * ((index + step) % 4), kind, 50 + index)
            for step in (0, 1)
            for name, side, zone, kind, _ in (examples[(index * 4 + step * 9) % len(examples)],)
        )
        patient = 200 + index
        for visit, word in ((0, "prior"), (1, "current")):
            acquisition = draw_acquisition(seed, patient, visit, 0)
            image = _render(seed, patient, acquisition, *findings).image
            names = " + ".join(finding.name for finding in findings)
            yield Tile(image, f"{word} {acquisition.view}: {names}")


def device_tiles(seed: int) -> Iterator[Tile]:
    """Every tube, line and implant, and two combinations."""
    groups: list[tuple[str, ...]] = [(spec.name,) for spec in DEVICES]
    groups += [("endotracheal tube", "nasogastric tube", "central line", "ecg leads")]
    groups += [("pacemaker", "sternal wires")]
    for index, names in enumerate(groups):
        side = "left" if "pacemaker" in names else "right"
        devices = tuple(Device(name, side, 9 + index) for name in names)
        visit = Visit(0, 0, _DAY, (), devices)
        acquisition = near_ideal_acquisition(seed, 300 + index, view="AP")
        image = render(draw_patient(seed, 300 + index), visit, acquisition, SIZE).image
        yield Tile(image, " + ".join(names))


def kind_tiles(seed: int) -> Iterator[Tile]:
    """One row of findings for each kind of film; two portable exposures."""
    findings = (
        (),
        (Finding("pleural effusion", "right", "basilar", 0.4, "", 3),),
        (Finding("pleural effusion", "right", "basilar", 0.93, "", 4),),
        (Finding("consolidation", "left", "lower", 0.7, "", 6),),
        (Finding("atelectasis", "left", "basilar", 0.85, "compressive", 7),),
        (Finding("pneumothorax", "left", "apical", 0.9, "", 8),),
    )
    kinds = ("plain", "detailed", "portable, detailed", "portable, detailed")
    for row, kind in enumerate(kinds):
        details: frozenset[str] = frozenset() if kind == "plain" else DETAILS
        for index, group in enumerate(findings):
            patient = 500 + index
            acquisition = near_ideal_acquisition(seed, patient, view="AP")
            if kind.startswith("portable"):
                acquisition = make_portable(acquisition, 1.0, (seed, patient, row))
                acquisition = replace(acquisition, is_supine=False, label="PORTABLE")
            person = replace(draw_patient(seed, patient), details=details)
            image = render(person, Visit(0, 0, _DAY, group, ()), acquisition, SIZE).image
            yield Tile(image, f"{kind}: {group[0].name if group else 'no finding'}")


def tier_tiles(seed: int) -> Iterator[Tile]:
    """Without, coarse, fine and mimic, each followed by the detail that contains the cue."""
    mimic_of = {
        "pneumothorax": "skin fold",
        "edema": "under-exposure haze",
        "granuloma": "end-on vessel",
        "fracture": "nutrient canal",
        "atelectasis": "expiration crowding",
        "pleural effusion": "breast shadow",
        "lung opacity": "breast shadow",
    }
    assert set(mimic_of) == set(CUES)
    assert set(mimic_of.values()) == set(WIDENING)
    zones = {"pneumothorax": "apical", "granuloma": "mid", "fracture": "mid"}
    types = {"granuloma": "calcified", "atelectasis": "linear"}
    for index, (name, mimic_name) in enumerate(mimic_of.items()):
        patient, zone = 400 + index, zones.get(name, "lower")
        acquisition = near_ideal_acquisition(seed, patient)
        fine = Finding(name, "left", zone, 0.5, types.get(name, ""), 5 + index, is_fine=True)
        coarse = replace(fine, is_fine=False)
        mimic = Mimic(mimic_name, name, "left", zone, fine.seed)
        visits = (
            ("without", Visit(0, 0, _DAY, (), ())),
            (f"coarse {name}", Visit(0, 0, _DAY, (coarse,), ())),
            (f"fine {name}", Visit(0, 0, _DAY, (fine,), ())),
            (f"mimic: {mimic_name}", Visit(0, 0, _DAY, (), (), (mimic,))),
        )
        person = draw_patient(seed, patient)
        images = [render(person, visit, acquisition, FINE_SIZE).image for _, visit in visits]
        top, left = _largest_difference(images[2], images[0])
        side = FINE_SIZE // 5
        for (caption, _), image in zip(visits, images, strict=True):
            height, width = image.shape
            box = (left / width, top / height, (left + side) / width, (top + side) / height)
            yield Tile(image, caption, box)
            yield Tile(image[top : top + side, left : left + side], "")


def near_ideal_acquisition(
    seed: int, patient: int, *, view: str = "PA", is_supine: bool = False
) -> Acquisition:
    """The first acquisition of this view and posture with a low nuisance, without a label."""
    view = "AP" if is_supine else view
    for visit in range(1000):
        acquisition = draw_acquisition(seed, patient, visit, 0, nuisance=0.5)
        if (acquisition.view, acquisition.is_supine) == (view, is_supine):
            return replace(acquisition, label="")
    raise AssertionError("1,000 acquisitions without one of this view and posture")


def _render(seed: int, patient: int, acquisition: Acquisition, *findings: Finding) -> Rendered:
    visit = Visit(patient, 0, _DAY, findings, ())
    return render(draw_patient(seed, patient), visit, acquisition, SIZE)


def _largest_difference(image: Grey, without: Grey) -> tuple[int, int]:
    """Top and left of the square of a fifth of the image in which two images differ most."""
    difference = np.abs(image.astype(np.float64) - without)
    side, step = FINE_SIZE // 5, 8
    sums = np.pad(difference.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    total = total[::step, ::step]
    index = int(np.argmax(total))
    return index // total.shape[1] * step, index % total.shape[1] * step


def _page(tiles: list[Tile], columns: int, size: int) -> Image.Image:
    rows = -(-len(tiles) // columns)
    page = Image.new("L", (columns * size, rows * (size + CAPTION)), 0)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=9.5)
    for index, tile in enumerate(tiles):
        left, top = index % columns * size, index // columns * (size + CAPTION)
        picture = Image.fromarray(tile.image)
        picture.thumbnail((size - 2, size - 2), Image.Resampling.LANCZOS)
        if picture.width < size - 2 and tile.image.shape[0] == tile.image.shape[1]:
            picture = picture.resize((size - 2, size - 2), Image.Resampling.BICUBIC)
        x, y = left + (size - picture.width) // 2, top + CAPTION
        page.paste(picture.point(lambda grey: grey // GREY_STEP * GREY_STEP), (x, y))
        if tile.box:
            scale = (picture.width, picture.height) * 2
            frame = [a * b + c for a, b, c in zip(tile.box, scale, (x, y) * 2, strict=True)]
            draw.rectangle(frame, None, 255)
        caption = tile.caption
        while caption and draw.textlength(caption, font=font) > size - 4:
            caption = caption[:-1]
        draw.text((left + 2, top + 1), caption, 230, font=font)
    return page
