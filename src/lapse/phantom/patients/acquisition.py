"""How an image was taken: beam, posture, breath, exposure, processing, lead markers.

One stream of counted randomness of its own, keyed by patient, visit and image number, so that
by default it says nothing about the findings. `confound` makes sick patients more often imaged
AP (portable), as in hospitals. `nuisance` scales every deviation from the ideal image.
PA: the source is 1,800 mm from the detector, at the patient's back; AP: 1,000 to 1,250 mm, in
front of the patient, so that the heart, which lies in front, is magnified more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lapse.core.seeding import derive_seed

ASPECTS = (1.0, 0.82, 1.2)
_ASPECT_SHARES = (0.5, 0.35, 0.15)
MAX_TURN = 9.0  # degrees about the long axis, at nuisance 1


@dataclass(frozen=True, slots=True)
class Acquisition:
    """One exposure. Angles in degrees, lengths in mm in the plane through the carina."""

    view: Literal["PA", "AP"]
    is_supine: bool
    source_distance: float  # source to detector
    rotation: float  # about the long axis of the body
    tilt: float  # lordotic when positive: clavicles move up
    roll: float  # in the plane of the image
    shift: tuple[float, float]  # to the patient's left, up
    field: float  # longest side of the image
    aspect: float  # width / height
    inspiration: float  # 1 is a full breath, 0 a full expiration
    warp: tuple[float, ...]  # 4 waves of (mm to the left, mm up, cycles x, cycles z, phase)
    kilovolts: float
    dose: float  # photons; 1 is ordinary
    scatter: float  # scattered over direct radiation
    blur: float  # mm
    gamma: float
    equalisation: float  # 0 none .. 1 flat histogram
    contrast: float
    marker: str  # "L", "R" or ""
    marker_at: tuple[float, float]  # fractions of the image, from the top left
    label: str  # "PORTABLE", "AP", "SUPINE" or ""
    collimation: tuple[float, float, float, float]  # share cut at left, top, right, bottom
    seed: int  # of the noise


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
    """How image number `image` of this visit was taken.

    `illness` in [0, 1] matters only as far as `confound` in [0, 1] lets it; `nuisance` in
    [0, 2] scales every deviation. Equal arguments give equal acquisitions.

    Raises:
        ValueError: a knob is outside its range.
    """
    for name, value, high in (
        ("illness", illness, 1.0),
        ("nuisance", nuisance, 2.0),
        ("confound", confound, 1.0),
    ):
        if not 0.0 <= value <= high:
            raise ValueError(f"{name} is {value}, choose a number in 0 .. {high:g}")
    key = (seed, "phantom/acquisition", patient, visit, image)
    draw = np.random.Generator(np.random.PCG64(derive_seed(*key)))

    def around(mean: float, spread: float, limit: float) -> float:
        """A normal deviate, cut at `limit`, scaled by the nuisance."""
        return mean + nuisance * float(np.clip(spread * draw.standard_normal(), -limit, limit))

    chance_ap = 0.5 + confound * (float(np.clip(2.2 * illness - 0.1, 0.0, 1.0)) - 0.5)
    is_ap = bool(draw.random() < chance_ap)
    is_supine = bool(draw.random() < 0.4) and is_ap
    is_off_aspect = draw.random() < min(1.0, nuisance)
    aspect = ASPECTS[int(draw.choice(3, p=_ASPECT_SHARES))] if is_off_aspect else 1.0
    source = 1000 + 250 * float(draw.random()) if is_ap else 1800.0
    waves: list[float] = []
    for _ in range(4):
        waves += [
            around(0, 1.6, 3.5),
            around(0, 1.6, 3.5),
            float(draw.uniform(-1.6, 1.6)),
            float(draw.uniform(-1.6, 1.6)),
            float(draw.uniform(0, 6.2832)),
        ]
    breath = around(0.66 if is_ap else 0.9, 0.14 if is_ap else 0.07, 0.3)
    cut = [max(0.0, around(-0.03, 0.03, 0.08)) for _ in range(4)]
    side = ("L", "R", "")[int(draw.choice(3, p=(0.5, 0.35, 0.15)))]
    column = float(draw.uniform(0.05, 0.13))
    label_pick = float(draw.random())
    label = ""
    if is_ap and label_pick < 0.75:
        label = "SUPINE" if is_supine and label_pick < 0.25 else "PORTABLE"
        label = "AP" if label_pick > 0.45 else label
    return Acquisition(
        view="AP" if is_ap else "PA",
        is_supine=is_supine,
        source_distance=source,
        rotation=around(0, 4.0 if is_ap else 2.0, MAX_TURN),
        tilt=around(7 if is_ap else 0, 4.5 if is_ap else 2.0, 10),
        roll=around(0, 2.5 if is_ap else 1.2, 6),
        shift=(around(0, 9, 22), around(0, 9, 20)),
        field=around({1.0: 322.0, 0.82: 362.0, 1.2: 352.0}[aspect], 11, 24),
        aspect=aspect,
        inspiration=float(np.clip(breath, 0.15, 1.0)),
        warp=tuple(waves),
        kilovolts=around(90 if is_ap else 120, 6, 15),
        dose=float(np.exp(around(-0.5 if is_ap else 0.0, 0.3, 0.7))),
        scatter=max(0.05, around(0.42 if is_ap else 0.22, 0.06, 0.15)),
        blur=max(0.2, around(0.46 if is_ap else 0.34, 0.1, 0.24)),
        gamma=max(0.6, around(1.15, 0.1, 0.22)),
        equalisation=float(np.clip(around(0.55, 0.12, 0.3), 0.0, 0.9)),
        contrast=max(0.6, around(1.0, 0.08, 0.2)),
        marker=side,
        marker_at=(column, float(draw.uniform(0.06, 0.16))),
        label=label,
        collimation=(cut[0], cut[1], cut[2], cut[3]),
        seed=derive_seed(*key, "noise") >> 1,
    )
