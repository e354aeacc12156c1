"""The page docs/explanation/results.md, written from the scores files of packaged_model_results.py.

    OUT/<tier>/diffvqa.scores.json, regions.scores.json, OUT/answer.json -> targets -> page

No number and no verdict is edited by hand. Scores that a system does not have are "-".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lapse.core.files import write_text
from lapse.core.types import Score
from lapse.evaluation.score_tables import (
    format_markdown,
    format_plain,
    format_score,
    headlines,
    scores_table,
    table_note,
)
from lapse.evaluation.scores_file import read_scores
from lapse.inference.answer import RESEARCH_USE

ABLATIONS = ("text-only", "main-only", "reference-only")  # runs that see less than both images
GROUPS = ("kind of patient", "pair of a quadruplet", "OOD group")
MODEL, MEAN_BOX = "model", "mean box"
CHANGE_F1, ACC, IDENTITY, SECONDS = 0.75, 0.90, 0.90, 3.0
GROUP_SCORES = ("change F1", "exact match", "BLEU-4", "Acc@0.5", "mean IoU", "ROUGE-L")

Scores = Mapping[str, Score]


@dataclass(frozen=True, slots=True)
class Target:
    """A target, the measured figure, and whether the target is met."""

    what: str
    target: str
    measured: str
    is_met: bool

    @property
    def row(self) -> list[str]:
        """A line of the table."""
        return [self.what, self.target, self.measured, "met" if self.is_met else "**not met**"]


@dataclass(frozen=True, slots=True)
class Tier:
    """The scores of one tier: task -> system -> its scores; the model is the first system."""

    name: str
    tasks: Mapping[str, Mapping[str, Scores]]
    subgroups: Mapping[str, Mapping[str, Mapping[str, Scores]]]
    hidden: Mapping[str, Sequence[str]]
    provenance: Mapping[str, str]


def read_tier(folder: Path) -> Tier:
    """The scores of OUT/<tier>."""
    tasks: dict[str, dict[str, Scores]] = {}
    subgroups: dict[str, Any] = {}
    hidden: dict[str, Sequence[str]] = {}
    provenance: dict[str, str] = {}
    for name in ("regions", "diffvqa"):
        predictions = folder / f"{name}.jsonl"
        values = read_scores(
            folder / f"{name}.scores.json", predictions if predictions.is_file() else None
        )
        systems = {MODEL: values["scores"]}
        systems |= {Path(system).stem: scores for system, scores in values["comparisons"].items()}
        for system, scores_of_tasks in systems.items():
            for task, scores in scores_of_tasks.items():
                tasks.setdefault(task, {})[system] = _scores(scores)
        for task, dimensions in values["subgroups"].items():
            subgroups[task] = {
                dimension: {group: _scores(scores) for group, scores in groups.items()}
                for dimension, groups in dimensions.items()
            }
        hidden |= values["hidden_subgroups"]
        provenance = values["provenance"]
    return Tier(folder.name, tasks, subgroups, hidden, provenance)


def _scores(values: Mapping[str, Any]) -> dict[str, Score]:
    return {
        name: Score(name, item["value"], item["low"], item["high"], details=item["details"])
        for name, item in values.items()
        if item["value"] is not None  # undefined
    }


def check_targets(tiers: Sequence[Tier], seconds: Sequence[float]) -> list[Target]:
    """Every target with its figure; the target for change F1 is for the first tier."""
    score = tiers[0].tasks["diff_vqa"][MODEL]["change F1"]
    targets = [
        Target(
            f"change F1, {tiers[0].name} tier",
            f">= {CHANGE_F1:.2f}",
            format_score(score),
            score.value >= CHANGE_F1,
        )
    ]
    for tier in tiers:
        systems = tier.tasks["diff_vqa"]
        score = systems[MODEL]["change F1"]
        name, best = best_baseline(systems, "change F1")
        targets.append(
            Target(
                f"interval of change F1 above the best image-blind baseline, {tier.name} tier",
                f"lower end > {best.value:.3f} ({name})",
                f"{format_score(score)} against {format_score(best)}",
                score.low is not None and score.low > best.value,
            )
        )
    for tier in tiers:
        score, mean_box = (tier.tasks["caref"][name]["Acc@0.5"] for name in (MODEL, MEAN_BOX))
        targets.append(
            Target(
                f"CAREF Acc@0.5, {tier.name} tier",
                f">= {ACC:.2f} and above the mean box",
                f"{format_score(score)}, mean box {format_score(mean_box)}",
                score.value >= ACC and score.value > mean_box.value,
            )
        )
    for tier in tiers:
        score = tier.tasks["consistency"][MODEL]["identity"]
        targets.append(
            Target(
                f"the same image twice: “nothing has changed”, {tier.name} tier",
                f">= {IDENTITY:.2f}",
                format_score(score),
                score.value >= IDENTITY,
            )
        )
    answer = "`lapse answer` on two PNG files, including program start"
    span = f"{min(seconds):.2f} to {max(seconds):.2f} s in {len(seconds)} calls"
    measured = f"{median(seconds):.2f} s ({span})"
    targets.append(Target(answer, f"< {SECONDS:.0f} s", measured, median(seconds) < SECONDS))
    return targets


def best_baseline(systems: Mapping[str, Scores], name: str) -> tuple[str, Score]:
    """The system other than the model with the highest value of a score."""
    baselines = {
        system: scores[name]
        for system, scores in systems.items()
        if system != MODEL and name in scores
    }
    if not baselines:
        raise ValueError(f"no baseline with {name!r}: evaluate with --baseline-data STORE")
    best = max(baselines, key=lambda system: baselines[system].value)
    return best, baselines[best]


def write_page(
    path: Path, out: Path, tier_names: Sequence[str], commands: Sequence[str], facts: dict[str, str]
) -> Path:
    """Write the page; returns its path.

    Args:
        path: file of the page.
        out: folder of packaged_model_results.py.
        tier_names: the tiers, in order.
        commands: the commands that were run.
        facts: commit, runs, seed.
    """
    tiers = [read_tier(out / name) for name in tier_names]
    answer = json.loads((out / "answer.json").read_text(encoding="utf-8"))
    targets = check_targets(tiers, answer["seconds"])
    num_met = sum(target.is_met for target in targets)
    parts = [
        "# Results of the packaged model",
        f"**{RESEARCH_USE}** Simulated patients only: these results say nothing about radiographs "
        "of real patients. `experiments/packaged_model_results.py` writes this page from the "
        "scores files; no number or verdict is edited by hand.",
        f"## Targets: {num_met} of {len(targets)} met",
        format_plain(
            [["measure", "target", "result", "verdict"], *(target.row for target in targets)]
        ),
        "Intervals are 95%, bootstrap over patients. Test patients are new: their seed was not "
        "used for any training or choice, and no patient, study or image id is shared with the "
        "training store (checked). Ordinary patients, counterfactual quadruplets and "
        "out-of-distribution groups are in one set; “Subgroups” lists them separately.",
        "All answers on this page are those of beam search alone, as in the paper. [Input checks "
        "and guarded answers](input-checks.md) has the figures of the answers that `lapse answer` "
        "gives.",
    ]
    for tier in tiers:
        parts += _tier(tier)
    parts += ["## `lapse answer`", *_answer(answer), "## Provenance"]
    facts = {**facts, **_provenance(tiers)}
    parts += [
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
        "Configurations, curves and training times of the runs: "
        "[experiments/packaged-model](../../experiments/packaged-model/README.md).",
        "Commands, in one folder, with the option names of version 0.2:",
        "```sh\n" + "\n".join(commands) + "\n```",
        RESEARCH_USE,
    ]
    write_text(path, "\n\n".join(parts) + "\n")
    return path


def _tier(tier: Tier) -> list[str]:
    name = tier.name.capitalize()
    parts = []
    for task, title in (
        ("diff_vqa", "difference questions"),
        ("caref", "boxes of named regions (CAREF)"),
        ("gcap", "phrases for boxes (GCAP)"),
    ):
        systems = tier.tasks[task]
        parts += [f"## {name} tier: {title}", format_markdown(scores_table(systems))]
        parts.append(table_note(systems, tier.provenance))
        if task == "diff_vqa":
            parts += ["### By finding", format_plain(_finding_table(systems))]
        if task == "caref":
            parts += ["### By region", format_plain(_region_table(systems))]
        parts += _subgroups(tier, task)
        if task == "diff_vqa":
            rates = tier.tasks["consistency"][MODEL]
            table = [["probe", "n", "value"]]
            table += [[name, rate.details["n"], format_score(rate)] for name, rate in rates.items()]
            parts += [
                "### Under probes",
                format_plain(table),
                "[Reliability](reliability.md#probes) explains each probe. Shuffled is read the "
                "other way round: an answer that stays the same ignores its reference image.",
            ]
    return parts


def _finding_table(systems: Mapping[str, Scores]) -> list[list[str]]:
    """One line per finding: precision, recall and F1 of the model, F1 of the best baseline."""
    scores = systems[MODEL]
    findings = dict.fromkeys(
        score.details["of"] for score in scores.values() if score.details.get("kind") == "finding"
    )
    columns = ("precision", "recall", "F1", "added", "missing", "level")
    table = [["finding", "true", *columns, "best image-blind F1"]]
    for finding in findings:
        baseline = "-"
        name = f"{finding} F1"
        if any(name in other for system, other in systems.items() if system != MODEL):
            system, score = best_baseline(systems, name)
            baseline = f"{score.value:.3f} ({system})"
        f1 = scores.get(name)
        cells = [_value(scores, f"{finding} {kind}") for kind in ("precision", "recall")]
        cells.append(format_score(f1))
        cells += [_value(scores, f"{finding} {kind} F1") for kind in ("added", "missing", "level")]
        table.append([finding, f1.details.get("true", "-") if f1 else "-", *cells, baseline])
    return table


def _region_table(systems: Mapping[str, Scores]) -> list[list[str]]:
    table = [["region", "n", "Acc@0.5", "mean IoU", "mean box Acc@0.5", "mean box IoU"]]
    for name, score in systems[MODEL].items():
        region = score.details.get("of", "")
        if score.details.get("kind") == "region" and name.startswith("Acc@0.5"):
            keys = (name, f"mean IoU {region}")
            cells = [_value(systems[system], key) for system in (MODEL, MEAN_BOX) for key in keys]
            table.append([region, score.details.get("n", "-"), *cells])
    return table


def _value(scores: Scores, name: str) -> str:
    return f"{scores[name].value:.3f}" if name in scores else "-"


def _subgroups(tier: Tier, task: str) -> list[str]:
    """Every subgroup that is large enough, the kinds of simulated patients first."""
    dimensions = tier.subgroups.get(task, {})
    order = sorted(dimensions, key=lambda name: name not in GROUPS)
    names = [name for name in GROUP_SCORES if name in headlines(tier.tasks[task][MODEL])]
    lines = [
        [
            dimension,
            group,
            next((score.details["n"] for score in scores.values()), "0"),
            *(format_score(scores.get(name)) for name in names),
        ]
        for dimension in order
        for group, scores in dimensions[dimension].items()
    ]
    parts = ["### Subgroups"]
    if lines:
        parts.append(format_plain([["by", "group", "n", *names], *lines]))
    if hidden := tier.hidden.get(task):
        parts.append(f"Hidden, fewer than 50 patients or not read: {'; '.join(hidden)}.")
    return parts


def _answer(answer: Mapping[str, Any]) -> list[str]:
    output = "\n".join(answer["output"])
    return [
        f"Timed on at most {answer['cores']} cores, median of {len(answer['seconds'])} calls, "
        "including imports and loading the model. The exported model has 16-bit weights; it gave "
        f"the same text as the run for {answer['equal']} of {answer['compared']} pairs.",
        f"```text\n$ {answer['command']}\n{output}\n```",
    ]


def _provenance(tiers: Sequence[Tier]) -> dict[str, str]:
    """Facts of all tiers; those that differ name the tier."""
    facts: dict[str, str] = {}
    for name in tiers[0].provenance:
        if name not in ("command", "commit", "n"):
            values = {tier.name: tier.provenance.get(name, "-") for tier in tiers}
            is_shared = len(set(values.values())) == 1
            listed = "; ".join(f"{tier} {value}" for tier, value in values.items())
            facts[name] = tiers[0].provenance[name] if is_shared else listed
    facts["seed of intervals and random answers"] = facts.pop("seed", "-")
    return facts
