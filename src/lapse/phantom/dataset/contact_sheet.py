"""Contact sheets: pages of simulated images for visual inspection.

Pages are 8-bit grey PNG files with rows of tiles and a caption above each tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lapse.core.progress import Progress, no_progress
from lapse.phantom.patients.acquisition import Acquisition, draw_acquisition
from lapse.phantom.patients.anatomy_locations import regions_of
from lapse.phantom.patients.catalogue import DEVICES, FINDING_SPECS
from lapse.phantom.patients.patient import DETAILS, Patient, draw_patient
from lapse.phantom.patients.portable import make_portable
from lapse.phantom.patients.state import Device, Finding, Mimic, Visit
from lapse.phantom.rendering.fine_findings import CUES, MIMICKED
from lapse.phantom.rendering.render import Rendered, render

Grey = NDArray[np.uint8]
Example = tuple[str, ...]  # name, side, zone, type
CAPTION = 13  # px above each tile
SIZE, FINE_SIZE = 448, 1024  # px rendered
GREY_STEP = 4  # quantisation of a page: smaller PNG files without a visible difference
SEVERITIES = (0.15, 0.5, 0.9)
_DAY = datetime(2150, 1, 1)


def _examples() -> tuple[Example, ...]:
    """Every type and zone of every finding of the catalogue, and an effusion in supine position."""
    examples = [
        (spec.name, *(words[row % len(words)][0] for words in (spec.sides, spec.zones, spec.types)))
        for spec in FINDING_SPECS
        for row in range(max(len(spec.zones), len(spec.types)))
        if spec.name != "heart failure"  # a syndrome of others
    ]
    return (("pleural effusion", "left", "basilar", "supine"), *examples)


EXAMPLES = _examples()


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


def normal_tiles(seed: int) -> Iterator[Tile]:
    """Patients without findings, one acquisition each."""
    for index in range(24):
        acquisition = draw_acquisition(seed, index, 0, 0)
        person = draw_patient(seed, index)
        image = _render(person, acquisition).image
        view = "supine" if acquisition.is_supine else acquisition.view
        yield Tile(image, f"{person.sex}{person.age} BMI {person.bmi:.0f} {view}")


def finding_tiles(seed: int, examples: tuple[Example, ...]) -> Iterator[Tile]:
    """Each finding at three severities, for one patient and acquisition per row."""
    for row, (name, side, zone, kind) in enumerate(examples):
        is_supine = kind == "supine"
        patient = 100 + (row * 7 + len(name)) % 40
        acquisition = near_ideal_acquisition(seed, patient, is_supine=is_supine)
        kind = "" if is_supine else kind
        for severity in SEVERITIES:
            finding = Finding(name, side, zone, severity, kind, 1000 + row)
            rendered = _render(draw_patient(seed, patient), acquisition, finding)
            regions = (*regions_of(finding), f"{side} lung")
            box = next((rendered.boxes[name] for name in regions if name in rendered.boxes), None)
            words = " ".join(word for word in (kind, name, side, zone) if word)
            caption = f"{words}{' supine' if is_supine else ''} {severity:.2f}"
            yield Tile(rendered.image, caption, box)


def pair_tiles(seed: int) -> Iterator[Tile]:
    """Prior and current image of patients with unchanged findings, in two acquisitions."""
    examples = [example for example in EXAMPLES if example[3] != "supine"]
    for index in range(9):
        findings = tuple(
            Finding(name, side, zone, 0.3 + 0.13 * ((index + step) % 4), kind, 50 + index)
            for step in (0, 1)
            for name, side, zone, kind in (examples[(index * 4 + step * 9) % len(examples)],)
        )
        patient = 200 + index
        for visit, word in ((0, "prior"), (1, "current")):
            acquisition = draw_acquisition(seed, patient, visit, 0)
            image = _render(draw_patient(seed, patient), acquisition, *findings).image
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
        acquisition = near_ideal_acquisition(seed, 300 + index, view="AP")
        image = _render(draw_patient(seed, 300 + index), acquisition, devices=devices).image
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
            image = _render(person, acquisition, *group).image
            yield Tile(image, f"{kind}: {group[0].name if group else 'no finding'}")


def tier_tiles(seed: int) -> Iterator[Tile]:
    """Without, coarse, fine and mimic, each followed by the detail that contains the cue."""
    zones = {"pneumothorax": "apical", "granuloma": "mid", "fracture": "mid"}
    types = {"granuloma": "calcified", "atelectasis": "linear"}
    for index, name in enumerate(CUES):
        mimic_name = next(mimic for mimic, names in MIMICKED.items() if name in names)
        patient, zone = 400 + index, zones.get(name, "lower")
        acquisition = near_ideal_acquisition(seed, patient)
        fine = Finding(name, "left", zone, 0.5, types.get(name, ""), 5 + index, is_fine=True)
        coarse = replace(fine, is_fine=False)
        mimic = Mimic(mimic_name, name, "left", zone, fine.seed)
        draw = partial(_render, draw_patient(seed, patient), acquisition, size=FINE_SIZE)
        rendered = {
            "without": draw(),
            f"coarse {name}": draw(coarse),
            f"fine {name}": draw(fine),
            f"mimic: {mimic_name}": draw(mimics=(mimic,)),
        }
        images = [item.image for item in rendered.values()]
        top, left = _largest_difference(images[2], images[0])
        side = FINE_SIZE // 5
        for caption, image in zip(rendered, images, strict=True):
            height, width = image.shape
            box = (left / width, top / height, (left + side) / width, (top + side) / height)
            yield Tile(image, caption, box)
            yield Tile(image[top : top + side, left : left + side], "")


def near_ideal_acquisition(
    seed: int, patient: int, *, view: str = "PA", is_supine: bool = False
) -> Acquisition:
    """The first acquisition of this view and posture with a low nuisance, without a label."""
    view = "AP" if is_supine else view
    drawn = (draw_acquisition(seed, patient, visit, 0, nuisance=0.5) for visit in count())
    first = next(item for item in drawn if (item.view, item.is_supine) == (view, is_supine))
    return replace(first, label="")


def _render(
    person: Patient,
    acquisition: Acquisition,
    *findings: Finding,
    devices: tuple[Device, ...] = (),
    mimics: tuple[Mimic, ...] = (),
    size: int = 0,
) -> Rendered:
    """Render at `size` pixels, 0 for SIZE."""
    return render(person, Visit(0, 0, _DAY, findings, devices, mimics), acquisition, size or SIZE)


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
