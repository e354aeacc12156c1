"""Shortcut probes: logistic regressions from acquisition, devices or pixels to the answers.

    python experiments/phantom_probes.py words --patients 4000 --seed 21
    python experiments/phantom_probes.py pixels --quadruplets 200 --seed 22 --size 128
    python experiments/phantom_probes.py fine --quadruplets 200 --seed 23 --size 448

words    From acquisition parameters and device presence to the change labels, in both tiers
         without confounding; positive controls: confound 1, a leaked label. Renders no image.
pixels   Counterfactual quadruplets at 16 x 16 pixels: from one image, or both images, to "has
         anything changed". Each image of a quadruplet is part of one changed and one unchanged
         pair. Positive controls: the state of the image, and the same label of ordinary pairs,
         where sick patients change more often.
fine     Quadruplets of the fine tier with a finding and its mimic in one exposure: from the
         difference of the two images at 32 x 32 pixels to the one that has the finding; and the
         size of the difference in grey levels, compared with another exposure of the same state.

`--anatomy detailed --portable-fraction .4` simulates these patients. Prints AUCs with 95%
intervals, cross-validated by patient (tests/support/phantom_probe.py).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from lapse.core.seeding import derive_index
from lapse.phantom.dataset.cohort import CohortRole, assign_cohort
from lapse.phantom.dataset.history import Exposure, History, draw_history
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.patients.counterfactuals import pair_kind
from lapse.phantom.patients.findings import difference
from lapse.phantom.patients.mimics import FINE_FINDINGS
from lapse.phantom.patients.patient import ANATOMIES
from lapse.phantom.rendering.render import render
from phantom_probe import (
    Floats,
    Pairs,
    acquisition_inputs,
    change_labels,
    consecutive_pairs,
    device_inputs,
    patients_of,
    probe,
)

MAX_LABELS = 12


def words(patients: int, seed: int, **phantom: Any) -> None:
    inputs: dict[str, Callable[[Pairs], Floats]] = {
        "acquisition parameters": acquisition_inputs,
        "device presence": device_inputs,
    }
    print("| input | tier | confound | labels | pairs | mean AUC | any change | highest label |")
    print("|---|---|---|---|---|---|---|---|")
    options = {"counterfactual_fraction": 0.0, "ood_fraction": 0.0, **phantom}
    for tier, confound in (("coarse", 0.0), ("fine", 0.0), ("coarse", 1.0)):
        config = SimulateConfig(patients, seed, 64, tier=tier, confound=confound, **options)
        cohort = enumerate(assign_cohort(config))
        pairs = consecutive_pairs([draw_history(config, *item) for item in cohort])
        names, labels = change_labels(pairs, MAX_LABELS)
        for name, extract in inputs.items():
            *aucs, mean = probe(extract(pairs), labels, patients_of(pairs))
            best = max(range(len(aucs)), key=lambda index: aucs[index].value)
            print(
                f"| {name} | {tier} | {confound:g} | {len(names)} | {len(pairs)} | {mean} "
                f"| {aucs[0]} | {names[best]} {aucs[best]} |"
            )
        if tier == "coarse" and confound == 0.0:
            noise = np.random.default_rng(seed).normal(0, 2.0, (len(pairs), 1))
            leaked = np.hstack([acquisition_inputs(pairs), labels[:, :1] + noise])
            auc = probe(leaked, labels[:, :1], patients_of(pairs))[0]
            print(f"| + a noisy copy of the label | {tier} | 0 | 1 | {len(pairs)} | | {auc} | |")


def quadruplets(count: int, seed: int, tier: str, size: int, **phantom: Any) -> list[History]:
    """The quadruplets among `count` patients."""
    config = SimulateConfig(count, seed, size, tier=tier, **phantom)
    role = CohortRole("test", tier, is_counterfactual=True)
    histories = [draw_history(config, patient, role) for patient in range(count)]
    return [history for history in histories if history.exposures[0].cell]


def downsampled(history: History, exposure: Exposure, size: int, side: int) -> Floats:
    """An image as `side` x `side` block means, in grey levels. # [side * side]"""
    image = render(history.person, exposure.visit, exposure.acquisition, size).image
    small = Image.fromarray(image).resize((side, side), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64).ravel()


def pixels(count: int, seed: int, size: int, **phantom: Any) -> None:
    main, both, is_changed, has_effusion, patients = [], [], [], [], []
    for history in quadruplets(count, seed, "coarse", size, **phantom):
        image_of = {e.cell: downsampled(history, e, size, 16) for e in history.exposures}
        for reference, current in history.pairs:
            kind = pair_kind(reference.cell, current.cell)
            if kind != "state":  # across the halves of the quadruplet
                main.append(image_of[current.cell])
                both.append(np.concatenate([image_of[reference.cell], image_of[current.cell]]))
                is_changed.append(float(kind == "both"))
                patients.append(history.patient)
                names = {finding.name for finding in current.visit.findings}
                has_effusion.append(float("pleural effusion" in names))
    ordinary, ordinary_labels, ordinary_patients = [], [], []
    config = SimulateConfig(2 * count, seed, size, **phantom)
    for patient in range(2 * count):
        history = draw_history(config, patient, CohortRole("test", "coarse"))
        reference, current = history.exposures[:2]
        ordinary.append(downsampled(history, current, size, 16))
        ordinary_labels.append(float(bool(difference(reference.visit, current.visit))))
        ordinary_patients.append(patient)
    print("| pixels | label | pairs | AUC |\n|---|---|---|---|")
    rows = (
        ("main image of a quadruplet", "changed", main, is_changed, patients),
        ("both images of a quadruplet", "changed", both, is_changed, patients),
        ("main image of a quadruplet (control)", "pleural effusion", main, has_effusion, patients),
        ("ordinary main image (control)", "changed", ordinary, ordinary_labels, ordinary_patients),
    )
    for name, label, inputs, labels, groups in rows:
        print(f"| {name} | {label} | {len(labels)} | {auc_of(inputs, labels, groups)} |")


def auc_of(inputs: list[Floats], labels: list[float], patients: list[int]) -> str:
    return str(probe(np.array(inputs), np.array(labels)[:, None], np.array(patients))[0])


def fine(count: int, seed: int, size: int, **phantom: Any) -> None:
    print("| fine finding | quadruplets | finding - mimic, grey levels | another exposure | AUC |")
    print("|---|---|---|---|---|")
    rows: dict[str, tuple[list[Floats], list[float], list[int]]] = {}
    magnitudes: dict[str, tuple[list[float], list[float]]] = {}
    for history in quadruplets(count, seed, "fine", size, **phantom):
        by_cell = {e.cell: e for e in history.exposures}
        finding, mimic = by_cell["A1"], by_cell["B1"]
        (change,) = difference(finding.visit, mimic.visit)
        image = downsampled(history, finding, size, 32)
        by_state = image - downsampled(history, mimic, size, 32)
        by_exposure = image - downsampled(history, by_cell["A2"], size, 32)
        is_first = derive_index(2, seed, "fine probe", history.patient) == 1
        for name in (change.finding, "all"):
            lists = magnitudes.setdefault(name, ([], []))
            for values, target in zip((by_state, by_exposure), lists, strict=True):
                target.append(rms(values))
            inputs, labels, patients = rows.setdefault(name, ([], [], []))
            inputs.append(by_state if is_first else -by_state)
            labels.append(float(is_first))
            patients.append(history.patient)
    for name in (*FINE_FINDINGS, "all"):
        if name in rows:
            inputs, labels, patients = rows[name]
            small, large = (float(np.median(values)) for values in magnitudes[name])
            auc = auc_of(inputs, labels, patients)
            print(f"| {name} | {len(labels)} | {small:.3f} | {large:.1f} | {auc} |")


def rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt((values**2).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, size in (("words", 64), ("pixels", 128), ("fine", 448)):
        options = commands.add_parser(command)
        options.add_argument("--patients", type=int, default=4000)
        options.add_argument("--quadruplets", type=int, default=200)
        options.add_argument("--seed", type=int, default=21)
        options.add_argument("--size", type=int, default=size)
        options.add_argument("--anatomy", choices=ANATOMIES, default="plain")
        options.add_argument("--portable-fraction", type=float, default=0.0)
    options = parser.parse_args()
    phantom = {"anatomy": options.anatomy, "portable_fraction": options.portable_fraction}
    if options.command == "words":
        words(options.patients, options.seed, **phantom)
    else:
        run = pixels if options.command == "pixels" else fine
        run(options.quadruplets, options.seed, options.size, **phantom)


if __name__ == "__main__":
    main()
