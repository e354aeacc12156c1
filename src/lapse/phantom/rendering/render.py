"""One simulated radiograph: a patient at a visit, seen by an acquisition, with region boxes.

    patient, findings, breath -> anatomy -> soft tissue (volumes) + bones, vessels, lesions,
    devices (splat) -> line integrals -> detector -> grey image;  anatomy -> boxes

Equal arguments give equal bytes on one machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lapse.phantom.patients.acquisition import Acquisition
from lapse.phantom.patients.patient import Patient
from lapse.phantom.patients.state import Visit
from lapse.phantom.rendering.anatomy import Anatomy, build_anatomy
from lapse.phantom.rendering.boxes import FractionBox, region_boxes
from lapse.phantom.rendering.camera import make_camera, rays
from lapse.phantom.rendering.detector import develop, expected_window, film_tone
from lapse.phantom.rendering.devices import device_parts
from lapse.phantom.rendering.effects import collect
from lapse.phantom.rendering.kernels import Floats, Singles
from lapse.phantom.rendering.lesion_shapes import LESION, Lesions
from lapse.phantom.rendering.lesions import collect_lesions
from lapse.phantom.rendering.markers import overlay
from lapse.phantom.rendering.skeleton import (
    bone_tubes,
    clavicle_line,
    rib_cage,
    rib_tubes,
    spine_bones,
)
from lapse.phantom.rendering.splat import limited, paint_blocks, paint_tubes
from lapse.phantom.rendering.textures import texture_tile
from lapse.phantom.rendering.vessels import airway_tubes, bronchogram_tubes, vessel_tubes
from lapse.phantom.rendering.volumes import soft_tissue

MIN_SIZE, MAX_SIZE = 32, 3072
WINDOW_SIZE = 72  # px of the image that sets the window


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished image, bones white, its film, and the boxes of the regions in it."""

    image: NDArray[np.uint8]  # [H, W]
    tone: Singles  # [H, W] in [0, 1], before equalisation, markers and shutter
    boxes: dict[str, FractionBox]  # name -> fractions of width and height


def render(patient: Patient, visit: Visit, acquisition: Acquisition, size: int) -> Rendered:
    """The radiograph of a patient at a visit; its longest side is `size` pixels.

    Raises:
        ValueError: the size is outside 32 .. 3072.
    """
    anatomy, camera = expose(patient, visit, acquisition, size)
    integrals = line_integrals(anatomy, visit, acquisition, camera)
    usual = _usual_window(patient, visit, acquisition)
    tone = film_tone(integrals, acquisition, float(camera[14]), usual)
    image = overlay(develop(tone, acquisition), acquisition)
    clavicles = (clavicle_line(anatomy, 0, acquisition), clavicle_line(anatomy, 1, acquisition))
    return Rendered(image, tone, region_boxes(anatomy, camera, clavicles))


def expose(
    patient: Patient, visit: Visit, acquisition: Acquisition, size: int
) -> tuple[Anatomy, Floats]:
    """The solids of a patient at a visit, and the camera that looks at them.

    Raises:
        ValueError: the size is outside 32 .. 3072.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"image size {size} is outside {MIN_SIZE} .. {MAX_SIZE} pixels")
    anatomy = build_anatomy(patient, collect(visit), acquisition)
    return anatomy, _camera(anatomy, acquisition, size)


def _camera(anatomy: Anatomy, acquisition: Acquisition, size: int) -> Floats:
    patient = anatomy.patient
    base = -(patient.dome_right + 0.5 * patient.dome_left) * patient.height - 47.0
    middle = 0.5 * (anatomy.apex + base + 30.0 * (1.0 - anatomy.breath))  # never the findings
    scale = max(patient.width, patient.height) * (1.0 + 0.004 * max(patient.bmi - 24.0, 0.0))
    return make_camera(acquisition, size, middle=middle, scale=scale)


def _usual_window(patient: Patient, visit: Visit, acquisition: Acquisition) -> tuple[float, float]:
    """The window of the same exposure without findings, from its soft tissue alone."""
    plain = replace(visit, findings=(), devices=(), mimics=())
    anatomy, camera = expose(patient, plain, acquisition, WINDOW_SIZE)
    pixel = float(camera[14])
    tissue = soft_tissue(
        rays(camera),
        anatomy.table,
        anatomy.hearts,
        anatomy.domes,
        anatomy.extras,
        anatomy.gases,
        np.zeros((0, LESION)),
        texture_tile(),
        tissue_parameters(anatomy, pixel),
    )[0]
    return expected_window(np.asarray(tissue), acquisition, pixel)


def line_integrals(
    anatomy: Anatomy, visit: Visit, acquisition: Acquisition, camera: Floats
) -> Singles:
    """Attenuation along the ray of every pixel, before the detector. # [H, W]"""
    lesions = collect_lesions(visit, anatomy)
    hearts, gases = anatomy.hearts, anatomy.gases
    if lesions.masses:
        hearts = np.vstack([hearts, lesions.masses])
    if lesions.gases:
        gases = np.vstack([gases, lesions.gases])
    parts = soft_tissue(
        rays(camera),
        anatomy.table,
        hearts,
        anatomy.domes,
        anatomy.extras,
        gases,
        lesions.rows(),
        texture_tile(),
        tissue_parameters(anatomy, float(camera[14])),
    )
    total, aerated, solid = parts[0], parts[1], parts[2]
    inside = np.zeros_like(total)
    paint_tubes(inside, vessel_tubes(anatomy), camera)
    for band in lesions.bands:
        paint_tubes(inside, band, camera)
    inside = limited(inside, 0.9)
    inside *= aerated
    total += inside
    if lesions.bodies:
        airways = np.zeros_like(total)
        paint_tubes(airways, bronchogram_tubes(anatomy), camera)
        total += airways * solid
    bones = np.zeros_like(total)
    blocks, processes = spine_bones(anatomy)
    tubes = [_ribs(anatomy, lesions), bone_tubes(anatomy, acquisition), processes]
    paint_tubes(bones, np.vstack(tubes), camera)
    paint_blocks(bones, blocks, camera)
    total += limited(bones, 0.7)
    devices, boxes = device_parts(visit, anatomy)
    tubes = [devices, airway_tubes(anatomy, acquisition), *lesions.dense]
    paint_tubes(total, np.vstack(tubes), camera)
    paint_blocks(total, boxes, camera)
    return np.asarray(np.maximum(total, 0.0), dtype=np.float32)


def tissue_parameters(anatomy: Anatomy, pixel: float) -> Floats:
    """What volumes.soft_tissue is told besides the solids. # [15]"""
    effects = anatomy.effects
    return np.array(
        [
            *anatomy.patient.texture,
            effects.density[0] * (1.0 - 0.35 * effects.flat),
            effects.density[1] * (1.0 - 0.35 * effects.flat),
            *effects.haze,
            *anatomy.hila[0],
            *anatomy.hila[1],
            pixel,
            0.8,
            0.25,
            *anatomy.level,
        ]
    )


def _ribs(anatomy: Anatomy, lesions: Lesions) -> Floats:
    """All ribs; a broken one is cut, and its outer part displaced."""
    rows: list[Floats] = []
    for (side, number), line in rib_cage(anatomy).items():
        tubes = rib_tubes(line, anatomy, number)
        for broken_side, broken, share, move in lesions.broken:
            if (broken_side, broken) == (side, number):
                cut = int(share * len(tubes))
                fade = np.clip(1.0 - np.arange(len(tubes) - cut) / 30.0, 0.0, 1.0)
                tubes[cut:, 2] += move * fade
                tubes[cut:, 6] += move * np.append(fade[1:], fade[-1])
                tubes = np.delete(tubes, (cut - 1, cut, cut + 1), axis=0)
        rows.append(tubes)
    return np.vstack(rows)
