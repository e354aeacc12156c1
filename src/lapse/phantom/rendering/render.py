"""Rendering of one simulated radiograph, with the boxes of its regions.

    patient, findings, inspiration -> anatomy -> soft tissue (volumes) + bones, vessels, lesions,
    devices (splat) -> line integrals -> detector -> grey image;  anatomy -> boxes

Equal arguments give equal bytes on one machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lapse.phantom.patients.acquisition import Acquisition
from lapse.phantom.patients.patient import Patient
from lapse.phantom.patients.state import Visit
from lapse.phantom.rendering.anatomy import Anatomy, build_anatomy
from lapse.phantom.rendering.boxes import FractionBox, region_boxes
from lapse.phantom.rendering.camera import make_camera, pixel_size, rays
from lapse.phantom.rendering.clutter import clutter_parts
from lapse.phantom.rendering.detector import develop, expected_window, film_tone
from lapse.phantom.rendering.devices import device_parts
from lapse.phantom.rendering.effects import collect_effects
from lapse.phantom.rendering.kernels import Floats, Singles
from lapse.phantom.rendering.lesion_shapes import Lesions
from lapse.phantom.rendering.lesions import collect_lesions
from lapse.phantom.rendering.markers import overlay
from lapse.phantom.rendering.skeleton import (
    bone_tubes,
    clavicle_line,
    rib_line,
    rib_tubes,
    spine_bones,
)
from lapse.phantom.rendering.splat import paint_blocks, paint_tubes, saturated
from lapse.phantom.rendering.textures import texture_tile
from lapse.phantom.rendering.vessels import (
    airway_tubes,
    bronchogram_tubes,
    hilar_tubes,
    vessel_tubes,
)
from lapse.phantom.rendering.volumes import soft_tissue

MIN_SIZE, MAX_SIZE = 32, 3072
WINDOW_SIZE = 72  # px of the image that determines the expected window


@dataclass(frozen=True, slots=True)
class Rendered:
    """A radiograph, its film before processing, and the boxes of its regions."""

    image: NDArray[np.uint8]  # [H, W], bones white
    tone: Singles  # [H, W] in [0, 1], before equalisation, markers and shutter
    boxes: dict[str, FractionBox]  # name -> fractions of width and height


def render(patient: Patient, visit: Visit, acquisition: Acquisition, size: int) -> Rendered:
    """Render a patient at a visit; the longest side is `size` pixels.

    Raises:
        ValueError: the size is outside 32 .. 3072.
    """
    anatomy, camera = expose(patient, visit, acquisition, size)
    integrals = line_integrals(anatomy, visit, acquisition, camera)
    window = _expected_window(patient, visit, acquisition)
    tone = film_tone(integrals, acquisition, pixel_size(camera), window)
    image = overlay(develop(tone, acquisition), acquisition)
    clavicles = (clavicle_line(anatomy, 0, acquisition), clavicle_line(anatomy, 1, acquisition))
    return Rendered(image, tone, region_boxes(anatomy, camera, clavicles))


def expose(
    patient: Patient, visit: Visit, acquisition: Acquisition, size: int
) -> tuple[Anatomy, Floats]:
    """The anatomy of a patient at a visit, and the camera.

    Raises:
        ValueError: the size is outside 32 .. 3072.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"image size {size} is outside {MIN_SIZE} .. {MAX_SIZE} pixels")
    anatomy = build_anatomy(patient, collect_effects(visit, patient.details), acquisition)
    # The field of view does not depend on the findings.
    base = -(patient.dome_right + 0.5 * patient.dome_left) * patient.height - 47.0
    middle = 0.5 * (anatomy.apex + base + 30.0 * (1.0 - anatomy.breath))
    scale = max(patient.width, patient.height) * (1.0 + 0.004 * max(patient.bmi - 24.0, 0.0))
    return anatomy, make_camera(acquisition, size, middle=middle, scale=scale)


def line_integrals(
    anatomy: Anatomy, visit: Visit, acquisition: Acquisition, camera: Floats
) -> Singles:
    """Attenuation along the ray of every pixel, before the detector. # [H, W]"""
    lesions = collect_lesions(visit, anatomy)
    layers = tissue_layers(anatomy, camera, lesions)
    total, aerated, solid = layers[0], layers[1], layers[2]
    intrapulmonary = np.zeros_like(total)
    paint_tubes(intrapulmonary, vessel_tubes(anatomy), camera)
    if "hila" in anatomy.patient.details:
        paint_tubes(intrapulmonary, hilar_tubes(anatomy), camera)
    for band in lesions.bands:
        paint_tubes(intrapulmonary, band, camera)
    intrapulmonary = saturated(intrapulmonary, 0.9)
    intrapulmonary *= aerated
    total += intrapulmonary
    if lesions.bodies:
        airways = np.zeros_like(total)
        paint_tubes(airways, bronchogram_tubes(anatomy), camera)
        total += airways * solid
    bones = np.zeros_like(total)
    blocks, processes = spine_bones(anatomy)
    tubes = [_ribs(anatomy, lesions), bone_tubes(anatomy, acquisition), processes]
    paint_tubes(bones, np.vstack(tubes), camera)
    paint_blocks(bones, blocks, camera)
    total += saturated(bones, 0.7)
    device_tubes, device_blocks = device_parts(visit, anatomy)
    tubes = [device_tubes, airway_tubes(anatomy, acquisition), *lesions.dense]
    paint_tubes(total, np.vstack(tubes), camera)
    paint_blocks(total, device_blocks, camera)
    if acquisition.portable is not None:
        clutter_tubes, clutter_blocks = clutter_parts(acquisition.portable, anatomy)
        paint_tubes(total, clutter_tubes, camera)
        paint_blocks(total, clutter_blocks, camera)
    return np.asarray(np.maximum(total, 0.0), dtype=np.float32)


def tissue_layers(anatomy: Anatomy, camera: Floats, lesions: Lesions) -> Singles:
    """Soft tissue, fraction of aerated lung, fraction of solid lung. # [3, H, W]"""
    hearts, gases = anatomy.hearts, anatomy.gases
    if lesions.masses:
        hearts = np.vstack([hearts, lesions.masses])
    if lesions.gases:
        gases = np.vstack([gases, lesions.gases])
    bodies = (hearts, anatomy.domes, anatomy.extras, gases, lesions.body_array())
    parameters = tissue_parameters(anatomy, pixel_size(camera))
    return soft_tissue(rays(camera), anatomy.table, *bodies, texture_tile(), parameters)


def _expected_window(
    patient: Patient, visit: Visit, acquisition: Acquisition
) -> tuple[float, float]:
    """The window of the same exposure without findings, from its soft tissue only."""
    healthy = replace(visit, findings=(), devices=(), mimics=())
    anatomy, camera = expose(patient, healthy, acquisition, WINDOW_SIZE)
    tissue = tissue_layers(anatomy, camera, Lesions())[0]
    return expected_window(np.asarray(tissue), acquisition, pixel_size(camera))


def tissue_parameters(anatomy: Anatomy, pixel: float) -> Floats:
    """The parameters of volumes.soft_tissue besides the geometry. # [17]"""
    density = 1.0 - 0.35 * anatomy.effects.flat
    lungs = (density, density, *anatomy.effects.haze, *anatomy.hila[0], *anatomy.hila[1])
    pleura = (*anatomy.level, *anatomy.meniscus)
    return np.array([*anatomy.patient.texture, *lungs, pixel, 0.8, 0.25, *pleura])


def _ribs(anatomy: Anatomy, lesions: Lesions) -> Floats:
    """All ribs; a fractured rib has a gap, and its lateral part is displaced."""
    rows: list[Floats] = []
    for side, number in product((0, 1), range(1, 13)):
        tubes = rib_tubes(rib_line(anatomy, side, number), anatomy, number)
        for fracture_side, fracture_rib, fraction, shift in lesions.fractures:
            if (fracture_side, fracture_rib) == (side, number):
                cut = int(fraction * len(tubes))
                fade = np.clip(1.0 - np.arange(len(tubes) - cut) / 30.0, 0.0, 1.0)
                tubes[cut:, 2] += shift * fade
                tubes[cut:, 6] += shift * np.append(fade[1:], fade[-1])
                tubes = np.delete(tubes, (cut - 1, cut, cut + 1), axis=0)
        rows.append(tubes)
    return np.vstack(rows)
