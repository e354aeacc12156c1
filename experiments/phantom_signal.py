"""Visibility of findings: tables of docs/explanation/phantom-appearance.md.

    python experiments/phantom_signal.py [patients]

    rms     root mean square of the grey-level change that a finding causes, over all pixels,
            relative to that between two images without findings of one patient
    lost    1 - energy at 224 px / energy at 448 px of what a cue adds to the line integrals

Both are medians over patients with different anatomy, location of the finding and acquisition.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

import numpy as np
from PIL import Image

from lapse.phantom.patients.acquisition import Acquisition, draw_acquisition
from lapse.phantom.patients.catalogue import FINDING_SPECS, SPEC_BY_NAME
from lapse.phantom.patients.patient import Patient, draw_patient
from lapse.phantom.patients.state import Finding, Mimic, Visit
from lapse.phantom.rendering.fine_findings import CUES, MIMICKED, mimic_severity
from lapse.phantom.rendering.kernels import Floats, Singles
from lapse.phantom.rendering.render import expose, line_integrals, render

NATIVE = 1024  # px at which a cue is rendered before downsampling
_DAY = datetime(2150, 1, 1)
SEVERITIES = (0.15, 0.3, 0.55, 0.9)
NOT_DRAWN = ("heart failure",)  # a syndrome of others
ORDINARY = ("pleural effusion", "pneumothorax", "edema", "granuloma", "fracture", "consolidation")


@dataclass(frozen=True, slots=True)
class Signal:
    """Grey-level change by one type of finding, over patients."""

    name: str
    severity: float
    is_fine: bool
    rms: float  # grey levels, median
    nuisance: float  # grey levels, median of pairs without findings
    low: float  # 10th percentile of rms / nuisance
    high: float  # 90th percentile

    @property
    def ratio(self) -> float:
        """Signal of the finding relative to that of another acquisition."""
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
    """Grey-level change by a finding, and that by a second acquisition without findings.

    Raises:
        ValueError: fewer than two patients, or a fine finding without a cue.
    """
    if patients < 2:
        raise ValueError(f"{patients} patients have no spread: measure at least 2")
    if is_fine:
        _check_cue(name)
    changes, nuisance = [], []
    for index in range(patients):
        person = draw_patient(seed, index)
        finding = example(name, severity, index, is_fine=is_fine)
        image = _grey(person, draw_acquisition(seed, index, 0, 0), size, finding)
        without, other = _without_findings(seed, index, size)
        changes.append(_rms(image - without))
        nuisance.append(_rms(other - without))
    typical = float(np.median(nuisance))
    low, high = (float(v) / typical for v in np.percentile(changes, (10, 90)))
    return Signal(name, severity, is_fine, float(np.median(changes)), typical, low, high)


@dataclass(frozen=True, slots=True)
class Loss:
    """Energy of a cue that a small image loses, over patients."""

    name: str
    is_fine: bool
    lost: float  # 1 - energy at the small size / energy at the large one, median
    low: float  # 10th percentile
    high: float  # 90th percentile
    mimic_correlation: float  # of the cue and its mimic at the small size; 1 is indistinguishable


def energy_lost(
    name: str,
    severity: float = 0.3,
    *,
    is_fine: bool = True,
    patients: int = 24,
    sizes: tuple[int, int] = (448, 224),
    seed: int = 0,
) -> Loss:
    """The energy that a cue loses from the first image size to the second.

    A fine cue has the size of its mimic (`severity` applies to coarse findings). The correlation
    with the mimic is 0 for coarse findings.

    Raises:
        ValueError: a fine finding without a cue, or sizes that do not decrease.
    """
    if is_fine:
        _check_cue(name)
    if not NATIVE >= sizes[0] > sizes[1] > 0:
        raise ValueError(f"sizes {sizes} must decrease from at most {NATIVE} to above 0")
    lost, correlations = [], []
    mimic_name = next((key for key, like in MIMICKED.items() if name in like), "")
    for index in range(patients):
        person = draw_patient(seed, index)
        acquisition = replace(draw_acquisition(seed, index, 0, 0), aspect=1.0)
        visit = Visit(index, 0, _DAY, (), ())
        finding = example(name, severity, index, is_fine=is_fine)
        if is_fine:
            finding = replace(finding, severity=mimic_severity(finding.seed))
        image = isolated_finding(finding, person, visit, acquisition, NATIVE)
        large, small = (_downsampled(image, size) for size in sizes)
        energy = float((large**2).mean())
        if energy == 0.0:
            continue  # outside the field of view
        lost.append(1.0 - float((small**2).mean()) / energy)
        if is_fine and mimic_name:
            mimic = Mimic(mimic_name, name, finding.side, finding.zone, finding.seed)
            image = isolated_finding(mimic, person, visit, acquisition, NATIVE)
            other = _downsampled(image, sizes[1])
            product = float((small * other).sum())
            correlations.append(product / float(np.sqrt((small**2).sum() * (other**2).sum())))
    if not lost:
        raise ValueError(f"{name!r} is visible in none of {patients} patients: is it rendered?")
    low, high = (float(v) for v in np.percentile(lost, (10, 90)))
    correlation = float(np.median(correlations)) if correlations else 0.0
    return Loss(name, is_fine, float(np.median(lost)), low, high, correlation)


def isolated_finding(
    item: Finding | Mimic, patient: Patient, visit: Visit, acquisition: Acquisition, size: int
) -> Singles:
    """What a finding or mimic adds to the line integrals of a visit. # [H, W]

    `item` need not be part of the visit.
    """
    if isinstance(item, Finding):
        findings = tuple(other for other in visit.findings if other != item)
        without = replace(visit, findings=findings)
        included = replace(visit, findings=(*findings, item))
    else:
        mimics = tuple(other for other in visit.mimics if other != item)
        without = replace(visit, mimics=mimics)
        included = replace(visit, mimics=(*mimics, item))
    images = []
    for state in (included, without):
        anatomy, camera = expose(patient, state, acquisition, size)
        images.append(line_integrals(anatomy, state, acquisition, camera))
    return np.asarray(images[0] - images[1], dtype=np.float32)


def example(name: str, severity: float, index: int, *, is_fine: bool = False) -> Finding:
    """A finding with a random side, zone and type of the catalogue.

    Raises:
        ValueError: the finding is not simulated, or severity is outside 0 .. 1.
    """
    spec = SPEC_BY_NAME.get(name)
    if spec is None:
        raise ValueError(f"{name!r} is not simulated: choose one of {', '.join(SPEC_BY_NAME)}")
    if not 0.0 <= severity <= 1.0:
        raise ValueError(f"severity {severity} is outside 0 .. 1")
    rng = np.random.Generator(np.random.PCG64([index, len(name), 5]))
    side, zone, kind = (
        words[int(rng.integers(len(words)))][0] for words in (spec.sides, spec.zones, spec.types)
    )
    return Finding(name, side, zone, severity, kind, int(rng.integers(1 << 40)), is_fine)


def _check_cue(name: str) -> None:
    if name not in CUES:
        raise ValueError(f"{name!r} has no fine cue: choose one of {', '.join(CUES)}")


@lru_cache(maxsize=64)
def _without_findings(seed: int, index: int, size: int) -> tuple[Floats, Floats]:
    """Two images of equal shape of a patient without findings. # [H, W] twice"""
    person = draw_patient(seed, index)
    first, second = (draw_acquisition(seed, index, visit, 0) for visit in (0, 1))
    second = replace(second, aspect=first.aspect)
    return _grey(person, first, size), _grey(person, second, size)


def _grey(person: Patient, acquisition: Acquisition, size: int, *findings: Finding) -> Floats:
    visit = Visit(person.index, 0, _DAY, findings, ())
    return render(person, visit, acquisition, size).image.astype(np.float64)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _downsampled(image: Singles, size: int) -> Floats:
    """Area averages. # [H, W] -> [size, size]"""
    picture = Image.fromarray(np.asarray(image, dtype=np.float32))
    small = picture.resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64)


def main(patients: int = 24) -> None:
    names = [spec.name for spec in FINDING_SPECS if spec.name not in NOT_DRAWN]
    print("| finding | " + " | ".join(f"{value:g}" for value in SEVERITIES) + " | 10-90% at .55 |")
    print("|---" * (len(SEVERITIES) + 2) + "|")
    nuisance = 0.0
    for name in names:
        found = [finding_rms(name, value, patients=patients, size=224) for value in SEVERITIES]
        nuisance = found[0].nuisance
        cells = " | ".join(f"{item.ratio:.3f}" for item in found)
        print(f"| {name} | {cells} | {found[2].low:.3f}-{found[2].high:.3f} |", flush=True)
    print(f"\nnuisance: {nuisance:.1f} grey levels, {patients} patients\n")
    print("| cue | tier | rms / nuisance at 768 px | energy lost 448 -> 224 | 10-90% | mimic |")
    print("|---|---|---|---|---|---|")
    for name in CUES:
        signal = finding_rms(name, 0.3, is_fine=True, patients=patients // 2, size=768)
        loss = energy_lost(name, patients=patients // 2)
        print(
            f"| {name} | fine | {signal.ratio:.4f} | {loss.lost:.0%} "
            f"| {loss.low:.0%}-{loss.high:.0%} | {loss.mimic_correlation:.2f} |",
            flush=True,
        )
    for name in ORDINARY:
        loss = energy_lost(name, 0.5, is_fine=False, patients=patients // 2)
        print(f"| {name} | coarse | | {loss.lost:.1%} | {loss.low:.1%}-{loss.high:.1%} | |")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
