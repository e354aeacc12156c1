"""Write docs/explanation/results-experiment.md and its figures from the committed results.

    python experiments/experiment_page.py [--results experiments/results] [--docs docs]

Every number, figure and decision of the page is computed from the files of the finished runs
(docs/explanation/experiment.md has the protocol and the decision rules). Needs matplotlib and
Java, as the caption metrics do (extras `track` and `metrics`).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from experiment_scores import (
    BLIND_GAP,
    ENDPOINTS,
    LOSS,
    NLL,
    OTHERS,
    RESAMPLES,
    Arm,
    Endpoints,
    Run,
    arms_of,
    blind_endpoints,
    endpoints_of,
    mean_over_seeds,
    validation_of,
)
from matplotlib import pyplot

from lapse.core.files import write_text
from lapse.core.types import Score
from lapse.metrics.bootstrap import with_intervals
from lapse.metrics.paired_tests import corrected
from lapse.workflows.paper_tables.spec import read_table

TABLE = "experiment"
REFERENCE = "ours"
EMPTY_PAGE = """# Results of the experiment

No run of the [protocol](experiment.md) is finished. This page is written by
`python experiments/experiment_page.py` from the files in `experiments/results`.
"""
FALL, MARGIN, SEEDS = -0.20, 0.10, 3  # the decision rules
CANDIDATES = {"pairs": "diffvqa-lapse-plus", "difference": "diffvqa-lapse-plus"}
CANDIDATES |= {"parallel-0": "pretrain-lapse-plus"}  # arm -> the preset it would become
MAX_LOSS, MIN_GAIN = 0.005, 0.02  # the rule for presets
PAGE = "explanation/results-experiment.md"
CLAIMS = {  # arm -> the claim of the paper: change in BLEU-4 from .594
    "cap": "captions alone are worse (Table 4: .350 against .594)",
    "global": "global contrast is worse (Table 2: .291)",
    "parallel-0": "no parallel prediction is worse (Table 6: .301)",
    "64px": "half the resolution is worse (Table 5: .384)",
    "regional": "regional contrast is worse (Table 2: .360)",
    "cap-equal-texts": "captions alone are worse (Table 4, equal number of texts)",
    "parallel-50": "parallel fraction .5 is worse (Table 6: .358)",
    "no-aref": "without AREF it is worse (Table 4: .283)",
    "no-gcap": "without GCAP it is worse (Table 4: .347)",
    "no-caref": "without CAREF it is worse (Table 4: .347)",
}


@dataclass(frozen=True)
class Decision:
    """What the rules say of one claim."""

    arm: Arm
    p_holm: float
    has_blind_reference: bool

    @property
    def verdict(self) -> str:
        """The rule that applies to the difference of change F1."""
        if self.has_blind_reference:
            return "undecided here (the reference arm is image-blind)"
        missing = SEEDS - self.arm.num_paired
        if missing > 0:
            return f"no decision yet: {missing} of {SEEDS} seeds missing (so far: {self._rule})"
        return self._rule

    @property
    def _rule(self) -> str:
        row = self.arm.differences["change F1"]
        if row.value <= FALL and row.high < 0:
            return "holds here"
        if row.low >= -MARGIN and row.high <= MARGIN:
            return "does not hold here"
        return "undecided here"


def decisions_of(arms: Sequence[Arm]) -> list[Decision]:
    """A decision for every arm with a difference, p corrected over the arms (Holm)."""
    tested = [arm for arm in arms if "change F1" in arm.differences]
    reference = [run for run in _runs(arms) if run.arm == REFERENCE]
    is_blind = any(run.image_gap is None or run.image_gap < BLIND_GAP for run in reference)
    rows = corrected([arm.differences["change F1"] for arm in tested])
    return [
        Decision(arm, row.p_holm if row.p_holm is not None else 1.0, is_blind)
        for arm, row in zip(tested, rows, strict=True)
    ]


def page(arms: Sequence[Arm], blind: Mapping[str, Mapping[str, Score]], num_planned: int) -> str:
    """The text of the page."""
    first = arms[0].runs[0]
    patients = len(set(first.patients))
    finished = ", ".join(
        f"{arm.key} ({', '.join(str(run.run.seed) for run in arm.runs if run.run)})" for arm in arms
    )
    return "\n".join(
        [
            "# Results of the experiment",
            "",
            "This page is written by `python experiments/experiment_page.py` from the files in "
            "`experiments/results`. The [protocol](experiment.md) was committed before the first "
            "run. All patients are simulated; no number on this page says what happens on real "
            "radiographs.",
            "",
            f"{sum(len(arm.runs) for arm in arms)} of {num_planned} planned runs are finished. "
            f"Arms with their seeds: {finished}. An arm that is missing here has not been run.",
            "",
            "## Decisions",
            "",
            f"d is change F1 of the arm minus change F1 of `{REFERENCE}`, on the seeds that both "
            f"have. A claim holds here if d <= {FALL:.2f} and its interval lies below zero; it "
            f"does not hold here if the interval lies within -{MARGIN:.2f} to +{MARGIN:.2f}; "
            "otherwise it is undecided here. Where a run of the reference arm is image-blind, "
            f"every claim is undecided. A claim is decided when all {SEEDS} seeds are finished.",
            "",
            *decision_table(arms),
            "",
            "![Differences from the reference arm](../images/experiment-forest.png)",
            "",
            "## Scores",
            "",
            f"Means over seeds on {len(first.ids)} difference questions of {patients} test "
            f"patients, with 95% intervals over patients ({RESAMPLES} resamples); in parentheses "
            "the range over seeds. The arrow says which direction is better. "
            f"{NLL}: nats per token of the true answer.",
            "",
            *score_table(arms, blind, ENDPOINTS),
            "",
            *score_table(arms, blind, OTHERS),
            "",
            *candidate_section(arms),
            "## Does the model look at its images?",
            "",
            "The image gap is what the images of another patient add to the validation loss of "
            f"stage 2 (nats per token, higher is better); a run below {BLIND_GAP} is image-blind. "
            "The probe is the mean AUROC over the findings of a logistic regression on the mean "
            "encoder token (.5 is chance, higher is better). Minutes are wall time, with pauses "
            "and other work on the machine.",
            "",
            *run_table(arms),
            "",
            "![Learning curves](../images/experiment-curves.png)",
            "",
            "## Provenance",
            "",
            *provenance(arms),
            "",
        ]
    )


def decision_table(arms: Sequence[Arm]) -> list[str]:
    """One row per claim."""
    lines = ["| claim of the paper | arm | seeds | d [95%] | p (Holm) | here |", "|" + "---|" * 6]
    for decision in decisions_of(arms):
        arm = decision.arm
        row = arm.differences["change F1"]
        verdict = f"**{decision.verdict}**" if arm.key in CLAIMS else "-"
        lines.append(
            f"| {CLAIMS.get(arm.key, 'none')} | `{arm.key}` | {arm.num_paired} | "
            f"{row.value:+.3f} [{row.low:+.3f}, {row.high:+.3f}] | {decision.p_holm:.4f} | "
            f"{verdict} |"
        )
    finished = {arm.key for arm in arms}
    lines += [
        f"| {claim} | `{key}` | 0 | - | - | **undecided here**, not run |"
        for key, claim in CLAIMS.items()
        if key not in finished
    ]
    return lines


def candidate_section(arms: Sequence[Arm]) -> list[str]:
    """The choice of presets on validation patients; empty without answers of their questions."""
    means: dict[str, dict[str, float]] = {}
    for arm in arms:
        seeds = [validation_of(item.run) for item in arm.runs if item.run]
        rows = [row for row in seeds if row is not None]
        if rows and len(rows) == len(seeds):
            means[arm.key] = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    if REFERENCE not in means:
        return []
    base = means[REFERENCE]
    lines = [
        "## Candidates for the presets `-lapse-plus`",
        "",
        "Scores of stage 2 on the first 400 difference questions of the **validation** patients, "
        "means over the seeds. An arm becomes a preset if its validation loss is at most "
        f"{MAX_LOSS} above that of `{REFERENCE}`, and its change F1 or its swap law is at least "
        f"{MIN_GAIN} higher while the other is not {MIN_GAIN} lower. The test scores of "
        "`parallel-0` had been seen before it became a candidate.",
        "",
        "| arm | validation loss ↓ | change F1 ↑ | swap law ↑ | preset |",
        "|---|---|---|---|---|",
    ]
    for key, row in means.items():
        gains = [row[name] - base[name] for name in ("change F1", "swap law")]
        is_better = max(gains) >= MIN_GAIN and min(gains) > -MIN_GAIN
        is_chosen = is_better and row[LOSS] - base[LOSS] <= MAX_LOSS
        preset = f"`{CANDIDATES[key]}`" if is_chosen and key in CANDIDATES else "none"
        lines.append(
            f"| `{key}` | {row[LOSS]:.4f} ({row[LOSS] - base[LOSS]:+.4f}) | "
            f"{row['change F1']:.3f} ({gains[0]:+.3f}) | {row['swap law']:.3f} ({gains[1]:+.3f}) | "
            f"{'-' if key == REFERENCE else preset} |"
        )
    return [*lines, ""]


def score_table(
    arms: Sequence[Arm], blind: Mapping[str, Mapping[str, Score]], names: Sequence[str]
) -> list[str]:
    """One row per arm, then the image-blind answers."""
    scores = arms[0].scores
    heads = [
        f"{name} {'↑' if scores[name].higher_is_better else '↓'}"
        for name in names
        if name in scores
    ]
    shown = [name for name in names if name in scores]
    lines = ["| arm | seeds | " + " | ".join(heads) + " |", "|" + "---|" * (2 + len(heads))]
    for arm in arms:
        cells = [_cell(arm.scores.get(name)) for name in shown]
        lines.append(f"| {arm.name} | {len(arm.runs)} | " + " | ".join(cells) + " |")
    for key, values in blind.items():
        cells = [_cell(values.get(name)) for name in shown]
        lines.append(f"| {key} (image-blind) | - | " + " | ".join(cells) + " |")
    return lines


def _cell(score: Score | None) -> str:
    if score is None or score.value != score.value:
        return "-"
    interval = f" [{score.low:.3f}, {score.high:.3f}]" if score.low is not None else ""
    spread = f" ({score.details['range']})" if int(score.details.get("seeds", "1")) > 1 else ""
    return f"{score.value:.3f}{interval}{spread}"


def run_table(arms: Sequence[Arm]) -> list[str]:
    """One row per run."""
    lines = [
        "| run | last validation loss | image gap | image-blind | probe AUROC | "
        "stage 1, stage 2 (min) |",
        "|" + "---|" * 6,
    ]
    for run in _runs(arms):
        loss = run.curve("diffvqa", "validate/loss")
        gap = run.image_gap
        blind = "-" if gap is None else "yes" if gap < BLIND_GAP else "no"
        minutes = (run.seconds("pretrain") / 60, run.seconds("diffvqa") / 60)
        lines.append(
            f"| {run.folder.name} | {f'{loss[-1][1]:.4f}' if loss else '-'} | "
            f"{f'{gap:.4f}' if gap is not None else '-'} | {blind} | "
            f"{f'{run.probe:.3f}' if run.probe is not None else '-'} | "
            f"{minutes[0]:.0f}, {minutes[1]:.0f} |"
        )
    return lines


def provenance(arms: Sequence[Arm]) -> list[str]:
    """The facts that all runs share, and those of single runs."""
    groups: dict[str, list[str]] = {}
    for run in _runs(arms):
        facts = run.facts
        data = "; ".join(f"{name}: {value}" for name, value in facts["data"].items())
        commit = facts.get("commit", "unknown")
        text = f"code {commit}, torch {facts['torch']} on {facts['device']}; {data}"
        groups.setdefault(text, []).append(run.folder.name)
    return [f"- {text} ({', '.join(names)})" for text, names in groups.items()]


def _runs(arms: Sequence[Arm]) -> list[Run]:
    return [item.run for arm in arms for item in arm.runs if item.run is not None]


def draw_forest(arms: Sequence[Arm], path: Path) -> None:
    """Differences of every endpoint from the reference arm, with their intervals."""
    tested = [arm for arm in arms if arm.differences]
    names = [name for name in ENDPOINTS if any(name in arm.differences for arm in tested)]
    height = 1.2 + 0.32 * max(1, len(tested))
    figure, axes = pyplot.subplots(
        1, len(names), figsize=(2.6 * len(names) + 1.4, height), sharey=True, squeeze=False
    )
    for axis, name in zip(axes[0], names, strict=True):
        for position, arm in enumerate(tested):
            row = arm.differences.get(name)
            if row is None:
                continue
            axis.plot([row.low, row.high], [position] * 2, color="#0072b2", linewidth=1.6)
            axis.plot(row.value, position, "o", color="#0072b2", markersize=4)
        axis.axvline(0, color="#444444", linewidth=0.8)
        if name == "change F1":
            axis.axvspan(-MARGIN, MARGIN, color="#009e73", alpha=0.12)
            axis.axvline(FALL, color="#d55e00", linestyle="--", linewidth=1)
        is_loss = name == NLL
        axis.set_title(f"{name}\n({'lower' if is_loss else 'higher'} is better)", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(axis="x", alpha=0.3)
    axes[0][0].set_yticks(range(len(tested)), [arm.key for arm in tested], fontsize=8)
    axes[0][0].set_ylim(len(tested) - 0.5, -0.5)
    figure.supxlabel(f"arm minus {REFERENCE}, 95% intervals over patients", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def draw_curves(arms: Sequence[Arm], path: Path) -> None:
    """Validation loss and image gap of stage 2 of every run, one colour per arm."""
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4.4), constrained_layout=True)
    colours = pyplot.get_cmap("tab20").colors
    panels = (
        ("validate/loss", "stage 2: validation loss per token (nats)"),
        ("image_gap/diff_vqa", "stage 2: added by another patient's images (nats)"),
    )
    for axis, (key, title) in zip(axes, panels, strict=True):
        for number, arm in enumerate(arms):
            for index, item in enumerate(arm.runs):
                points = item.run.curve("diffvqa", key) if item.run else []
                points = [(step, value) for step, value in points if step > 0]
                if points:
                    label = arm.key if index == 0 else None
                    axis.plot(*zip(*points, strict=True), color=colours[number % 20], label=label)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main() -> None:
    """Read the results, write the page and both figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("experiments/results"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    args = parser.parse_args()
    spec = read_table(TABLE)
    names = {row.key: row.name for row in spec.rows}
    folders = sorted(path.parent for path in args.results.glob("*-*/facts.json"))
    runs: list[Endpoints] = []
    for folder in folders:
        print(folder.name, flush=True)
        runs.append(endpoints_of(Run(folder)))
    if not runs:
        write_text(args.docs / PAGE, EMPTY_PAGE)
        return
    arms = arms_of(runs, REFERENCE, names)
    answers = runs[0].run.predictions("test") if runs[0].run else []
    blind = {
        name: with_intervals(mean_over_seeds([item]), item.patients, resamples=RESAMPLES)
        for name, item in blind_endpoints(answers, args.results).items()
    }
    images = args.docs / "images"
    draw_forest(arms, images / "experiment-forest.png")
    draw_curves(arms, images / "experiment-curves.png")
    write_text(args.docs / PAGE, page(arms, blind, SEEDS * len(names)))


if __name__ == "__main__":
    main()
