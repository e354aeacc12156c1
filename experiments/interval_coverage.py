"""How often do the bootstrap intervals by patient cover the true value? A simulation.

    python experiments/interval_coverage.py [--trials 1000]

Patients have 1 to 8 answers and a skill, so that the answers of one patient fail
together. The true values are known. Each row gives the fraction of trials whose 95% interval
covers the true value: of a fraction of answers that is low, middle or high, and of the F1 of a
frequent and of a rare finding. `docs/explanation/evaluation.md` quotes the table.
"""

from __future__ import annotations

import argparse

import numpy as np

from lapse.core.types import Score
from lapse.metrics.bootstrap import with_intervals
from lapse.metrics.statistics import fraction_score, pooled_scores

PATIENTS = (10, 20, 30, 50, 100, 200)
SPREAD = 2.0  # a + b of the beta distribution of skills: answers of a patient correlate by 1/3
FRACTIONS = {"fraction .10": 0.1, "fraction .50": 0.5, "fraction .95": 0.95}
PREVALENCES = {"F1, in 30% of answers": 0.3, "F1, in 2% of answers": 0.02}
SKILL = 0.6  # mean skill in naming a finding
RESAMPLES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    generator = np.random.default_rng(0)
    names = (*FRACTIONS, *PREVALENCES)
    print("| patients | " + " | ".join(names) + " |")
    print("|---" * (1 + len(names)) + "|")
    for num_patients in PATIENTS:
        covered = dict.fromkeys(names, 0)
        defined = dict.fromkeys(names, 0)
        for trial in range(trials):
            scores, true_values, patients = simulate(generator, num_patients)
            scored = with_intervals(scores, patients, resamples=RESAMPLES, seed=trial)
            for name, score in scored.items():
                if score.low is not None and score.high is not None:
                    defined[name] += 1
                    covered[name] += score.low <= true_values[name] <= score.high
        cells = (f"{covered[name] / max(1, defined[name]):.2f}" for name in names)
        print(f"| {num_patients} | " + " | ".join(cells) + " |", flush=True)


def simulate(
    generator: np.random.Generator, num_patients: int
) -> tuple[dict[str, Score], dict[str, float], list[str]]:
    """The scores of one trial, their true values, and the patient of each answer."""
    counts = generator.integers(1, 9, num_patients)
    owner = np.repeat(np.arange(num_patients), counts)
    patients = [str(number) for number in owner]
    scores, true_values = {}, {}
    for name, fraction in FRACTIONS.items():
        skill = generator.beta(SPREAD * fraction, SPREAD * (1 - fraction), num_patients)[owner]
        hits = (generator.random(len(owner)) < skill).astype(float)
        scores[name] = fraction_score(name, hits, np.ones_like(hits), {})
        true_values[name] = fraction
    for name, prevalence in PREVALENCES.items():
        skill = generator.beta(SPREAD * SKILL, SPREAD * (1 - SKILL), num_patients)[owner]
        true = generator.random(len(owner)) < prevalence
        correct = true & (generator.random(len(owner)) < skill)
        false = generator.random(len(owner)) < prevalence * (1 - SKILL)
        predicted = correct | (~true & false)
        rows = np.stack([correct, predicted, true], axis=1).astype(float)
        scores[name] = pooled_scores(name, rows, 0, {})[f"{name} F1"]
        named = prevalence * SKILL + (1 - prevalence) * prevalence * (1 - SKILL)
        true_values[name] = 2 * prevalence * SKILL / (named + prevalence)
    return scores, true_values, patients


if __name__ == "__main__":
    main()
