"""docs/results.md: the model in the box on fresh simulated patients, both tiers, beside blind rows.

    python experiments/box_results.py RUNS/pretrain RUNS/diffvqa --train-store STORE --work WORK \
        --beside RUNS/text-only RUNS/main-only --page docs/results.md

For each tier: simulate (test patients alone), prepare, predict, predict under probes, evaluate.
Every step is skipped when what it writes is there, so the command goes on after a kill. The page
is written from the scores files; no figure on it is typed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TIERS = ("coarse", "fine")
PROBES = ("swap", "identity", "acquisition", "shuffled")
CAPTION = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr")
CHANGE = ("change precision", "change recall", "change F1", "added F1", "missing F1", "level F1")
PARTS = ("added", "missing", "level")
ANSWER = (*CAPTION, *CHANGE, "exact match", "unparsed rate")


def lapse(*arguments: object) -> None:
    """One command of lapse, shown before it runs."""
    words = [str(part) for part in arguments]
    print("lapse", *words, flush=True)
    subprocess.run([sys.executable, "-m", "lapse", *words], check=True)


def step(done: Path, *arguments: object) -> None:
    """A command that is left out when its file is there."""
    if not done.exists():
        lapse(*arguments)


def score_tier(told: argparse.Namespace, tier: str, seed: int) -> Path:
    """All files of one tier below WORK/tier; returns that folder."""
    work: Path = told.work / tier
    work.mkdir(parents=True, exist_ok=True)
    raw, store = work / "raw", work / "store"
    step(raw / "SIMULATED.txt", "simulate", raw, "--patients", told.drawn, "--only", "test",
         "--seed", seed, "--size", told.size, "--tier", tier)  # fmt: skip
    step(store / "store.json", "prepare", raw, store, "--size", told.side)
    limit = ("--data", store, "--limit", told.limit)
    answers, regions = work / "diffvqa.jsonl", work / "regions.jsonl"
    step(answers, "predict", told.stage2, *limit, "--out", answers, "--confidence", "beam")
    probes = [answers.with_suffix(f".{probe}.jsonl") for probe in PROBES]
    step(probes[-1], "predict", told.stage2, *limit, "--out", answers, "--probe", ",".join(PROBES))
    step(regions, "predict", told.stage1, "--data", store, "--limit", told.regions,
         "--tasks", "caref,gcap", "--out", regions)  # fmt: skip
    beside = []
    for run in told.beside:
        other = work / f"{run.name}.jsonl"
        step(other, "predict", run, *limit, "--out", other)
        beside += ["--beside", other]
    truth = ("--data", store, "--blind-from", told.train_store)
    step(work / "diffvqa.scores.json", "evaluate", answers, *truth, *beside,
         *[word for path in probes for word in ("--probe", path)],
         "--groups", raw / "phantom" / "pairs.csv",
         "--out", work / "diffvqa.scores.json")  # fmt: skip
    step(work / "regions.scores.json", "evaluate", regions, *truth,
         "--out", work / "regions.scores.json")  # fmt: skip
    return work


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def shown(score: dict[str, Any] | None) -> str:
    """A value with its interval."""
    if score is None:
        return ""
    text = f"{score['value']:.3f}"
    if score["low"] is not None:
        text += f" [{score['low']:.3f}, {score['high']:.3f}]"
    return text


def table(names: tuple[str, ...], rows: dict[str, dict[str, Any]]) -> list[str]:
    """Markdown: a line a score, a column a system."""
    lines = ["| score | " + " | ".join(rows) + " |", "|---" * (len(rows) + 1) + "|"]
    for name in names:
        if any(name in scores for scores in rows.values()):
            cells = [shown(scores.get(name)) for scores in rows.values()]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def rows_of(scores: dict[str, Any], task: str, own: str) -> dict[str, dict[str, Any]]:
    """Ours first, then whatever stands beside it."""
    rows = {own: scores["scores"][task]}
    for name, tasks in scores["beside"].items():
        if task in tasks:
            rows[Path(name).stem if name.endswith(".jsonl") else name] = tasks[task]
    return rows


def bars(tiers: dict[str, tuple[dict[str, Any], dict[str, Any]]], seconds: float) -> list[str]:
    """The bars that were set before the run, each with its figure and whether it is met."""
    coarse, regions = tiers["coarse"]
    f1 = coarse["scores"]["diff_vqa"]["change F1"]
    found = [("change F1, coarse tier", "at least .75", shown(f1), f1["value"] >= 0.75)]
    for tier, (scores, _) in tiers.items():
        rows = rows_of(scores, "diff_vqa", "ours")
        own = rows.pop("ours")["change F1"]
        name, best = max(rows.items(), key=lambda row: row[1]["change F1"]["value"])
        text = f"{shown(own)} against {shown(best['change F1'])} ({name})"
        met = own["low"] > best["change F1"]["value"]
        found.append((f"change F1, {tier} tier", "interval above the best blind row", text, met))
    caref = rows_of(regions, "caref", "ours")
    own, mean = caref["ours"]["Acc@0.5"], caref["mean box"]["Acc@0.5"]
    text = f"{shown(own)} against {shown(mean)}"
    met = own["value"] >= 0.90 and own["low"] > mean["value"]
    found.append(("CAREF Acc@0.5", "at least .90 and above the mean box", text, met))
    for tier, (scores, _) in tiers.items():
        same = scores["scores"]["consistency"]["identity"]
        bar = (f"identity: nothing has changed, {tier} tier", "at least .90")
        found.append((*bar, shown(same), same["value"] >= 0.90))
    found.append(("lapse answer, two PNGs", "under 3 s", f"{seconds:.2f} s", seconds < 3.0))
    lines = ["| bar | asked | found | met |", "|---|---|---|---|"]
    lines += [f"| {name} | {asked} | {text} | {'yes' if ok else '**no**'} |"
              for name, asked, text, ok in found]  # fmt: skip
    return [*lines, ""]


def is_main(name: str) -> bool:
    """One score for each finding or region: its change F1, or its Acc@0.5."""
    words = name.split()
    return name.startswith("Acc") or (words[-1] == "F1" and words[-2] not in PARTS)


def parts_table(scores: dict[str, Any], kind: str) -> list[str]:
    """One line for each single finding or region, best first."""
    own = {
        name: score
        for name, score in scores.items()
        if score["details"].get("kind") == kind and is_main(name)
    }
    lines = ["| score | value | n |", "|---|---|---|"]
    for name, score in sorted(own.items(), key=lambda item: -item[1]["value"]):
        details = score["details"]
        lines.append(f"| {name} | {shown(score)} | {details.get('true', details.get('n', ''))} |")
    return [*lines, ""] if own else []


def page(told: argparse.Namespace, folders: dict[str, Path], seconds: float) -> str:
    """The whole page."""
    tiers = {
        tier: (read(work / "diffvqa.scores.json"), read(work / "regions.scores.json"))
        for tier, work in folders.items()
    }
    facts = tiers["coarse"][0]["provenance"]
    lines = [
        "# The model in the box: results",
        "",
        "Simulated patients only: nothing on this page says anything about real radiographs. "
        "Research use only. Written by `experiments/box_results.py` from its scores files.",
        "",
        *bars(tiers, seconds),
    ]
    for tier, (answers, regions) in tiers.items():
        told_by = answers["provenance"]
        lines += [f"## {tier.capitalize()} tier", ""]
        lines += [f"{told_by['n']} difference questions and {regions['provenance']['n']} regions "
                  f"of test patients that no run has seen, seed {told.seed + TIERS.index(tier)} of "
                  "the phantom. Intervals are 95%, resampled by patient.", ""]  # fmt: skip
        lines += ["### Answers to difference questions (beam 10)", ""]
        rows = rows_of(answers, "diff_vqa", "**model in the box**")
        lines += table(ANSWER, rows)
        own = answers["scores"]["diff_vqa"]
        lines += ["### By finding", "", *parts_table(own, "finding")]
        lines += ["### Probes", "", "| probe | value |", "|---|---|"]
        lines += [f"| {name} | {shown(score)} |"
                  for name, score in answers["scores"].get("consistency", {}).items()]  # fmt: skip
        lines += ["", "### Subgroups: change F1", "", "| group | change F1 |", "|---|---|"]
        for dimension, parts in answers.get("subgroups", {}).get("diff_vqa", {}).items():
            lines += [f"| {dimension}: {name} | {shown(scores.get('change F1'))} |"
                      for name, scores in parts.items()]  # fmt: skip
        lines += ["", "### Regions of the pretrained decoder (greedy)", ""]
        lines += table(("Acc@0.5", "mean IoU", "malformed rate"),
                       rows_of(regions, "caref", "CAREF, model in the box"))  # fmt: skip
        lines += parts_table(regions["scores"]["caref"], "region")
        lines += table(CAPTION, rows_of(regions, "gcap", "GCAP, model in the box"))
    lines += ["## Where the numbers come from", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", "```sh", f"python experiments/box_results.py {told.stage1} {told.stage2} "
              f"--train-store {told.train_store} --beside {' '.join(map(str, told.beside))} "
              f"--work {told.work} --page {told.page}", "```", ""]  # fmt: skip
    return "\n".join(lines)


def answer_seconds(told: argparse.Namespace, work: Path) -> float:
    """Wall seconds of `lapse answer` on two images of the tier, the start of Python included."""
    images = sorted((work / "raw" / "mimic-cxr-jpg" / "files").rglob("*.jpg"))[:2]
    command = [sys.executable, "-m", "lapse", "answer", *([str(told.model)] if told.model else []),
               "--reference", str(images[0]), "--main", str(images[1])]  # fmt: skip
    found = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found.append(time.perf_counter() - start)
    return sorted(found)[1]


def main() -> None:
    """Read the arguments; make the files and the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stage1", type=Path)
    parser.add_argument("stage2", type=Path)
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="runs, e.g. text only")
    parser.add_argument("--train-store", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="model folder; default: the packaged one")
    parser.add_argument("--drawn", type=int, default=6667, help="patients; 15% are test patients")
    parser.add_argument("--seed", type=int, default=7001, help="coarse; fine is the next one")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--limit", type=int, default=1000, help="difference questions a tier")
    parser.add_argument("--regions", type=int, default=2000, help="regions a tier")
    told = parser.parse_args()
    folders = {tier: score_tier(told, tier, told.seed + n) for n, tier in enumerate(TIERS)}
    seconds = answer_seconds(told, folders["coarse"])
    told.page.write_text(page(told, folders, seconds), encoding="utf-8")
    print(f"page in {told.page}")


if __name__ == "__main__":
    main()
