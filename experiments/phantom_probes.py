"""Do acquisition, devices or raw pixels give the answers away? Logistic regressions that must not.

    python experiments/phantom_probes.py words --patients 4000 --seed 21
    python experiments/phantom_probes.py pixels --quads 200 --seed 22 --size 128
    python experiments/phantom_probes.py fine --quads 200 --seed 23 --size 448

words    acquisition parameters and device presence against the change labels, both tiers, at
         confound 0; and the positive controls: confound 1, a leaked label. Renders nothing.
pixels   counterfactual quads at 16 x 16 pixels: one image alone, or both side by side, against
         "has anything changed". A finding may be seen in one image, but in a quad each image
         stands in one changed and one unchanged pair. Positive controls: the state that an image
         shows, and the same label among ordinary pairs, where the sick change more often.
fine     quads of the fine tier whose two states are a finding and its mimic under one exposure:
         the difference of the two images at 32 x 32 pixels against which of them is the finding,
         and its size in grey levels beside that of another exposure of the same state.

Prints AUCs with 95% intervals by patient, cross-validated by patient
(tests/support/phantom_probe.py).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

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
from lapse.phantom.rendering.render import render
from phantom_probe import (
    acquisition_inputs,
    change_labels,
    consecutive_pairs,
    device_inputs,
    patients_of,
    probe,
)

Pairs = list[tuple[Exposure, Exposure]]
Floats = NDArray[np.float64]
MOST_LABELS = 12


def words(patients: int, seed: int) -> None:
    readers: dict[str, Callable[[Pairs], Floats]] = {
        "acquisition parameters": acquisition_inputs,
        "device presence": device_inputs,
    }
    print("| input | tier | confound | labels | pairs | mean AUC | any change | highest label |")
    print("|---|---|---|---|---|---|---|---|")
    for tier, confound in (("coarse", 0.0), ("fine", 0.0), ("coarse", 1.0)):
        config = SimulateConfig(
            patients,
            seed,
            64,
            tier=tier,
            confound=confound,
            counterfactual_fraction=0.0,
            ood_fraction=0.0,
        )
        pairs = consecutive_pairs(
            [draw_history(config, *item) for item in enumerate(assign_cohort(config))]
        )
        names, labels = change_labels(pairs, MOST_LABELS)
        for name, read in readers.items():
            *each, mean = probe(read(pairs), labels, patients_of(pairs))
            best = max(range(len(each)), key=lambda index: each[index].auc)
            print(
                f"| {name} | {tier} | {confound:g} | {len(names)} | {len(pairs)} | {mean} "
                f"| {each[0]} | {names[best]} {each[best]} |"
            )
        if tier == "coarse" and confound == 0.0:
            noise = np.random.default_rng(seed).normal(0, 2.0, (len(pairs), 1))
            inputs = np.hstack([acquisition_inputs(pairs), labels[:, :1] + noise])
            found = probe(inputs, labels[:, :1], patients_of(pairs))[0]
            print(f"| + a noisy copy of the label | {tier} | 0 | 1 | {len(pairs)} | | {found} | |")


def quads_of(count: int, seed: int, tier: str, size: int) -> list[History]:
    """So many patients, each a quad."""
    config = SimulateConfig(count, seed, size, tier=tier)
    made = [
        draw_history(config, patient, CohortRole("test", tier, is_counterfactual=True))
        for patient in range(count)
    ]
    return [history for history in made if history.exposures[0].cell]


def shrunk(history: History, exposure: Exposure, size: int, side: int) -> Floats:
    """An image as `side` x `side` block means, in grey levels. # [side * side]"""
    image = render(history.person, exposure.visit, exposure.acquisition, size).image
    small = Image.fromarray(image).resize((side, side), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64).ravel()


def pixels(count: int, seed: int, size: int) -> None:
    quads = quads_of(count, seed, "coarse", size)
    main, both, label, state, owner = [], [], [], [], []
    ordinary, is_changed, patients = [], [], []
    for history in quads:
        seen = {e.cell: shrunk(history, e, size, 16) for e in history.exposures}
        for one, two in history.pairs:
            kind = pair_kind(one.cell, two.cell)
            if kind != "state":  # across the halves of the quad
                main.append(seen[two.cell])
                both.append(np.concatenate([seen[one.cell], seen[two.cell]]))
                label.append(float(kind == "both"))
                owner.append(history.patient)
                state.append(float("pleural effusion" in {f.name for f in two.visit.findings}))
    config = SimulateConfig(2 * count, seed, size)
    for patient in range(2 * count):
        history = draw_history(config, patient, CohortRole("test", "coarse"))
        one, two = history.exposures[:2]
        ordinary.append(shrunk(history, two, size, 16))
        is_changed.append(float(bool(difference(one.visit, two.visit))))
        patients.append(patient)
    print("| pixels | label | pairs | AUC |\n|---|---|---|---|")

    def row(name: str, what: str, inputs: list[Floats], truth: list[float], who: list[int]) -> None:
        found = probe(np.array(inputs), np.array(truth)[:, None], np.array(who))[0]
        print(f"| {name} | {what} | {len(truth)} | {found} |")

    row("main image of a quad", "changed", main, label, owner)
    row("both images of a quad", "changed", both, label, owner)
    row("main image of a quad (control)", "pleural effusion is there", main, state, owner)
    row("main image, ordinary pair (control)", "changed", ordinary, is_changed, patients)


def fine(count: int, seed: int, size: int) -> None:
    quads = quads_of(count, seed, "fine", size)
    print("| fine look | quads | finding - mimic, grey levels | another exposure | AUC |")
    print("|---|---|---|---|---|")
    rows: dict[str, tuple[list[Floats], list[float], list[int]]] = {}
    sizes: dict[str, tuple[list[float], list[float]]] = {}
    for history in quads:
        by_place = {e.cell: e for e in history.exposures}
        finding, mimic = by_place["A1"], by_place["B1"]
        (change,) = difference(finding.visit, mimic.visit)
        first = shrunk(history, finding, size, 32)
        moved = first - shrunk(history, mimic, size, 32)
        exposed = first - shrunk(history, by_place["A2"], size, 32)
        is_first = derive_index(2, seed, "fine probe", history.patient) == 1
        for name in (change.finding, "all"):
            for values, kept in zip(
                (moved, exposed), sizes.setdefault(name, ([], [])), strict=True
            ):
                kept.append(float(np.sqrt((values**2).mean())))
            inputs, truth, who = rows.setdefault(name, ([], [], []))
            inputs.append(moved if is_first else -moved)
            truth.append(float(is_first))
            who.append(history.patient)
    for name in (*FINE_FINDINGS, "all"):
        if name in rows:
            inputs, truth, who = rows[name]
            found = probe(np.array(inputs), np.array(truth)[:, None], np.array(who))[0]
            small, large = (float(np.median(values)) for values in sizes[name])
            print(f"| {name} | {len(truth)} | {small:.3f} | {large:.1f} | {found} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind, size in (("words", 64), ("pixels", 128), ("fine", 448)):
        options = kinds.add_parser(kind)
        options.add_argument("--patients", type=int, default=4000)
        options.add_argument("--quads", type=int, default=200)
        options.add_argument("--seed", type=int, default=21)
        options.add_argument("--size", type=int, default=size)
    chosen = parser.parse_args()
    if chosen.kind == "words":
        words(chosen.patients, chosen.seed)
    else:
        (pixels if chosen.kind == "pixels" else fine)(chosen.quads, chosen.seed, chosen.size)


if __name__ == "__main__":
    main()
