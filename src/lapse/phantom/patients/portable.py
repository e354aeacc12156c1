"""Films at the bedside: an exposure as portable machines make it.

A share of all exposures is portable, each drawn by itself, so the two films of a pair are
independent, and both are independent of the findings (unless `confound` is above 0). A portable
film is AP, without a grid, often in supine position: more scatter, less dose, a tilted and shifted
patient with a shallow breath in a larger field, scapulae over the lungs, cables and tubings on the
chest, a tilted collimator with a grey border, uneven density, and processing that compresses large
structures and sharpens or blurs small ones.

Rotation about the long axis and the distance of the source stay within the ranges of other
exposures, so the out-of-distribution group "acquisition" stays outside of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lapse.core.seeding import derive_seed
from lapse.phantom.patients.acquisition import MAX_ROTATION, Acquisition, Portable

PORTABLE_ASPECTS = (1.22, 1.0, 0.82)
_ASPECT_PROBABILITIES = (0.7, 0.1, 0.2)
_BORDERS = (2.0, 28.0, 62.0)  # black, dark grey, grey
_LABELS = ("PORTABLE", "SUPINE", "AP", "")


def is_portable(
    fraction: float, key: tuple[str | int, ...], *, illness: float = 0.0, confound: float = 0.0
) -> bool:
    """Whether an exposure is portable: with probability `fraction`, more often in ill patients.

    Args:
        fraction: of all exposures, 0 .. 1.
        key: of the exposure, such as (seed, patient, visit).
        illness: severity of disease in [0, 1]; it has an effect only if `confound` is above 0.
        confound: how strongly the choice depends on illness, in [0, 1].
    """
    sick = 2.0 * float(np.clip(2.2 * illness - 0.1, 0.0, 1.0))
    probability = fraction * (1.0 + confound * (sick - 1.0))
    rng = np.random.Generator(np.random.PCG64(derive_seed("phantom/portable", "whether", *key)))
    return bool(rng.random() < probability)


def make_portable(
    acquisition: Acquisition, nuisance: float, key: tuple[str | int, ...]
) -> Acquisition:
    """The same exposure at the bedside. Equal arguments give equal exposures.

    Args:
        acquisition: the exposure of an ordinary examination.
        nuisance: scale of every deviation, in [0, 2].
        key: of the exposure, such as (seed, patient, visit).
    """
    seed = derive_seed("phantom/portable", *key)
    rng = np.random.Generator(np.random.PCG64(seed))

    def normal(mean: float, spread: float, limit: float) -> float:
        return mean + nuisance * float(np.clip(spread * rng.standard_normal(), -limit, limit))

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    aspect = PORTABLE_ASPECTS[int(rng.choice(3, p=_ASPECT_PROBABILITIES))]
    cuts = [max(0.0, normal(-0.005, 0.035, 0.09)) for _ in range(4)]
    is_supine = bool(rng.random() < 0.6)
    label = _LABELS[int(rng.integers(len(_LABELS)))]
    label = "PORTABLE" if label == "SUPINE" and not is_supine else label
    marker = ("L", "R", "")[int(rng.choice(3, p=(0.6, 0.25, 0.15)))]
    return replace(
        acquisition,
        view="AP",
        is_supine=is_supine,
        source_distance=between(1000.0, 1250.0),
        rotation=normal(0.0, 5.0, MAX_ROTATION),
        tilt=normal(6.0, 5.0, 12.0),
        roll=normal(0.0, 5.0, 12.0),
        shift=(normal(0.0, 14.0, 32.0), normal(-6.0, 14.0, 32.0)),
        field={1.22: 392.0, 1.0: 358.0, 0.82: 392.0}[aspect] * (1.0 + normal(0.0, 0.08, 0.15)),
        aspect=aspect,
        inspiration=float(np.clip(normal(0.5, 0.18, 0.35), 0.12, 1.0)),
        kilovolts=normal(85.0, 6.0, 15.0),
        dose=float(np.exp(normal(-0.9, 0.4, 0.9))),
        scatter=max(0.05, normal(0.7, 0.18, 0.4)),
        blur=max(0.2, normal(0.6, 0.2, 0.4)),
        gamma=max(0.6, normal(1.0, 0.15, 0.3)),
        equalisation=float(np.clip(normal(0.4, 0.25, 0.4), 0.0, 0.9)),
        contrast=max(0.35, normal(0.8, 0.15, 0.4)),
        marker=marker,
        marker_at=(between(0.03, 0.2), between(0.04, 0.6)),
        label=label,
        collimation=(cuts[0], cuts[1], cuts[2], cuts[3]),
        portable=Portable(
            latitude=float(np.clip(normal(0.6, 0.14, 0.3), 0.1, 0.85)),
            latitude_mm=between(14.0, 45.0),
            sharpness=normal(0.5, 0.7, 1.1),
            sharpness_mm=between(1.5, 7.0),
            curve=(between(2.2, 3.6), between(0.38, 0.52)),
            shading=(normal(0.0, 0.16, 0.4), normal(0.0, 0.16, 0.4)),
            field_tilt=normal(0.0, 2.5, 7.0),
            border=_BORDERS[int(rng.integers(len(_BORDERS)))],
            border_contrast=between(0.0, 0.35),
            is_boxed=bool(rng.random() < 0.5),
            scapulae=normal(14.0, 8.0, 16.0),
            arms=normal(18.0, 10.0, 20.0),
            num_cables=int(rng.poisson(3.0 * min(nuisance, 1.0))),
            num_tubings=int(rng.poisson(0.7 * min(nuisance, 1.0))),
            num_electrodes=int(rng.poisson(2.0 * min(nuisance, 1.0))),
            seed=derive_seed("phantom/portable", "clutter", *key) >> 1,
        ),
    )
