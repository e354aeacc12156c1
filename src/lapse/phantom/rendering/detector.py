"""From line integrals L to a grey image: beam, scatter, blur, noise, film curve, equalisation.

I = exp(-L); scatter is a wide blur (38 mm) of I, of which .22 (PA) or .42 (AP) is added on average;
noise ~ sqrt(photons). Processing: logarithm, a window set by percentiles, partial histogram
equalisation (the images of MIMIC-CXR-JPG are equalised); bones are white.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapse.phantom.patients.acquisition import Acquisition, Portable
from lapse.phantom.rendering.kernels import Floats, Singles, compiled

SCATTER_MM = 38.0
LATITUDE, LATITUDE_MM = 0.24, 40.0
SCATTER_GAIN = 1.35  # net effect of the anti-scatter grid and of body thickness
PHOTONS = 1.1e6  # per mm2, without a patient
STEEP, MIDDLE = 3.7, 0.36  # film curve: its toe is in the lung, its shoulder in the abdomen
IMAGE_WEIGHT = 0.25  # of the window of the image itself; the rest is the expected window
SHUTTER = 2  # grey level outside the collimated field
DEEP_WHITE = 4095  # of an image with 12 bits
_BINS = 1024


@compiled
def _smooth_rows(image: Singles, taps: Floats) -> Singles:
    """Filter the rows with symmetric taps (centre first) and repeated edges; transposed result."""
    height, width = image.shape
    out = np.empty((width, height), dtype=np.float32)
    reach = taps.shape[0] - 1
    row = np.empty(width + 2 * reach, dtype=np.float32)
    for r in range(height):
        for c in range(width + 2 * reach):
            row[c] = image[r, min(max(c - reach, 0), width - 1)]
        for c in range(width):
            total = taps[0] * row[c + reach]
            for k in range(1, reach + 1):
                total += taps[k] * (row[c + reach - k] + row[c + reach + k])
            out[c, r] = total
    return out


def gaussian(image: Singles, sigma: float) -> Singles:
    """Gaussian blur with a standard deviation of `sigma` pixels. # [H, W]"""
    reach = max(1, int(np.ceil(2.6 * sigma)))
    taps = np.exp(-0.5 * (np.arange(reach + 1) / max(sigma, 1e-3)) ** 2)
    taps /= taps[0] + 2 * taps[1:].sum()
    return _smooth_rows(_smooth_rows(image, taps), taps)


def wide_blur(image: Singles, sigma: float) -> Singles:
    """Gaussian blur for a large sigma, computed on a coarse grid. # [H, W]"""
    step = max(1, int(sigma / 3.0))
    if step == 1:
        return gaussian(image, sigma)
    height, width = image.shape
    high, wide = -(-height // step), -(-width // step)
    padded = np.pad(image, ((0, high * step - height), (0, wide * step - width)), mode="edge")
    small = padded.reshape(high, step, wide, step).mean(axis=(1, 3), dtype=np.float32)
    small = gaussian(small, sigma / step)
    return _enlarge(small, height, width, step)


@compiled
def _enlarge(small: Singles, height: int, width: int, step: int) -> Singles:
    out = np.empty((height, width), dtype=np.float32)
    high, wide = small.shape
    for r in range(height):
        y = min(max((r + 0.5) / step - 0.5, 0.0), high - 1.0)
        r0 = min(int(y), max(high - 2, 0))
        r1 = min(r0 + 1, high - 1)
        fy = y - r0
        for c in range(width):
            x = min(max((c + 0.5) / step - 0.5, 0.0), wide - 1.0)
            c0 = min(int(x), max(wide - 2, 0))
            c1 = min(c0 + 1, wide - 1)
            fx = x - c0
            top = small[r0, c0] * (1 - fx) + small[r0, c1] * fx
            low = small[r1, c0] * (1 - fx) + small[r1, c1] * fx
            out[r, c] = top * (1 - fy) + low * fy
    return out


def film_tone(
    integrals: Singles, acquisition: Acquisition, pixel: float, expected: tuple[float, float]
) -> Singles:
    """The film of line integrals, before equalisation. # [H, W] -> [H, W] in [0, 1]

    `pixel` is the size of a pixel in mm, `expected` the window for the patient without findings, so
    findings change the window by a quarter of the change that they would cause alone.
    """
    rng = np.random.Generator(np.random.PCG64(acquisition.seed))
    noise = rng.standard_normal(integrals.shape, dtype=np.float32)
    film = _film(integrals, acquisition, pixel, noise)
    window = _window(film, acquisition)
    low, high = (
        IMAGE_WEIGHT * value + (1.0 - IMAGE_WEIGHT) * expected_value
        for value, expected_value in zip(window, expected, strict=True)
    )
    return _curve(film, acquisition, low, high)


def expected_window(
    integrals: Singles, acquisition: Acquisition, pixel: float
) -> tuple[float, float]:
    """The window for a patient without findings, from a small noise-free image. # [H, W]"""
    film = _film(integrals, acquisition, pixel, np.zeros_like(integrals))
    return _window(film, acquisition)


def _film(integrals: Singles, acquisition: Acquisition, pixel: float, noise: Singles) -> Singles:
    """Optical density: beam, blur, scatter, quantum noise, latitude. # [H, W]"""
    beam = np.exp(-integrals * (1.0 + 0.004 * (100.0 - acquisition.kilovolts)))
    beam = gaussian(beam, max(acquisition.blur / pixel, 0.3))
    scattering = beam * (1.0 - beam)  # air does not scatter
    beam += SCATTER_GAIN * acquisition.scatter * wide_blur(scattering, SCATTER_MM / pixel)
    photons = PHOTONS * acquisition.dose * min(pixel, 1.0) ** 2 * 0.08
    beam += noise * np.sqrt(beam / np.float32(photons))
    film = -np.log(np.maximum(beam, 1e-4))
    # latitude: attenuate low spatial frequencies
    if acquisition.portable is not None:
        return _processed(film, acquisition.portable, pixel)
    film -= np.float32(LATITUDE) * wide_blur(film, LATITUDE_MM / pixel)
    return film


def _processed(film: Singles, portable: Portable, pixel: float) -> Singles:
    """Latitude, sharpness and shading of a portable film. # [H, W]"""
    height, width = film.shape
    detail = film - wide_blur(film, portable.sharpness_mm / pixel)
    film = film - np.float32(portable.latitude) * wide_blur(film, portable.latitude_mm / pixel)
    film += np.float32(portable.sharpness) * detail
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.float32(portable.shading[0])
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32) * np.float32(portable.shading[1])
    return np.asarray(film + across + down[:, None], dtype=np.float32)


def develop(tone: Singles, acquisition: Acquisition) -> NDArray[np.uint8]:
    """The image with a partially equalised histogram. # [H, W] uint8"""
    image = _equalised(tone, acquisition)
    close_shutter(image, acquisition, SHUTTER)
    return image


def close_shutter(image: NDArray[Any], acquisition: Acquisition, value: float) -> None:
    """Fill the area outside the collimated field, in place. # [H, W]

    The border of a portable film is tilted and has its grey level (`Portable.border` of 255)
    instead of `value`.
    """
    if acquisition.portable is not None:
        _tilted_border(image, acquisition, acquisition.portable)
        return
    height, width = image.shape
    left, top, right, bottom = acquisition.collimation
    image[: round(top * height)] = value
    image[height - round(bottom * height) :] = value
    image[:, : round(left * width)] = value
    image[:, width - round(right * width) :] = value


def _tilted_border(image: NDArray[Any], acquisition: Acquisition, portable: Portable) -> None:
    height, width = image.shape
    white = 255.0 if image.dtype == np.uint8 else float(DEEP_WHITE)
    left, top, right, bottom = acquisition.collimation
    x = (np.arange(width, dtype=np.float32) + 0.5) / width - 0.5
    y = (np.arange(height, dtype=np.float32) + 0.5) / height - 0.5
    angle = np.deg2rad(portable.field_tilt)
    ratio = height / width
    across = np.cos(angle) * x + np.sin(angle) * ratio * y[:, None]
    down = np.cos(angle) * y[:, None] - np.sin(angle) / ratio * x
    inside = np.ones((height, width), dtype=bool)
    for cut, distance in ((left, across), (top, down), (right, -across), (bottom, -down)):
        if cut:
            inside &= distance > cut - 0.5
    outside = ~inside
    if not outside.any():
        return
    values = image[outside].astype(np.float32)
    level = portable.border / 255.0 * white
    values = level + portable.border_contrast * (values - values.mean())
    image[outside] = np.clip(np.rint(values), 0, white)


def _window(film: Singles, acquisition: Acquisition) -> tuple[float, float]:
    """Densities of the darkest lung and of the abdomen."""
    limits = (4.0, 92.0)
    if acquisition.portable is None:
        inside = film[film > 0.45 * float(film.mean())]
    else:  # strong latitude compression makes lungs as dark as air
        height, width = film.shape
        inside = film[height // 10 : -height // 10, width // 8 : -width // 8].ravel()
        limits = (3.0, 97.0)
    low, high = np.percentile(inside[:: max(1, inside.size // 20_000)], limits)
    return float(low), float(high)


def _curve(film: Singles, acquisition: Acquisition, low: float, high: float) -> Singles:
    """The film curve: a sigmoid between the limits of the window, then a power."""
    curve = (STEEP, MIDDLE) if acquisition.portable is None else acquisition.portable.curve
    steep = curve[0] / (high - low)
    tone = 1.0 / (1.0 + np.exp((low + curve[1] * (high - low) - film) * np.float32(steep)))
    return np.asarray(tone ** np.float32(acquisition.gamma), dtype=np.float32)


def _equalised(tone: Singles, acquisition: Acquisition) -> NDArray[np.uint8]:
    counts, _ = np.histogram(tone, bins=_BINS, range=(0.0, 1.0))
    counts = np.minimum(counts, 0.004 * tone.size)  # limits the contrast gain of a grey level
    cumulative = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    fraction = acquisition.equalisation
    grid = np.linspace(0.0, 1.0, _BINS + 1)
    curve = (1 - fraction) * grid + fraction * cumulative
    curve = 0.5 + (curve - 0.5) * acquisition.contrast
    levels = np.clip(np.rint(255.0 * np.clip(curve, 0.0, 1.0)), 0, 255).astype(np.uint8)
    return np.asarray(levels[np.rint(tone * _BINS).astype(np.int32)], dtype=np.uint8)
