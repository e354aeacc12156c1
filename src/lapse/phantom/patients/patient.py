"""The lifelong anatomy of a patient: size, build, heart, aorta, diaphragm, bones and textures.

One random stream, keyed by (seed, "phantom/patient", index) only, so neither visits nor
acquisitions can change the anatomy. Lengths are in millimetres at full inspiration; factors are
relative to an average adult. The ranges are set by hand from common textbook values (inner chest
width 26 to 30 cm, cardiothoracic ratio .42 to .50).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lapse.core.seeding import derive_seed

Sex = Literal["F", "M"]
ANATOMIES = ("plain", "detailed")
# what a detailed anatomy draws in another way (docs/explanation/phantom-appearance.md)
DETAILS = frozenset(
    (
        "meniscus",
        "fissures",
        "mass effect",
        "basal atelectasis",
        "mediastinum",
        "hila",
        "scapulae and arms",
        "breasts",
        "bowel gas",
    )
)


@dataclass(frozen=True, slots=True)
class Patient:
    """The anatomy, constant over all visits."""

    index: int
    sex: Sex
    age: int  # years
    bmi: float  # kg / m2
    width: float  # factor of the chest, left to right
    depth: float  # factor of the chest, posterior to anterior
    height: float  # factor of the chest, caudal to cranial
    scoliosis: float  # mm, signed amplitude of the lateral curve of the spine
    rib_slope: float  # tangent of the ribs' descent towards anterior
    rib_drop: float  # tangent of the ribs' descent towards lateral
    rib_size: float  # factor of the ribs' height
    heart: float  # factor of the heart
    heart_turn: float  # degrees of the long axis below horizontal, about 40
    aortic_knob: float  # mm, radius of the arch
    aorta_sway: float  # mm, deviation of the descending aorta to the left
    dome_right: float  # mm from the carina down to the right hemidiaphragm at full inspiration
    dome_left: float  # mm from the right dome down to the left dome
    dome_curve: float  # factor of the curvature of the domes
    mediastinum: float  # factor of the width of the upper mediastinum
    bone: float  # factor of bone density
    breast: float  # mm, radius of the breast tissue (0: none)
    stomach: float  # mm, radius of the gastric bubble
    vessel_count: int  # terminal branches of the vessel tree of each lung
    vessel_size: float  # factor of vessel radii
    clavicle: float  # mm, height of the lateral end above the medial end
    texture: tuple[float, float]  # mm, offset into the texture tile
    vessel_seed: int
    bone_seed: int
    details: frozenset[str] = frozenset()  # of `DETAILS`; empty for a plain anatomy


def draw_patient(seed: int, index: int) -> Patient:
    """Sample the anatomy of one patient; equal arguments give equal patients.

    Raises:
        ValueError: the index is negative.
    """
    if index < 0:
        raise ValueError(f"patient index {index} is negative: count patients from 0")
    key = (seed, "phantom/patient", index)
    rng = np.random.Generator(np.random.PCG64(derive_seed(*key)))

    def normal(mean: float, spread: float, low: float, high: float) -> float:
        return float(np.clip(mean + spread * rng.standard_normal(), low, high))

    def uniform(low: float, high: float) -> float:
        return float(low + (high - low) * rng.random())

    sex: Sex = "F" if rng.random() < 0.47 else "M"
    is_female = sex == "F"
    age = round(normal(62, 16, 19, 91))
    bmi = normal(26.5, 4.5, 17, 40)
    return Patient(
        index=index,
        sex=sex,
        age=age,
        bmi=bmi,
        width=normal(0.93 if is_female else 1.01, 0.05, 0.8, 1.15),
        depth=normal(0.93 if is_female else 1.0, 0.06, 0.8, 1.2) + 0.004 * (bmi - 26),
        height=normal(0.93 if is_female else 1.01, 0.055, 0.8, 1.15),
        scoliosis=normal(0, 2.5, -6, 6),
        rib_slope=normal(0.56, 0.07, 0.38, 0.75),
        rib_drop=normal(0.12, 0.05, 0.0, 0.25),
        rib_size=normal(1.0, 0.08, 0.82, 1.2),
        heart=normal(0.98 + 0.0012 * (age - 60), 0.05, 0.86, 1.12),
        heart_turn=normal(38 - 0.6 * (bmi - 26), 5, 24, 48),
        aortic_knob=normal(15 + 0.1 * (age - 50), 2, 11, 22),
        aorta_sway=normal(2 + 0.12 * max(age - 50, 0), 2, 0, 10),
        dome_right=normal(106, 6, 92, 122),
        dome_left=normal(11, 4, 1, 20),
        dome_curve=normal(1.0, 0.13, 0.7, 1.35),
        mediastinum=normal(1.0 + 0.008 * (bmi - 26), 0.08, 0.82, 1.3),
        bone=normal(1.05 - 0.004 * (age - 50), 0.1, 0.7, 1.35),
        breast=normal(48 + 1.3 * (bmi - 26), 9, 25, 80) if is_female else 0.0,
        stomach=uniform(16, 34),
        vessel_count=round(uniform(520, 640)),
        vessel_size=normal(1.0, 0.08, 0.8, 1.2),
        clavicle=normal(26, 8, 8, 45),
        texture=(uniform(0, 512), uniform(0, 512)),
        vessel_seed=derive_seed(*key, "vessels") >> 2,
        bone_seed=derive_seed(*key, "bones") >> 2,
    )
