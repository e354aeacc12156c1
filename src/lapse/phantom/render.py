"""One simulated radiograph: a patient at a visit, seen by an acquisition, with region boxes.

    patient, findings, breath -> anatomy -> soft tissue (volumes) + bones, vessels, lesions,
    devices (splat) -> line integrals -> detector -> grey image;  anatomy -> boxes

Equal arguments give equal bytes on one machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lapse.phantom.acquisition import Acquisition
from lapse.phantom.anatomy import Anatomy, build_anatomy
from lapse.phantom.boxes import FractionBox, region_boxes
from lapse.phantom.camera import make_camera, rays
from lapse.phantom.detector import expose
from lapse.phantom.effects import collect
from lapse.phantom.kernels import Floats, Singles
from lapse.phantom.patient import Patient
from lapse.phantom.skeleton import bone_tubes, clavicle_line, rib_cage, rib_tubes, spine_bones
from lapse.phantom.splat import paint_blocks, paint_tubes
from lapse.phantom.state import Visit
from lapse.phantom.textures import texture_tile
from lapse.phantom.volumes import soft_tissue

MIN_SIZE, MAX_SIZE = 32, 3072


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished image, bones white, and the boxes of the regions in it."""

    image: NDArray[np.uint8]  # [H, W]
    boxes: dict[str, FractionBox]  # name -> fractions of width and height


def render(patient: Patient, visit: Visit, acquisition: Acquisition, size: int) -> Rendered:
    """The radiograph of a patient at a visit; its longest side is `size` pixels.

    Raises:
        ValueError: the size is outside 32 .. 3072.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"image size {size} is outside {MIN_SIZE} .. {MAX_SIZE} pixels")
    anatomy = build_anatomy(patient, collect(visit), acquisition)
    camera = _camera(anatomy, acquisition, size)
    integrals = line_integrals(anatomy, visit, acquisition, camera)
    image = expose(integrals, acquisition, float(camera[14]))
    clavicles = (clavicle_line(anatomy, 0, acquisition), clavicle_line(anatomy, 1, acquisition))
    return Rendered(image, region_boxes(anatomy, camera, clavicles))


def _camera(anatomy: Anatomy, acquisition: Acquisition, size: int) -> Floats:
    patient = anatomy.patient
    middle = -42.0 * patient.height - 0.0
    scale = max(patient.width, patient.height) * (1.0 + 0.004 * max(patient.bmi - 24.0, 0.0))
    return make_camera(acquisition, size, middle=middle, scale=scale)


def line_integrals(
    anatomy: Anatomy, visit: Visit, acquisition: Acquisition, camera: Floats
) -> Singles:
    """Attenuation along the ray of every pixel, before the detector. # [H, W]"""
    patient, effects = anatomy.patient, anatomy.effects
    knobs = np.array(
        [
            *patient.texture,
            effects.density[0] * (1.0 - 0.35 * effects.flat),
            effects.density[1] * (1.0 - 0.35 * effects.flat),
            *effects.haze,
            *anatomy.hila[0],
            *anatomy.hila[1],
            float(camera[14]),
            1.0,
            0.25,
        ]
    )
    lesions = np.zeros((0, 21))
    parts = soft_tissue(
        rays(camera),
        anatomy.table,
        anatomy.hearts,
        anatomy.domes,
        anatomy.extras,
        anatomy.gases,
        lesions,
        texture_tile(),
        knobs,
    )
    total = parts[0]
    bones = np.zeros_like(total)
    ribs = rib_cage(anatomy)
    tubes = [rib_tubes(line, anatomy, number) for (_, number), line in ribs.items()]
    paint_tubes(bones, np.vstack([*tubes, bone_tubes(anatomy, acquisition)]), camera)
    blocks, more = spine_bones(anatomy)
    paint_blocks(bones, blocks, camera)
    paint_tubes(bones, more, camera)
    total += bones
    return total
