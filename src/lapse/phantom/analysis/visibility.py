"""How hard a finding is to see: its size against the nuisance, and what a small image loses.

    rms     root of the mean squared change of the grey levels that a finding makes, over all
            pixels, by the same between two images without findings of one patient
    lost    1 - energy at 224 px / energy at 448 px of what a cue adds to the line integrals

Both are medians over patients, each with its own anatomy, place of the finding and acquisition.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

import numpy as np
from PIL import Image

from lapse.phantom.patients.acquisition import Acquisition, draw_acquisition
from lapse.phantom.patients.catalogue import BY_NAME, EITHER, MIDLINE
from lapse.phantom.patients.patient import Patient, draw_patient
from lapse.phantom.patients.state import Finding, Mimic, Visit
from lapse.phantom.rendering.fine_findings import CUES, LIKE, mimic_severity
from lapse.phantom.rendering.isolated import finding_alone
from lapse.phantom.rendering.kernels import Floats, Singles
from lapse.phantom.rendering.render import render

NATIVE = 1024  # px at which a cue is drawn before it is made small
_DAY = datetime(2150, 1, 1)
_CENTRAL = ("thymoma", "pneumomediastinum", "hypertensive heart disease")


@dataclass(frozen=True, slots=True)
class Signal:
    """How much one kind of finding moves the image, over patients."""

    name: str
    severity: float
    is_fine: bool
    rms: float  # grey levels, median
    nuisance: float  # grey levels, median of pairs without findings
    low: float  # 10th percentile of rms / nuisance
    high: float  # 90th percentile

    @property
    def ratio(self) -> float:
        """The finding's share of what another acquisition moves."""
        return self.rms / self.nuisance


def finding_rms(
    name: str,
    severity: float = 0.5,
    *,
    is_fine: bool = False,
    patients: int = 24,
    size: int = 448,
    seed: int = 0,
) -> Signal:
    """How much a finding moves the grey levels, against a second visit without any finding.

    Raises:
        ValueError: fewer than two patients, or a fine finding that has no cue.
    """
    if patients < 2:
        raise ValueError(f"{patients} patients have no spread: measure at least 2")
    if is_fine and name not in CUES:
        raise ValueError(f"{name!r} has no fine cue: the ones with one are {', '.join(CUES)}")
    moved, nuisance = [], []
    for index in range(patients):
        person = draw_patient(seed, index)
        finding = example(name, severity, index, is_fine=is_fine)
        with_it = _grey(person, draw_acquisition(seed, index, 0, 0), size, finding)
        without, other = _without(seed, index, size)
        moved.append(_rms(with_it - without))
        nuisance.append(_rms(other - without))
    typical = float(np.median(nuisance))
    low, high = (float(v) / typical for v in np.percentile(moved, (10, 90)))
    return Signal(name, severity, is_fine, float(np.median(moved)), typical, low, high)


@dataclass(frozen=True, slots=True)
class Loss:
    """What is left of a cue in a small image, over patients."""

    name: str
    is_fine: bool
    lost: float  # 1 - energy at the small size / energy at the large one, median
    low: float  # 10th percentile
    high: float  # 90th percentile
    alike: float  # correlation of the cue and its mimic at the small size (1: cannot be told)


def energy_lost(
    name: str,
    severity: float = 0.3,
    *,
    is_fine: bool = True,
    patients: int = 24,
    sizes: tuple[int, int] = (448, 224),
    seed: int = 0,
) -> Loss:
    """The energy that a cue loses from one image size to half of it.

    A fine cue is as large as its mimic (`severity` is for ordinary findings), and `alike` compares
    the two; it is 0 for a finding that is not fine.

    Raises:
        ValueError: a fine finding that has no cue, or sizes that do not fall.
    """
    if is_fine and name not in CUES:
        raise ValueError(f"{name!r} has no fine cue: the ones with one are {', '.join(CUES)}")
    if not NATIVE >= sizes[0] > sizes[1] > 0:
        raise ValueError(f"sizes {sizes} have to fall from at most {NATIVE} to above 0")
    lost, alike = [], []
    mimic = next((key for key, like in LIKE.items() if name in like), "")
    for index in range(patients):
        person = draw_patient(seed, index)
        taken = replace(draw_acquisition(seed, index, 0, 0), aspect=1.0)
        visit = Visit(index, 0, _DAY, (), ())
        finding = example(name, severity, index, is_fine=is_fine)
        if is_fine:
            finding = replace(finding, severity=mimic_severity(finding.seed))
        alone = finding_alone(finding, person, visit, taken, NATIVE)
        large, small = (_shrunk(alone, size) for size in sizes)
        energy = float((large**2).mean())
        if energy == 0.0:
            continue  # outside this field of view
        lost.append(1.0 - float((small**2).mean()) / energy)
        if is_fine and mimic:
            like = Mimic(mimic, name, finding.side, finding.zone, finding.seed)
            other = _shrunk(finding_alone(like, person, visit, taken, NATIVE), sizes[1])
            product = float((small * other).sum())
            alike.append(product / float(np.sqrt((small**2).sum() * (other**2).sum())))
    if not lost:
        raise ValueError(f"{name!r} shows in none of {patients} patients: is it drawn?")
    low, high = (float(v) for v in np.percentile(lost, (10, 90)))
    kin = float(np.median(alike)) if alike else 0.0
    return Loss(name, is_fine, float(np.median(lost)), low, high, kin)


def example(name: str, severity: float, index: int, *, is_fine: bool = False) -> Finding:
    """One finding of this name, its side, zone and type those of the catalogue, in turn."""
    spec = BY_NAME.get(name)
    sides = spec.sides if spec else (MIDLINE if name in _CENTRAL else EITHER)
    zones = spec.zones if spec else (("mid", 1.0),)
    types = spec.types if spec else (("", 1.0),)
    if not 0.0 <= severity <= 1.0:
        raise ValueError(f"severity {severity} is outside 0 .. 1")
    draw = np.random.Generator(np.random.PCG64([index, len(name), 5]))
    pick = [words[int(draw.integers(len(words)))][0] for words in (sides, zones, types)]
    seed = int(draw.integers(1 << 40))
    return Finding(name, pick[0], pick[1], severity, pick[2], seed, is_fine)


@lru_cache(maxsize=64)
def _without(seed: int, index: int, size: int) -> tuple[Floats, Floats]:
    """Two images of a patient without findings, in the same format. # [H, W] twice"""
    person = draw_patient(seed, index)
    first, second = (draw_acquisition(seed, index, visit, 0) for visit in (0, 1))
    second = replace(second, aspect=first.aspect)
    return _grey(person, first, size), _grey(person, second, size)


def _grey(person: Patient, taken: Acquisition, size: int, *findings: Finding) -> Floats:
    visit = Visit(person.index, 0, _DAY, findings, ())
    return render(person, visit, taken, size).image.astype(np.float64)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _shrunk(image: Singles, size: int) -> Floats:
    """The mean of every pixel's area. # [H, W] -> [size, size]"""
    picture = Image.fromarray(np.asarray(image, dtype=np.float32))
    small = picture.resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64)
