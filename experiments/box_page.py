"""docs/explanation/results.md of the packaged model, written from box_results.py's scores files.

    OUT/<tier>/diffvqa.scores.json, regions.scores.json, OUT/answer.json -> bars -> page

No number and no verdict is edited by hand. Scores of a missing row are "-".
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
from lapse.inference.answer import RESEARCH_USE

BESIDE = ("text-only", "main-only", "reference-only")  # runs that see less than both images
GROUPS = ("kind of patient", "pair of a quad", "held-out tail")
MODEL, MEAN_BOX = "model", "mean box"
CHANGE_F1, ACC, IDENTITY, SECONDS = 0.75, 0.90, 0.90, 3.0
GROUP_SCORES = ("change F1", "exact match", "BLEU-4", "Acc@0.5", "mean IoU", "ROUGE-L")

Scores = Mapping[str, Score]


@dataclass(frozen=True, slots=True)
class Bar:
    """What was wanted, what was found, and whether that is enough."""

    what: str
    wanted: str
    found: str
    is_met: bool

    @property
    def row(self) -> list[str]:
        """A line of the table."""
        return [self.what, self.wanted, self.found, "met" if self.is_met else "**not met**"]


@dataclass(frozen=True, slots=True)
class Tier:
    """The scores of one tier: task -> system -> its scores; the model comes first."""

    name: str
    tasks: Mapping[str, Mapping[str, Scores]]
    subgroups: Mapping[str, Mapping[str, Mapping[str, Scores]]]
    hidden: Mapping[str, Sequence[str]]
    provenance: Mapping[str, str]


def read_tier(home: Path) -> Tier:
    """The scores of OUT/<tier>."""
    tasks: dict[str, dict[str, Scores]] = {}
    subgroups: dict[str, Any] = {}
    hidden: dict[str, Sequence[str]] = {}
    provenance: dict[str, str] = {}
    for name in ("regions", "diffvqa"):
        values = json.loads((home / f"{name}.scores.json").read_text(encoding="utf-8"))
        for task, scores in values["scores"].items():
            tasks.setdefault(task, {})[MODEL] = _scores(scores)
        for row, found in values["comparisons"].items():
            for task, scores in found.items():
                tasks.setdefault(task, {})[Path(row).stem] = _scores(scores)
        subgroups |= values["subgroups"]
        hidden |= values["hidden_subgroups"]
        provenance = values["provenance"]
    groups = {
        task: {
            dimension: {group: _scores(scores) for group, scores in part.items()}
            for dimension, part in found.items()
        }
        for task, found in subgroups.items()
    }
    return Tier(home.name, tasks, groups, hidden, provenance)


def _scores(values: Mapping[str, Any]) -> dict[str, Score]:
    return {
        name: Score(name, one["value"], one["low"], one["high"], details=one["details"])
        for name, one in values.items()
    }


def bars(tiers: Sequence[Tier], seconds: Sequence[float]) -> list[Bar]:
    """Every bar with its figure; the first tier is the one that the change F1 is wanted in."""
    first = tiers[0].tasks["diff_vqa"][MODEL]["change F1"]
    found = [
        Bar(
            f"change F1, {tiers[0].name} tier",
            f">= {CHANGE_F1:.2f}",
            format_score(first),
            first.value >= CHANGE_F1,
        )
    ]
    for tier in tiers:
        rows = tier.tasks["diff_vqa"]
        ours = rows[MODEL]["change F1"]
        best, score = best_blind(rows, "change F1")
        found.append(
            Bar(
                f"interval of change F1 above the best image-blind baseline, {tier.name} tier",
                f"lower end > {score.value:.3f} ({best})",
                f"{format_score(ours)} against {format_score(score)}",
                ours.low is not None and ours.low > score.value,
            )
        )
    for tier in tiers:
        ours, blind = (tier.tasks["caref"][row]["Acc@0.5"] for row in (MODEL, MEAN_BOX))
        found.append(
            Bar(
                f"CAREF Acc@0.5, {tier.name} tier",
                f">= {ACC:.2f} and above the mean box",
                f"{format_score(ours)}, mean box {format_score(blind)}",
                ours.value >= ACC and ours.value > blind.value,
            )
        )
    for tier in tiers:
        score = tier.tasks["consistency"][MODEL]["identity"]
        found.append(
            Bar(
                f"the same image twice: “nothing has changed”, {tier.name} tier",
                f">= {IDENTITY:.2f}",
                format_score(score),
                score.value >= IDENTITY,
            )
        )
    middle = median(seconds)
    span = f"{min(seconds):.2f} to {max(seconds):.2f} s in {len(seconds)} calls"
    answer = "`lapse answer` on two PNG files, including program start"
    found.append(Bar(answer, f"< {SECONDS:.0f} s", f"{middle:.2f} s ({span})", middle < SECONDS))
    return found


def best_blind(rows: Mapping[str, Scores], name: str) -> tuple[str, Score]:
    """The row beside the model that has most of a score."""
    blind = {row: scores[name] for row, scores in rows.items() if row != MODEL and name in scores}
    if not blind:
        raise ValueError(f"no baseline with {name!r}: evaluate with --baseline-data STORE")
    best = max(blind, key=lambda row: blind[row].value)
    return best, blind[best]


def write_page(
    path: Path,
    out: Path,
    names: Sequence[str],
    commands: Sequence[str],
    facts: Mapping[str, str],
) -> Path:
    """Write the page; returns its path.

    Args:
        path: of the page.
        out: folder of box_results.py.
        names: of the tiers, in order.
        commands: as they were run.
        facts: commit, runs, seed.
    """
    tiers = [read_tier(out / name) for name in names]
    answer = json.loads((out / "answer.json").read_text(encoding="utf-8"))
    found = bars(tiers, answer["seconds"])
    num_met = sum(bar.is_met for bar in found)
    parts = [
        "# Results of the packaged model",
        f"**{RESEARCH_USE}** Simulated patients only: these results say nothing about radiographs "
        "of real patients. `experiments/box_results.py` writes this page from the scores files; "
        "no number or verdict is edited by hand.",
        f"## Targets: {num_met} of {len(found)} met",
        format_plain([["measure", "target", "result", "verdict"], *(bar.row for bar in found)]),
        "Intervals are 95%, bootstrap over patients. Test patients are new: their seed was not "
        "used for any training or choice, and no patient, study or image id is shared with the "
        "training store (checked). Ordinary patients, counterfactual quadruplets (“quad”) and "
        "out-of-distribution groups (“tail”) are in one set; “Subgroups” lists them separately.",
    ]
    for tier in tiers:
        parts += _tier(tier)
    parts += ["## `lapse answer`", *_answer(answer), "## Provenance"]
    told = {**facts, **_provenance(tiers)}
    parts.append("\n".join(f"- {name}: {value}" for name, value in told.items()))
    parts.append(
        "Configurations, curves and training times of the runs: "
        "[experiments/packaged-model](../../experiments/packaged-model/README.md)."
    )
    parts += [
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
        ("gcap", "words for boxes (GCAP)"),
    ):
        rows = tier.tasks[task]
        parts += [f"## {name} tier: {title}", format_markdown(scores_table(rows))]
        parts.append(table_note(rows, tier.provenance))
        if task == "diff_vqa":
            parts += ["### By finding", format_plain(_by_finding(rows))]
        if task == "caref":
            parts += ["### By region", format_plain(_by_region(rows))]
        parts += _subgroups(tier, task)
        if task == "diff_vqa":
            laws = tier.tasks["consistency"][MODEL]
            table = [[law, score.details["n"], format_score(score)] for law, score in laws.items()]
            parts += [
                "### Under probes",
                format_plain([["probe", "n", "value"], *table]),
                "[Reliability](reliability.md#probes) explains each probe. Shuffled is read the "
                "other way round: an answer that stays the same ignores its reference image.",
            ]
    return parts


def _by_finding(rows: Mapping[str, Scores]) -> list[list[str]]:
    """One line a finding: precision, recall and F1 of the model, F1 of the best blind row."""
    ours = rows[MODEL]
    findings = dict.fromkeys(
        score.details["of"] for score in ours.values() if score.details.get("kind") == "finding"
    )
    head = ["finding", "true", "precision", "recall", "F1", "added", "missing", "level"]
    table = [[*head, "best image-blind F1"]]
    for finding in findings:
        best = "-"
        if any(f"{finding} F1" in scores for row, scores in rows.items() if row != MODEL):
            row, score = best_blind(rows, f"{finding} F1")
            best = f"{score.value:.3f} ({row})"
        whole = ours.get(f"{finding} F1")
        cells = [_value(ours, f"{finding} {kind}") for kind in ("precision", "recall")]
        cells.append(format_score(whole))
        cells += [_value(ours, f"{finding} {kind} F1") for kind in ("added", "missing", "level")]
        table.append([finding, whole.details.get("true", "-") if whole else "-", *cells, best])
    return table


def _by_region(rows: Mapping[str, Scores]) -> list[list[str]]:
    table = [["region", "n", "Acc@0.5", "mean IoU", "mean box Acc@0.5", "mean box IoU"]]
    for name, score in rows[MODEL].items():
        region = score.details.get("of", "")
        if score.details.get("kind") == "region" and name.startswith("Acc@0.5"):
            iou = f"mean IoU {region}"
            cells = [_value(rows[row], key) for row in (MODEL, MEAN_BOX) for key in (name, iou)]
            table.append([region, score.details.get("n", "-"), *cells])
    return table


def _value(scores: Scores, name: str) -> str:
    return f"{scores[name].value:.3f}" if name in scores else "-"


def _subgroups(tier: Tier, task: str) -> list[str]:
    """Every group that may be shown, the kinds of phantom patients first."""
    found = tier.subgroups.get(task, {})
    order = [name for name in GROUPS if name in found] + [n for n in found if n not in GROUPS]
    names = [name for name in GROUP_SCORES if name in headlines(tier.tasks[task][MODEL])]
    lines = [
        [
            dimension,
            group,
            next((score.details["n"] for score in scores.values()), "0"),
            *(format_score(scores.get(name)) for name in names),
        ]
        for dimension in order
        for group, scores in found[dimension].items()
    ]
    parts = ["### Subgroups"]
    if lines:
        parts.append(format_plain([["by", "group", "n", *names], *lines]))
    if hidden := tier.hidden.get(task):
        parts.append(f"Hidden, fewer than 50 patients: {'; '.join(hidden)}.")
    return parts


def _answer(answer: Mapping[str, Any]) -> list[str]:
    said = "\n".join(answer["said"])
    return [
        f"Timed on at most {answer['cores']} cores, median of {len(answer['seconds'])} calls, "
        "including imports and loading the model. The exported model has 16-bit weights; it gave "
        f"the same text as the run for {answer['as the run']} of {answer['of']} pairs.",
        f"```text\n$ {answer['command']}\n{said}\n```",
    ]


def _provenance(tiers: Sequence[Tier]) -> dict[str, str]:
    """What all tiers share once, what differs by tier."""
    left_out = ("command", "commit", "n")
    told: dict[str, str] = {}
    for name in tiers[0].provenance:
        if name not in left_out:
            values = [tier.provenance.get(name, "-") for tier in tiers]
            each = zip([tier.name for tier in tiers], values, strict=True)
            same = len(set(values)) == 1
            told[name] = values[0] if same else "; ".join(f"{tier} {one}" for tier, one in each)
    told["seed of intervals and random answers"] = told.pop("seed", "-")
    return told
