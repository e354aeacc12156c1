"""Augmentation of a film: the position, the film and what is on it, as bedside exposures differ.

    moved, scaled, turned -> gamma -> sharper or blurred -> shading, noise -> lines -> equalised

A draw is a value: the same draw changes the pixels and the boxes. Nothing is mirrored, because left
and right are part of the answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from lapse.config.augment import AugmentConfig
from lapse.core.types import Box
from lapse.images.intensity import equalise

BORDERS = (0, 0, 28, 62)  # grey levels outside of the film
RADII = (0.006, 0.03)  # sigma of the detail, as a fraction of the image size
LINE_GREYS = (170, 256)
KNOTS, POINTS = 4, 24  # of a line
MIN_VISIBLE = 0.2  # of the area of a box
MIN_SIDE = 0.012  # of a box, as a fraction of the image

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class FilmDraw:
    """What one film is changed by; lengths as fractions of the image size."""

    degrees: float
    scale: float
    shift: tuple[float, float]  # to the right, down
    sharpness: float
    radius: float
    gamma: float
    shading: tuple[float, float]  # of 255, from left to right and from top to bottom
    noise: float  # grey levels
    border: int  # grey level
    num_lines: int
    seed: int  # of noise and lines


def draw_film(options: AugmentConfig, seed: int, *, has_geometry: bool = True) -> FilmDraw:
    """The draw of a seed; equal seeds give equal draws.

    Args:
        seed: of this film in this epoch, from `lapse.core.seeding.derive_seed`.
        has_geometry: False keeps every structure at its position.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    values = rng.random(12)

    def symmetric(limit: float, index: int) -> float:
        return limit * (2.0 * float(values[index]) - 1.0)

    low, high = np.log(options.scale)
    weak, strong = options.sharpness
    gain = symmetric(1.0, 4)
    draw = FilmDraw(
        degrees=symmetric(options.rotation, 0),
        scale=float(np.exp(low + (high - low) * values[1])),
        shift=(symmetric(options.shift, 2), symmetric(options.shift, 3)),
        sharpness=gain * (strong if gain > 0 else -weak),
        radius=float(RADII[0] + (RADII[1] - RADII[0]) * values[5]),
        gamma=float((1.0 + options.gamma) ** symmetric(1.0, 6)),
        shading=(symmetric(options.shading, 7), symmetric(options.shading, 8)),
        noise=options.noise * float(values[9]),
        border=BORDERS[int(values[10] * len(BORDERS))],
        num_lines=int(rng.poisson(options.lines)),
        seed=seed,
    )
    return draw if has_geometry else replace(draw, degrees=0.0, scale=1.0, shift=(0.0, 0.0))


def augment_film(pixels: Pixels, draw: FilmDraw) -> Pixels:
    """The film as this draw shows it. # [S, S] -> [S, S]"""
    size = pixels.shape[0]
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if (draw.degrees, draw.scale, draw.shift) != (0.0, 1.0, (0.0, 0.0)):
        image = image.transform(
            (size, size),
            Image.Transform.AFFINE,
            _inverse(draw, size),
            Image.Resampling.BILINEAR,
            fillcolor=draw.border,
        )
    grey = 255.0 * (np.asarray(image, np.float32) / 255.0) ** np.float32(draw.gamma)
    smooth = Image.fromarray(np.rint(grey).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(max(0.5, draw.radius * size))
    )
    grey = grey + np.float32(draw.sharpness) * (grey - np.asarray(smooth, np.float32))
    ramp = np.linspace(-127.5, 127.5, size, dtype=np.float32)
    grey += np.float32(draw.shading[0]) * ramp + np.float32(draw.shading[1]) * ramp[:, None]
    rng = np.random.Generator(np.random.PCG64(draw.seed + 1))
    grey += np.float32(draw.noise) * rng.standard_normal(grey.shape, dtype=np.float32)
    low, high = float(grey.min()), float(grey.max())  # nothing is cut off
    levels = np.rint((grey - low) * (255.0 / max(high - low, 1.0)))
    changed = Image.fromarray(levels.astype(np.uint8))
    if draw.num_lines:
        _draw_lines(changed, draw.num_lines, rng)
    return np.asarray(equalise(changed))


def moved_box(box: Box, draw: FilmDraw) -> Box | None:
    """The box of a structure after the geometry of a draw; None if it is mostly outside.

    A turned organ fills the box of the turned inscribed ellipse rather than that of the turned
    corners, which is up to a fifth larger at 12 degrees.
    """
    angle = np.deg2rad(draw.degrees)
    co, si = float(np.cos(angle)), float(np.sin(angle))
    x, y = 0.5 * (box.x_min + box.x_max) - 0.5, 0.5 * (box.y_min + box.y_max) - 0.5
    wide, tall = 0.5 * (box.x_max - box.x_min), 0.5 * (box.y_max - box.y_min)
    middle_x = 0.5 + draw.scale * (co * x - si * y) + draw.shift[0]
    middle_y = 0.5 + draw.scale * (si * x + co * y) + draw.shift[1]
    half_x = draw.scale * float(np.hypot(co * wide, si * tall))
    half_y = draw.scale * float(np.hypot(si * wide, co * tall))
    x_min, x_max = max(0.0, middle_x - half_x), min(1.0, middle_x + half_x)
    y_min, y_max = max(0.0, middle_y - half_y), min(1.0, middle_y + half_y)
    visible = (x_max - x_min) * (y_max - y_min)
    if min(x_max - x_min, y_max - y_min) < MIN_SIDE or visible < MIN_VISIBLE * 4 * half_x * half_y:
        return None
    return Box(x_min, y_min, x_max, y_max)


def _inverse(draw: FilmDraw, size: int) -> tuple[float, float, float, float, float, float]:
    """The affine map from a position in the changed image to that in the film, in pixels."""
    angle = np.deg2rad(draw.degrees)
    co, si = float(np.cos(angle)) / draw.scale, float(np.sin(angle)) / draw.scale
    x, y = (0.5 + draw.shift[0]) * size, (0.5 + draw.shift[1]) * size
    middle = 0.5 * size
    return co, si, middle - co * x - si * y, -si, co, middle + si * x - co * y


def _draw_lines(image: Image.Image, count: int, rng: np.random.Generator) -> None:
    """Bright curves from edge to edge, in place."""
    size = image.width
    pen = ImageDraw.Draw(image)
    steps = np.linspace(0.0, KNOTS - 1.0, POINTS)
    for _ in range(count):
        angle = rng.uniform(0.0, 2.0 * np.pi, 2)
        ends = 0.5 + 0.75 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        fractions = np.linspace(0.0, 1.0, KNOTS)[:, None]
        knots = ends[0] + fractions * (ends[1] - ends[0]) + rng.normal(0.0, 0.14, (KNOTS, 2))
        curve = np.stack([_smooth(knots[:, axis], steps) for axis in (0, 1)], axis=1) * size
        width = 1 if size < 256 else int(rng.integers(1, max(2, size // 128) + 1))
        grey = int(rng.integers(*LINE_GREYS))
        pen.line([(float(x), float(y)) for x, y in curve], fill=grey, width=width)


def _smooth(knots: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """A cubic through four knots at 0, 1, 2, 3."""
    cubic = np.polyfit(np.arange(KNOTS), knots, KNOTS - 1)
    return np.asarray(np.polyval(cubic, steps), dtype=np.float64)
