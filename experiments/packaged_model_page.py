"""The page docs/explanation/results.md, written from the scores files of packaged_model_results.py.

    OUT/<set>/diffvqa.scores.json, regions.scores.json, guarded.scores.json, OUT/answer.json
        -> targets -> page

No number and no verdict is edited by hand. Scores that a system does not have are "-".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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
CHANGE_F1 = {"coarse": 0.70, "portable": 0.60}  # name of a set -> least change F1 of beam search
PRECISION, RECALL, IDENTITY, WARNED = 0.85, 0.50, 0.98, 0.02  # of guarded answers
TITLES = {"coarse": "coarse tier", "fine": "fine tier", "portable": "portable films"}
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
class TestSet:
    """The scores of one set: task -> system -> its scores; the model is the first system.

    `guarded` holds the scores of the guarded answers.
    """

    name: str
    tasks: Mapping[str, Mapping[str, Scores]]
    subgroups: Mapping[str, Mapping[str, Mapping[str, Scores]]]
    hidden: Mapping[str, Sequence[str]]
    provenance: Mapping[str, str]
    guarded: Scores

    @property
    def title(self) -> str:
        """Its name in a sentence."""
        return TITLES[self.name]


def read_set(folder: Path) -> TestSet:
    """The scores of OUT/<set>."""
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
    guarded = _scores(read_scores(folder / "guarded.scores.json")["scores"]["guarded"])
    return TestSet(folder.name, tasks, subgroups, hidden, provenance, guarded)


def _scores(values: Mapping[str, Any]) -> dict[str, Score]:
    return {
        name: Score(
            name,
            item["value"],
            item["low"],
            item["high"],
            details=item["details"],
            higher_is_better=item["higher_is_better"],
            value_range=item["range"],
        )
        for name, item in values.items()
        if item["value"] is not None  # undefined
    }


def check_targets(sets: Sequence[TestSet]) -> list[Target]:
    """Every target with its figure: answers of beam search, boxes, guarded answers."""
    return [target for item in sets for target in (*_beam_targets(item), *_guard_targets(item))]


def _beam_targets(item: TestSet) -> list[Target]:
    systems = item.tasks["diff_vqa"]
    score = systems[MODEL]["change F1"]
    name, best = best_baseline(systems, "change F1")
    targets = []
    if (limit := CHANGE_F1.get(item.name)) is not None:
        words = f"change F1 of beam search, {item.title}"
        targets.append(Target(words, f">= {limit:.2f}", format_score(score), score.value >= limit))
    targets.append(
        Target(
            f"interval of change F1 above the best image-blind baseline, {item.title}",
            f"lower end > {best.value:.3f} ({name})",
            f"{format_score(score)} against {format_score(best)}",
            score.low is not None and score.low > best.value,
        )
    )
    score, mean_box = (item.tasks["caref"][name]["Acc@0.5"] for name in (MODEL, MEAN_BOX))
    targets.append(
        Target(
            f"boxes of named regions, Acc@0.5, {item.title}",
            f"> {mean_box.value:.3f} (mean box)",
            format_score(score),
            score.value > mean_box.value,
        )
    )
    return targets


def _guard_targets(item: TestSet) -> list[Target]:
    least = {"change precision": PRECISION, "change recall": RECALL}
    least |= {"identity": IDENTITY, "swap law": 1.0}
    most = {"unusual input rate": WARNED, "refused input rate": 0.0}
    targets = []
    for limits, sign in ((least, ">="), (most, "<=")):
        for name, limit in limits.items():
            score = item.guarded[name]
            is_met = score.value >= limit if sign == ">=" else score.value <= limit
            words = f"guarded answers: {name}, {item.title}"
            targets.append(Target(words, f"{sign} {limit:.2f}", format_score(score), is_met))
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
    path: Path, out: Path, set_names: Sequence[str], commands: Sequence[str], facts: dict[str, str]
) -> Path:
    """Write the page; returns its path.

    Args:
        path: file of the page.
        out: folder of packaged_model_results.py.
        set_names: the sets, in order.
        commands: the commands that were run.
        facts: commit, runs, seed.
    """
    sets = [read_set(out / name) for name in set_names]
    answer = json.loads((out / "answer.json").read_text(encoding="utf-8"))
    targets = check_targets(sets)
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
        "Intervals are 95%, bootstrap over patients. The seed of the test patients was not "
        "used for any training, and no patient, study or image id is shared with the stores of "
        "the two stages (checked). `experiments/packaged-model-2/tries.md` says which choices were "
        "made after test scores had been seen, and of which seed. Ordinary patients, "
        "counterfactual quadruplets and out-of-distribution groups are in one set; "
        "“Subgroups” lists them separately.",
        "The tables of difference questions are of beam search alone, as in the paper; “guarded "
        "answers” are what `lapse answer` gives ([how they are made](input-checks.md)). [Real "
        "films](real-films.md) has the figures of real films.",
    ]
    for item in sets:
        parts += _set(item)
    parts += ["## `lapse answer`", *_answer(answer), "## Provenance"]
    facts = {**facts, **_provenance(sets)}
    parts += [
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
        "Configurations, curves and training times of the runs: "
        "[experiments/packaged-model-3](../../experiments/packaged-model-3/README.md).",
        "Commands, in one folder, with the option names of version 0.2:",
        "```sh\n" + "\n".join(commands) + "\n```",
        RESEARCH_USE,
    ]
    write_text(path, "\n\n".join(parts) + "\n")
    return path


def _set(item: TestSet) -> list[str]:
    name = item.title.capitalize()
    parts = []
    for task, title in (
        ("diff_vqa", "difference questions"),
        ("caref", "boxes of named regions (CAREF)"),
        ("gcap", "phrases for boxes (GCAP)"),
    ):
        systems = item.tasks[task]
        parts += [f"## {name}: {title}", format_markdown(scores_table(systems))]
        parts.append(table_note(systems, item.provenance))
        if task == "diff_vqa":
            parts += ["### By finding", format_plain(_finding_table(systems))]
        if task == "caref":
            parts += ["### By region", format_plain(_region_table(systems))]
        parts += _subgroups(item, task)
        if task == "diff_vqa":
            rates = item.tasks["consistency"][MODEL]
            table = [["probe", "n", "value"]]
            table += [[name, rate.details["n"], format_score(rate)] for name, rate in rates.items()]
            parts += [
                "### Under probes",
                format_plain(table),
                "[Reliability](reliability.md#probes) explains each probe. Shuffled is read the "
                "other way round: an answer that stays the same ignores its reference image.",
                "### Guarded answers",
                format_plain([["score", "n", "value"], *_guarded_rows(item.guarded)]),
            ]
    return parts


def _guarded_rows(scores: Scores) -> list[list[str]]:
    return [[name, s.details.get("n", "-"), format_score(s)] for name, s in scores.items()]


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


def _subgroups(item: TestSet, task: str) -> list[str]:
    """Every subgroup that is large enough, the kinds of simulated patients first."""
    dimensions = item.subgroups.get(task, {})
    order = sorted(dimensions, key=lambda name: name not in GROUPS)
    names = [name for name in GROUP_SCORES if name in headlines(item.tasks[task][MODEL])]
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
    if hidden := item.hidden.get(task):
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


def _provenance(sets: Sequence[TestSet]) -> dict[str, str]:
    """Facts of all sets; those that differ name the set."""
    facts: dict[str, str] = {}
    for name in sets[0].provenance:
        if name not in ("command", "commit", "n"):
            values = {item.name: item.provenance.get(name, "-") for item in sets}
            is_shared = len(set(values.values())) == 1
            listed = "; ".join(f"{item} {value}" for item, value in values.items())
            facts[name] = sets[0].provenance[name] if is_shared else listed
    facts["seed of intervals and random answers"] = facts.pop("seed", "-")
    return facts
