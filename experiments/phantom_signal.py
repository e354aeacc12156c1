"""Tables of docs/explanation/phantom-appearance.md: findings against nuisance, small images.

python experiments/phantom_signal.py [patients]
"""

from __future__ import annotations

import sys

from lapse.phantom.analysis.visibility import energy_lost, finding_rms
from lapse.phantom.patients.catalogue import FINDING_SPECS
from lapse.phantom.rendering.fine_findings import CUES

SEVERITIES = (0.15, 0.3, 0.55, 0.9)
NOT_DRAWN = ("heart failure",)  # a syndrome of others
ORDINARY = ("pleural effusion", "pneumothorax", "edema", "granuloma", "fracture", "consolidation")


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
