"""The results page of the model in the box: fresh test patients -> answers -> scores -> page.

    python experiments/box_results.py runs/pretrain runs/diffvqa --train-store store --out box \\
        [--model MODEL] [--text-only RUN] [--main-only RUN] [--reference-only RUN]

    for each tier:  simulate --split test -> prepare -> predict, and under probes -> evaluate
    then:           lapse answer on two PNG files, timed -> docs/explanation/results.md

Patients are drawn from a seed that no run has seen. Every step is a command of lapse that leaves
a file in OUT; a step whose file is there is not done again, so a second call goes on where the
first one stopped. Another run, store or size in the same OUT is refused.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import box_page
from PIL import Image

from lapse.cli.console import commit
from lapse.core.files import sha256_of
from lapse.data.store.leakage import refuse_shared
from lapse.data.store.store import open_store
from lapse.evaluation.predictions.jsonl import read_predictions
from lapse.inference.answer import answer_images
from lapse.inference.pretrained import DEFAULT, load
from lapse.phantom.patients.identity import SPLIT_FRACTIONS

TIERS = ("coarse", "fine")
PROBES = ("swap", "identity", "acquisition", "shuffled")
TIMED = 5  # calls of `lapse answer`, of which the median counts
CORES = 2  # that these calls may use
AGREED = 50  # pairs that the model folder answers as well, to be compared with the run


@dataclass(frozen=True)
class Step:
    """One command of lapse and the file that it leaves; `log` takes what it prints."""

    words: tuple[str, ...]
    product: Path
    log: Path | None = None


def main() -> None:
    options = _parser().parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    runs = {"pretrain": options.stage1, "diffvqa": options.stage2}
    for name in box_page.BESIDE:
        if (run := getattr(options, name.replace("-", "_"))) is not None:
            runs[name] = run
    _same_runs(runs, options.train_store)
    model = options.model or out / "model"
    _same_plan(out, _plan(options, runs))
    steps = list(_steps(options, runs, model))
    started = time.monotonic()
    for number, step in enumerate(steps, start=1):
        place, minutes = f"[{number}/{len(steps)}]", (time.monotonic() - started) / 60
        if step.product.exists():
            print(f"{place} there already: {step.product.relative_to(out)}", flush=True)
        else:
            print(f"{place} {minutes:.1f} min: {_shown(step.words, out)}", flush=True)
            _run(step)
        if step.words[0] == "prepare":
            _check_apart(options.train_store, step.product.parent)
            write_groups(step.product.parent.parent)
    answered = out / "answer.json"
    if not answered.exists():
        print(f"timing lapse answer: {TIMED} calls", flush=True)
        answered.write_text(json.dumps(_answered(out, model), indent=1) + "\n", encoding="utf-8")
    facts = {
        "commit of the code": commit(),
        "runs": ", ".join(f"{name} ({_preset(run)})" for name, run in runs.items()),
        "SHA-256 of the model's weights": sha256_of(model / "model.safetensors"),
        "seed of the patients": str(options.seed),
        "simulated": f"{options.patients} test patients a tier, images of {options.size} px",
        "samples at most": f"{options.limit_pairs} difference questions, {options.limit_regions} "
        f"CAREF and as many GCAP; {options.limit_probes} questions under each probe; chosen by "
        "a hash over all patients, independent of the answers",
    }
    commands = [_shown(step.words, out) for step in steps]
    page = box_page.write_page(options.page, out, TIERS, commands, facts)
    print(f"page: {page}; {(time.monotonic() - started) / 60:.1f} minutes", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    absolute = _existing
    parser.add_argument("stage1", type=absolute, help="run folder of stage 1")
    parser.add_argument("stage2", type=absolute, help="run folder of stage 2")
    parser.add_argument("--model", type=absolute, help="model folder; default: exported to OUT")
    for name in box_page.BESIDE:
        parser.add_argument(f"--{name}", type=absolute, help=f"run folder of the {name} row")
    parser.add_argument("--train-store", type=absolute, required=True, help="of both runs")
    parser.add_argument("--out", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--page", type=Path, default=Path("docs/explanation/results.md"))
    parser.add_argument("--patients", type=int, default=1000, help="test patients a tier")
    parser.add_argument("--seed", type=int, default=7001)
    parser.add_argument("--size", type=int, default=160, help="longest image side in pixels")
    parser.add_argument("--limit-pairs", type=int, default=1500, help="difference questions a tier")
    parser.add_argument("--limit-regions", type=int, default=1000, help="CAREF, and GCAP, a tier")
    parser.add_argument("--limit-probes", type=int, default=500, help="questions a probe")
    parser.add_argument("--processes", type=int, default=1, help="of simulate")
    parser.add_argument("--no-java", action="store_true", help="leave out scores that need Java")
    return parser


def _existing(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"no folder {text}")
    return path


def _plan(options: argparse.Namespace, runs: dict[str, Path]) -> dict[str, Any]:
    """What decides every number, for the check that OUT holds no other results."""
    numbers = ("patients", "seed", "size", "limit_pairs", "limit_regions", "limit_probes")
    weights = {name: sha256_of(_newest(run) / "model.safetensors") for name, run in runs.items()}
    store = open_store(options.train_store).info.fingerprint
    chosen = {name: getattr(options, name) for name in (*numbers, "no_java")}
    return {**chosen, "train store": store, "runs": weights}


def _same_plan(out: Path, plan: dict[str, Any]) -> None:
    """Refuse to go on with other numbers; further rows beside the model may come later."""
    path = out / "plan.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else plan
    for name in {**before, **plan}:
        old, new = before.get(name), plan.get(name)
        if name == "runs":
            old, new = old, {**old, **{key: new[key] for key in old if key in new}}
        if old != new:
            raise ValueError(
                f"{out} holds results with {name} {old}, not {new}: name another --out"
            )
    if before["runs"].keys() != plan["runs"].keys():
        for scores in out.glob("*/diffvqa.scores.json"):
            print(f"other rows beside the model: {scores.relative_to(out)} is made anew")
            scores.unlink()
    path.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")


def _same_runs(runs: dict[str, Path], train_store: Path) -> None:
    """Refuse a run that was trained on another store than the blind rows know."""
    wanted = open_store(train_store).info.fingerprint
    for run in runs.values():
        told = json.loads((run / "run.json").read_text(encoding="utf-8"))["data"]
        if told != wanted:
            raise ValueError(
                f"run {run} was trained on data {told[:16]}, --train-store is {wanted[:16]}: give "
                "the store that it was trained on"
            )


def _steps(options: argparse.Namespace, runs: dict[str, Path], model: Path) -> Iterator[Step]:
    out = options.out
    if options.model is None:
        words = ("export", str(runs["pretrain"]), str(runs["diffvqa"]), str(model))
        info = open_store(options.train_store).info
        told = f"{info.counts['studies/train']:,} studies, {info.source}"
        yield Step((*words, "--trained-on", told), model / "README.md")
    side = str(open_store(options.train_store).info.size)
    drawn = str(round(options.patients / (1.0 - sum(SPLIT_FRACTIONS))))
    for tier in TIERS:
        home = out / tier
        raw, store = home / "raw", home / "store"
        words = ("simulate", str(raw), "--patients", drawn, "--split", "test", "--tier", tier)
        more = ("--seed", str(options.seed), "--size", str(options.size))
        spread = ("--processes", str(options.processes))
        yield Step((*words, *more, *spread), raw / "SIMULATED.txt")
        yield Step(("prepare", str(raw), str(store), "--size", side), store / "store.json")
        data = ("--data", str(store))
        pairs, regions = home / "diffvqa.jsonl", home / "regions.jsonl"
        limit = ("--limit", str(options.limit_pairs))
        ours = ("predict", str(runs["diffvqa"]), *data)
        yield Step((*ours, *limit, "--confidence", "beam", "--out", str(pairs)), pairs)
        others = []
        for name in box_page.BESIDE:
            if name in runs:
                path = home / f"{name}.jsonl"
                others += ["--compare-with", str(path)]
                yield Step(("predict", str(runs[name]), *data, *limit, "--out", str(path)), path)
        probed = []
        few = ("--limit", str(min(options.limit_probes, options.limit_pairs)))
        for probe in PROBES:
            path = pairs.with_suffix(f".{probe}.jsonl")
            probed += ["--probe", str(path)]
            yield Step((*ours, *few, "--probe", probe, "--out", str(pairs)), path)
        tasks = ("--tasks", "caref,gcap", "--limit", str(2 * options.limit_regions))
        words = ("predict", str(runs["pretrain"]), *data, *tasks, "--out", str(regions))
        yield Step(words, regions)
        common = (*data, "--baseline-data", str(options.train_store))
        common += ("--no-java",) if options.no_java else ()
        for file, kinds, extra in (
            (pairs, "pairs", (*others, *probed)),
            (regions, "studies", ()),
        ):
            scores = file.with_suffix(".scores.json")
            groups = ("--groups", str(home / f"groups-{kinds}.csv"))
            words = ("evaluate", str(file), *common, *extra, *groups, "--out", str(scores))
            yield Step(words, scores, file.with_suffix(".evaluate.md"))


def _run(step: Step) -> None:
    """Run one command of lapse; a failure ends everything, with what it said."""
    command = [sys.executable, "-m", "lapse", *step.words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode or not step.product.exists():
        raise SystemExit(f"failed with {done.returncode}: lapse {shlex.join(step.words)}")
    if step.log is not None:
        step.log.write_text(done.stdout, encoding="utf-8")


def _check_apart(train_store: Path, store: Path) -> None:
    """Before hours of answers: no patient of the runs is asked about."""
    opened = open_store(store)
    refuse_shared(open_store(train_store), opened, {study.patient for study in opened.studies})


def write_groups(home: Path) -> None:
    """Tables that tell ordinary patients, quads and tails apart, by pair and by study."""
    kinds, quads, tails = box_page.GROUPS
    pairs, studies = [], {}
    with (home / "raw" / "phantom" / "pairs.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            kind = "quad" if row["quad"] else "tail" if row["tail"] else "ordinary"
            tail = row["tail"] or "no tail"
            pairs.append((row["study_id"], row["ref_id"], kind, row["quad"] or "no quad", tail))
            for study in (row["study_id"], row["ref_id"]):
                studies[study] = (study, kind, tail)
    for name, head, rows in (
        ("groups-pairs.csv", ("study_id", "ref_id", kinds, quads, tails), pairs),
        ("groups-studies.csv", ("study_id", kinds, tails), list(studies.values())),
    ):
        with (home / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([head, *rows])


def _answered(out: Path, model: Path) -> dict[str, object]:
    """Time `lapse answer` on two PNG files, and set the model folder beside its run."""
    home = out / TIERS[0]
    store = open_store(home / "store")
    pairs = {f"diff_vqa/{pair.id}": pair for pair in store.pairs_of("test", "difference")}
    said = [item for item in read_predictions(home / "diffvqa.jsonl") if item.id in pairs]
    first = pairs[said[0].id]
    files = []
    for side, study in (("reference", first.reference), ("main", first.main)):
        (jpeg,) = (home / "raw" / "mimic-cxr-jpg").rglob(f"{study.id}.jpg")
        with Image.open(jpeg) as image:
            image.save(out / f"{side}.png")
        files += [f"--{side}", str(out / f"{side}.png")]
    is_packaged = model.resolve() == DEFAULT.resolve()
    words = ["answer", *([] if is_packaged else [str(model)]), *files]
    seconds, lines = [], ""
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    for _ in range(TIMED):
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "lapse", *words],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        seconds.append(time.perf_counter() - started)
        lines = done.stdout
    opened = load(model, device="cpu")
    same = 0
    for item in said[:AGREED]:
        images = [opened.open(store.pixels(s.image)).pixels
                  for s in (pairs[item.id].reference, pairs[item.id].main)]  # fmt: skip
        found = answer_images(opened.answerer, opened.parts.diffvqa, images, item.prompt)
        same += found.text == item.prediction
    return {
        "command": _shown(words, out),
        "seconds": seconds,
        "cores": len(cores),
        "said": lines.splitlines(),
        "as the run": same,
        "of": len(said[:AGREED]),
    }


def _shown(words: Sequence[str], out: Path) -> str:
    """A command as a reader types it: folders by their last names, results by their place."""
    told = []
    for word in words:
        path = Path(word)
        if path.is_absolute():
            inside = path.is_relative_to(out)
            word = str(path.relative_to(out)) if inside else path.name
        told.append(word)
    return f"lapse {shlex.join(told)}"


def _newest(run: Path) -> Path:
    steps = sorted((run / "checkpoints").glob("step-*"))
    if not steps:
        raise ValueError(f"run {run} has no checkpoint: train it first")
    return steps[-1]


def _preset(run: Path) -> str:
    first = (run / "config.yaml").read_text(encoding="utf-8").splitlines()[0]
    return f"{first.removeprefix('name: ')}, {_newest(run).name}"


if __name__ == "__main__":
    main()
