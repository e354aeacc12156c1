"""How an image is taken: beam geometry, posture, inspiration, exposure, processing and markers.

Acquisitions have their own random stream, keyed by patient, visit and image number, so by default
they are independent of the findings. `confound` makes AP (portable) images more frequent in sick
patients, as in hospitals. `nuisance` scales every deviation from the ideal image.
PA: the source is 1,800 mm from the detector, behind the patient. AP: 1,000 to 1,250 mm, in front
of the patient, so the heart, an anterior organ, is magnified more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lapse.core.seeding import derive_seed

ASPECTS = (1.0, 0.82, 1.2)
_ASPECT_PROBABILITIES = (0.5, 0.35, 0.15)
MAX_ROTATION = 9.0  # degrees about the long axis, at nuisance 1


@dataclass(frozen=True, slots=True)
class Portable:
    """What a film at the bedside adds to an exposure (lapse.phantom.patients.portable)."""

    latitude: float  # fraction of the low spatial frequencies that processing removes
    latitude_mm: float  # sigma of these frequencies
    sharpness: float  # gain of the detail; below 0 the film is blurred
    sharpness_mm: float  # sigma of the detail
    curve: tuple[float, float]  # steepness and middle of the film curve
    shading: tuple[float, float]  # change of the film density from left to right, top to bottom
    field_tilt: float  # degrees between the collimated field and the image
    border: float  # grey level outside the collimated field, 0 .. 255
    border_contrast: float  # of what is visible there, 0 .. 1
    is_boxed: bool  # marker and label are in a grey box
    scapulae: float  # mm that the scapulae are moved towards the spine
    arms: float  # mm that the arms are moved towards the chest
    num_cables: int
    num_tubings: int
    num_electrodes: int
    seed: int  # of the courses of cables, tubings and electrodes


@dataclass(frozen=True, slots=True)
class Acquisition:
    """One exposure. Angles in degrees, lengths in mm in the plane through the carina."""

    view: Literal["PA", "AP"]
    is_supine: bool
    source_distance: float  # source to detector
    rotation: float  # about the long axis of the body
    tilt: float  # lordotic when positive: the clavicles move up
    roll: float  # in the image plane
    shift: tuple[float, float]  # to the patient's left, up
    field: float  # longest side of the image
    aspect: float  # width / height
    inspiration: float  # 1 is a full inspiration, 0 a full expiration
    warp: tuple[float, ...]  # 4 waves of (mm to the left, mm up, cycles x, cycles z, phase)
    kilovolts: float
    dose: float  # photons relative to an ordinary exposure
    scatter: float  # scattered over primary radiation
    blur: float  # mm
    gamma: float
    equalisation: float  # 0 none .. 1 flat histogram
    contrast: float
    marker: str  # "L", "R" or ""
    marker_at: tuple[float, float]  # fractions of the image, from the top left
    label: str  # "PORTABLE", "AP", "SUPINE" or ""
    collimation: tuple[float, float, float, float]  # fraction cut at left, top, right, bottom
    seed: int  # of the noise
    portable: Portable | None = None  # only for a film at the bedside


def draw_acquisition(
    seed: int,
    patient: int,
    visit: int,
    image: int,
    *,
    illness: float = 0.0,
    nuisance: float = 1.0,
    confound: float = 0.0,
) -> Acquisition:
    """Sample the acquisition of image number `image` of a visit.

    Args:
        seed: root seed of the simulation.
        image: index of the image within the visit.
        illness: severity of disease in [0, 1]; it has an effect only if `confound` is above 0.
        nuisance: scale of every deviation from the ideal image, in [0, 2].
        confound: how strongly the view depends on illness, in [0, 1].

    Raises:
        ValueError: illness, nuisance or confound is out of range.
    """
    for name, value, high in (
        ("illness", illness, 1.0),
        ("nuisance", nuisance, 2.0),
        ("confound", confound, 1.0),
    ):
        if not 0.0 <= value <= high:
            raise ValueError(f"{name} is {value}, choose a number in 0 .. {high:g}")
    key = (seed, "phantom/acquisition", patient, visit, image)
    rng = np.random.Generator(np.random.PCG64(derive_seed(*key)))

    def normal(mean: float, spread: float, limit: float) -> float:
        """A normal deviate, clipped at `limit` and scaled by the nuisance."""
        return mean + nuisance * float(np.clip(spread * rng.standard_normal(), -limit, limit))

    ap_probability = 0.5 + confound * (float(np.clip(2.2 * illness - 0.1, 0.0, 1.0)) - 0.5)
    is_ap = bool(rng.random() < ap_probability)
    is_supine = bool(rng.random() < 0.4) and is_ap
    has_random_aspect = rng.random() < min(1.0, nuisance)
    aspect = ASPECTS[int(rng.choice(3, p=_ASPECT_PROBABILITIES))] if has_random_aspect else 1.0
    source_distance = 1000 + 250 * float(rng.random()) if is_ap else 1800.0
    waves: list[float] = []
    for _ in range(4):
        waves += [
            normal(0, 1.6, 3.5),
            normal(0, 1.6, 3.5),
            float(rng.uniform(-1.6, 1.6)),
            float(rng.uniform(-1.6, 1.6)),
            float(rng.uniform(0, 6.2832)),
        ]
    inspiration = normal(0.66 if is_ap else 0.9, 0.14 if is_ap else 0.07, 0.3)
    cuts = [max(0.0, normal(-0.03, 0.03, 0.08)) for _ in range(4)]
    marker = ("L", "R", "")[int(rng.choice(3, p=(0.5, 0.35, 0.15)))]
    marker_x = float(rng.uniform(0.05, 0.13))
    label_draw = float(rng.random())
    label = ""
    if is_ap and label_draw < 0.75:
        label = "SUPINE" if is_supine and label_draw < 0.25 else "PORTABLE"
        label = "AP" if label_draw > 0.45 else label
    return Acquisition(
        view="AP" if is_ap else "PA",
        is_supine=is_supine,
        source_distance=source_distance,
        rotation=normal(0, 4.0 if is_ap else 2.0, MAX_ROTATION),
        tilt=normal(7 if is_ap else 0, 4.5 if is_ap else 2.0, 10),
        roll=normal(0, 2.5 if is_ap else 1.2, 6),
        shift=(normal(0, 9, 22), normal(0, 9, 20)),
        field=normal({1.0: 322.0, 0.82: 362.0, 1.2: 352.0}[aspect], 11, 24),
        aspect=aspect,
        inspiration=float(np.clip(inspiration, 0.15, 1.0)),
        warp=tuple(waves),
        kilovolts=normal(90 if is_ap else 120, 6, 15),
        dose=float(np.exp(normal(-0.5 if is_ap else 0.0, 0.3, 0.7))),
        scatter=max(0.05, normal(0.42 if is_ap else 0.22, 0.06, 0.15)),
        blur=max(0.2, normal(0.46 if is_ap else 0.34, 0.1, 0.24)),
        gamma=max(0.6, normal(1.15, 0.1, 0.22)),
        equalisation=float(np.clip(normal(0.55, 0.12, 0.3), 0.0, 0.9)),
        contrast=max(0.6, normal(1.0, 0.08, 0.2)),
        marker=marker,
        marker_at=(marker_x, float(rng.uniform(0.06, 0.16))),
        label=label,
        collimation=(cuts[0], cuts[1], cuts[2], cuts[3]),
        seed=derive_seed(*key, "noise") >> 1,
    )
