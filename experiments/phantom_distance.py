"""How far real films are from simulated ones, one change of the simulation at a time.

    python experiments/phantom_distance.py --real FOLDER [--films 900] [--size 256] [--only NAME]

For each variant, FILMS simulated films are read as the packaged model reads any image. Two thirds
of them give the mean and the directions of largest variance of the pooled encoder tokens; the
distance is the Mahalanobis distance in these directions. Printed is the median distance of the real
films divided by the median distance of the remaining third: 1 means that the model cannot
distinguish them by this measure. "alone" adds one change to plain films, "left out" removes it from
films with all changes; "augmented" are films after `data.augment`.

FOLDER contains png/ with real films, which are read and not copied. Encoder and packaged model are
those of this version.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import lapse
from lapse.config import AugmentConfig
from lapse.images.film_augmentation import augment_film, draw_film
from lapse.inference.checks.pixel_check import pooled_tokens
from lapse.inference.pretrained import Lapse
from lapse.phantom.patients.acquisition import Acquisition, Portable, draw_acquisition
from lapse.phantom.patients.findings import DiseaseCourse, draw_visits
from lapse.phantom.patients.patient import DETAILS, draw_patient
from lapse.phantom.patients.portable import make_portable
from lapse.phantom.rendering.detector import LATITUDE, LATITUDE_MM, MIDDLE, STEEP
from lapse.phantom.rendering.render import render

SEED = 9
DIRECTIONS = 96
Floats = NDArray[np.float64]
Change = Callable[[Acquisition, Acquisition], Acquisition]

# a portable film without any of its changes
NEUTRAL = Portable(
    latitude=LATITUDE,
    latitude_mm=LATITUDE_MM,
    sharpness=0.0,
    sharpness_mm=2.0,
    curve=(STEEP, MIDDLE),
    shading=(0.0, 0.0),
    field_tilt=0.0,
    border=2.0,
    border_contrast=0.0,
    is_boxed=False,
    scapulae=0.0,
    arms=0.0,
    num_cables=0,
    num_tubings=0,
    num_electrodes=0,
    seed=0,
)
GEOMETRY = ("rotation", "tilt", "roll", "shift", "field", "aspect", "source_distance")
GROUPS: dict[str, tuple[str, ...]] = {
    "geometry (shift, scale, rotation)": GEOMETRY,
    "shallow breath, supine": ("inspiration", "is_supine"),
    "grid and scatter": ("scatter", "kilovolts", "dose"),
    "contrast (film curve, latitude)": ("curve", "latitude", "latitude_mm", "gamma", "contrast"),
    "sharpness both ways": ("sharpness", "sharpness_mm", "blur"),
    "shading": ("shading",),
    "tilted grey collimation": ("collimation", "field_tilt", "border", "border_contrast"),
    "markers and labels": ("marker", "marker_at", "label", "is_boxed"),
    "scapulae and arms": ("scapulae", "arms"),
    "cables, tubings, electrodes": ("num_cables", "num_tubings", "num_electrodes", "seed"),
}


@dataclass(frozen=True, slots=True)
class Variant:
    """A name and the groups of parameters that portable films change."""

    name: str
    groups: tuple[str, ...] = ()
    details: frozenset[str] = frozenset()
    is_augmented: bool = False

    def exposure(self, plain: Acquisition, portable: Acquisition) -> Acquisition:
        """The plain exposure with the parameters of these groups from the portable one."""
        if not self.groups:
            return plain
        assert portable.portable is not None
        names = {name for group in self.groups for name in GROUPS[group]}
        parts = {name: getattr(portable.portable, name) for name in names if name in _PORTABLE}
        changes = {name: getattr(portable, name) for name in names if name in _EXPOSURE}
        if "source_distance" in names:
            changes["view"] = "AP"
        return replace(plain, portable=replace(NEUTRAL, **parts), **changes)


_PORTABLE = set(Portable.__slots__)
_EXPOSURE = set(Acquisition.__slots__) - {"seed", "portable"}


def variants() -> list[Variant]:
    """Plain films, each change alone, all changes, and all but each."""
    every = tuple(GROUPS)
    alone = [Variant(f"{name} alone", (name,)) for name in every]
    rest = [
        Variant(f"{name} left out", tuple(other for other in every if other != name))
        for name in every
    ]
    details = [Variant(f"{name} (detail) alone", (), frozenset([name])) for name in sorted(DETAILS)]
    return [
        Variant("plain"),
        *alone,
        Variant("portable", every),
        *rest,
        *details,
        Variant("detailed", (), DETAILS),
        Variant("portable and detailed", every, DETAILS),
        Variant("plain, augmented", is_augmented=True),
        Variant("portable and detailed, augmented", every, DETAILS, is_augmented=True),
    ]


def simulated(model: Lapse, variant: Variant, count: int, size: int) -> NDArray[np.uint8]:
    """Simulated films as the model reads them. # [count, S, S]"""
    films = []
    for index in range(count):
        person = replace(draw_patient(SEED, index), details=variant.details)
        (visit,) = draw_visits(SEED, index, 1, age=person.age, course=DiseaseCourse())
        plain = draw_acquisition(SEED, index, 0, 0)
        portable = make_portable(plain, 1.0, (SEED, index, 0))
        image = render(person, visit, variant.exposure(plain, portable), size).image
        film = model.open(image).pixels
        if variant.is_augmented:
            film = augment_film(film, draw_film(AugmentConfig(), index))
        films.append(film)
    return np.stack(films)


def distance_ratio(tokens: Floats, real: Floats) -> float:
    """Median distance of real films over that of simulated films. # [n, D], [m, D]"""
    fitted, held_out = np.split(tokens, [len(tokens) * 2 // 3])
    mean = fitted.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(fitted.T))
    whitening = directions[:, -DIRECTIONS:] / np.sqrt(variances[-DIRECTIONS:])
    distances = [np.linalg.norm((part - mean) @ whitening, axis=1) for part in (real, held_out)]
    return float(np.median(distances[0]) / np.median(distances[1]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--films", type=int, default=900)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--out", type=Path, help="JSON file; variants in it are not computed again")
    parser.add_argument("--only", default="", help="variants whose name contains this")
    parser.add_argument("--skip", action="append", default=[], help="not those with this in it")
    options = parser.parse_args()
    paths = sorted((options.real / "png").glob("*.png"))
    if not paths:
        parser.error(f"{options.real}/png contains no PNG file")
    model = lapse.load(device="cpu")
    encode = model.parts.encode
    assert encode is not None
    real = pooled_tokens(encode, np.stack([model.open(path).pixels for path in paths]))
    print(f"{len(real)} real films, {options.films} simulated films of {options.size} px\n")
    print("| simulated films | distance ratio |\n|---|---|", flush=True)
    ratios: dict[str, float] = {}
    if options.out is not None and options.out.is_file():
        ratios = json.loads(options.out.read_text(encoding="utf-8"))
    for variant in variants():
        if options.only not in variant.name or any(part in variant.name for part in options.skip):
            continue
        if variant.name not in ratios:
            films = simulated(model, variant, options.films, options.size)
            ratios[variant.name] = distance_ratio(pooled_tokens(encode, films), real)
            if options.out is not None:
                options.out.write_text(json.dumps(ratios, indent=1) + "\n", encoding="utf-8")
        print(f"| {variant.name} | {ratios[variant.name]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
