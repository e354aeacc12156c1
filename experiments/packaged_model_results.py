"""Evaluate the packaged model on new test patients and write docs/explanation/results.md.

    python experiments/packaged_model_results.py runs/pretrain runs/diffvqa --train-store store \\
        --out OUT [--model MODEL] [--text-only RUN] [--main-only RUN] [--reference-only RUN]

    each set:  simulate --split test -> prepare -> predict, also under probes -> evaluate
               -> predict --guarded, also under probes -> evaluate
    then:      lapse answer on two PNG files, timed -> the page

The sets are clean films of the coarse and of the fine tier, and portable films of patients with a
detailed anatomy.

The seed of the patients was used by no run. Every step is a command of lapse that writes a file
to OUT. Steps whose file exists are skipped, so that a second call continues an interrupted one.
Results of another run, store or size in the same OUT are an error.
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

import packaged_model_page as page
from PIL import Image

from lapse.cli.console import commit
from lapse.core.files import sha256_of
from lapse.data.store.leakage import check_no_shared_patients
from lapse.data.store.store import open_store
from lapse.evaluation.predictions.jsonl import read_predictions
from lapse.inference.answer import answer_images
from lapse.inference.pretrained import DEFAULT, load
from lapse.phantom.patients.identity import SPLIT_FRACTIONS

LIMITS = ("pairs", "regions", "probes", "guarded", "guarded_probes")
# name of a set -> options of its simulation
SETS = {
    "coarse": ("--tier", "coarse"),
    "fine": ("--tier", "fine"),
    "portable": ("--tier", "coarse", "--anatomy", "detailed", "--portable-fraction", "1"),
}
GUARD_PROBES = ("swap", "identity")
PROBES = ("swap", "identity", "acquisition", "shuffled")
NUM_TIMED = 5  # timed calls of `lapse answer`
NUM_CORES = 2  # that these calls may use
NUM_COMPARED = 50  # pairs that are also answered by the model folder, to compare with the run


@dataclass(frozen=True)
class Step:
    """One command of lapse, the file that it writes, and a file for its output."""

    words: tuple[str, ...]
    product: Path
    log: Path | None = None


def main() -> None:
    options = _parser().parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    runs = {"pretrain": options.stage1, "diffvqa": options.stage2}
    for name in page.ABLATIONS:
        if (run := getattr(options, name.replace("-", "_"))) is not None:
            runs[name] = run
    stage_1_store = options.stage_1_store or options.train_store
    for name, run in runs.items():
        _check_training_data(run, stage_1_store if name == "pretrain" else options.train_store)
    model = options.model or out / "model"
    check_plan(out, _plan(options, runs))
    steps = list(_steps(options, runs, model))
    started = time.monotonic()
    for number, step in enumerate(steps, start=1):
        position = f"[{number}/{len(steps)}] {(time.monotonic() - started) / 60:.1f} min:"
        if step.product.exists():
            print(f"{position} exists: {step.product.relative_to(out)}", flush=True)
        else:
            print(f"{position} {show_command(step.words, out)}", flush=True)
            _run(step)
        if step.words[0] == "prepare":
            for train_store in {options.train_store, stage_1_store}:
                _check_shared_patients(train_store, step.product.parent)
            write_groups(step.product.parent.parent)
    answer = out / "answer.json"
    if not answer.exists():
        print(f"timing {NUM_TIMED} calls of lapse answer", flush=True)
        answer.write_text(json.dumps(_time_answers(out, model), indent=1) + "\n", "utf-8")
    facts = {
        "commit of the code": commit(),
        "runs": ", ".join(f"{name} ({_describe_run(run)})" for name, run in runs.items()),
        "SHA-256 of the weights": sha256_of(model / "model.safetensors"),
        "seed of the patients": str(options.seed),
        "simulated": f"{options.patients} test patients per set, images of {options.size} px",
        "largest numbers of samples": f"{options.limit_pairs} difference questions, "
        f"{options.limit_regions} of CAREF and of GCAP, {options.limit_probes} questions under "
        f"each probe, {options.limit_guarded} guarded answers and {options.limit_guarded_probes} "
        "under each probe; drawn by a hash over all patients, independent of the answers",
    }
    missing = [name for name in page.ABLATIONS if name not in runs]
    if missing:
        facts["image-blind language models"] = f"{', '.join(missing)}: not trained for this model"
    commands = [show_command(step.words, out) for step in steps]
    written = page.write_page(options.page, out, tuple(SETS), commands, facts)
    print(f"page in {written}; {(time.monotonic() - started) / 60:.1f} minutes", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("stage1", type=_folder, help="run folder of stage 1")
    add("stage2", type=_folder, help="run folder of stage 2")
    add("--model", type=_folder, help="model folder; default: exported to OUT")
    for name in page.ABLATIONS:
        add(f"--{name}", type=_folder, help=f"run folder of the {name} ablation")
    add("--train-store", type=_folder, required=True, help="store that the runs were trained on")
    add("--stage-1-store", type=_folder, help="store of stage 1, if it is another one")
    add("--out", type=lambda text: Path(text).resolve(), required=True, help="folder for all files")
    add("--page", type=Path, default=Path("docs/explanation/results.md"), help="page to write")
    add("--patients", type=int, default=1000, help="test patients per set")
    add("--seed", type=int, default=7001, help="seed of the patients")
    add("--size", type=int, default=160, help="longest side of the images in pixels")
    add("--limit-pairs", type=int, default=1500, help="difference questions per set")
    add("--limit-regions", type=int, default=1000, help="samples of CAREF, and of GCAP, per set")
    add("--limit-probes", type=int, default=500, help="questions per probe")
    add("--limit-guarded", type=int, default=500, help="guarded answers per set")
    add("--limit-guarded-probes", type=int, default=200, help="guarded answers per probe")
    add("--processes", type=int, default=1, help="processes of simulate")
    add("--no-java", action="store_true", help="skip the scores that need Java")
    return parser


def _folder(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"no folder {text}")
    return path


def _plan(options: argparse.Namespace, runs: dict[str, Path]) -> dict[str, Any]:
    """Everything that determines the numbers."""
    names = ("patients", "seed", "size", "no_java")
    names += tuple(f"limit_{name}" for name in LIMITS)
    weights = {
        name: sha256_of(_last_checkpoint(run) / "model.safetensors") for name, run in runs.items()
    }
    fingerprint = open_store(options.train_store).info.fingerprint
    values = {name: getattr(options, name) for name in names}
    return {**values, "train store": fingerprint, "runs": weights}


def check_plan(out: Path, plan: dict[str, Any]) -> None:
    """Refuse to mix results of different plans; further ablations may be added later.

    Raises:
        ValueError: OUT has results of another plan.
    """
    path = out / "plan.json"
    previous = json.loads(path.read_text(encoding="utf-8")) if path.exists() else plan
    for name in {**previous, **plan}:
        old, new = previous.get(name), plan.get(name)
        if name == "runs":
            new = {**old, **{key: new[key] for key in old if key in new}}
        if old != new:
            raise ValueError(
                f"{out} has results with {name} {old}, not {new}: give another folder with --out"
            )
    if previous["runs"].keys() != plan["runs"].keys():
        for scores in out.glob("*/diffvqa.scores.json"):
            print(f"other ablations: {scores.relative_to(out)} is computed again")
            scores.unlink()
    path.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")


def _check_training_data(run: Path, train_store: Path) -> None:
    """Refuse a run that was trained on another store than the one given for it."""
    expected = open_store(train_store).info.fingerprint
    fingerprint = json.loads((run / "run.json").read_text(encoding="utf-8"))["data"]
    if fingerprint != expected:
        raise ValueError(
            f"run {run} was trained on data {fingerprint[:16]}, the store given for it is "
            f"{expected[:16]}: give the store of the run with --train-store or --stage-1-store"
        )


def _steps(options: argparse.Namespace, runs: dict[str, Path], model: Path) -> Iterator[Step]:
    info = open_store(options.train_store).info
    if options.model is None:
        words = ("export", str(runs["pretrain"]), str(runs["diffvqa"]), str(model))
        yield Step((*words, "--data", str(options.train_store)), model / "README.md")
    for name in SETS:
        yield from _set_steps(options, runs, options.out / name, str(info.size))
        yield from _guarded_steps(options, model, options.out / name)


def _guarded_steps(options: argparse.Namespace, model: Path, folder: Path) -> Iterator[Step]:
    answers, scores = folder / "guarded.jsonl", folder / "guarded.scores.json"
    data = ("--data", str(folder / "store"))
    predict = ("predict", str(model), *data, "--guarded", "--out", str(answers))
    yield Step((*predict, "--limit", str(options.limit_guarded)), answers)
    probes: tuple[str, ...] = ()
    for probe in GUARD_PROBES:
        path = answers.with_suffix(f".{probe}.jsonl")
        probes += ("--probe", str(path))
        limit = ("--limit", str(min(options.limit_guarded_probes, options.limit_guarded)))
        yield Step((*predict, *limit, "--probe", probe), path)
    words = ("evaluate", str(answers), *data, "--baseline-data", str(options.train_store))
    words += ("--no-java",) if options.no_java else ()
    words += (*probes, "--out", str(scores))
    yield Step(words, scores, answers.with_suffix(".evaluate.md"))


def _set_steps(
    options: argparse.Namespace, runs: dict[str, Path], folder: Path, image_size: str
) -> Iterator[Step]:
    raw, store = folder / "raw", folder / "store"
    num_patients = str(round(options.patients / (1.0 - sum(SPLIT_FRACTIONS))))
    yield Step(
        (
            *("simulate", str(raw), "--patients", num_patients, "--split", "test"),
            *(*SETS[folder.name], "--seed", str(options.seed), "--size", str(options.size)),
            *("--processes", str(options.processes)),
        ),
        raw / "SIMULATED.txt",
    )
    yield Step(("prepare", str(raw), str(store), "--size", image_size), store / "store.json")
    data = ("--data", str(store))
    pairs, regions = folder / "diffvqa.jsonl", folder / "regions.jsonl"
    limit = ("--limit", str(options.limit_pairs))
    predict = ("predict", str(runs["diffvqa"]), *data)
    yield Step((*predict, *limit, "--confidence", "beam", "--out", str(pairs)), pairs)
    ablations = []
    for name in page.ABLATIONS:
        if name in runs:
            path = folder / f"{name}.jsonl"
            ablations += ["--compare-with", str(path)]
            yield Step(("predict", str(runs[name]), *data, *limit, "--out", str(path)), path)
    probes = []
    probe_limit = ("--limit", str(min(options.limit_probes, options.limit_pairs)))
    for probe in PROBES:
        path = pairs.with_suffix(f".{probe}.jsonl")
        probes += ["--probe", str(path)]
        yield Step((*predict, *probe_limit, "--probe", probe, "--out", str(pairs)), path)
    tasks = ("--tasks", "caref,gcap", "--limit", str(2 * options.limit_regions))
    yield Step(("predict", str(runs["pretrain"]), *data, *tasks, "--out", str(regions)), regions)
    common = (*data, "--baseline-data", str(options.train_store))
    common += ("--no-java",) if options.no_java else ()
    for predictions, kind, extra in (
        (pairs, "pairs", (*ablations, *probes)),
        (regions, "studies", ()),
    ):
        scores = predictions.with_suffix(".scores.json")
        groups = ("--groups", str(folder / f"groups-{kind}.csv"))
        words = ("evaluate", str(predictions), *common, *extra, *groups, "--out", str(scores))
        yield Step(words, scores, predictions.with_suffix(".evaluate.md"))


def _run(step: Step) -> None:
    """Run one command of lapse; a failure ends the program."""
    command = [sys.executable, "-m", "lapse", *step.words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode or not step.product.exists():
        raise SystemExit(f"failed with {done.returncode}: lapse {shlex.join(step.words)}")
    if step.log is not None:
        step.log.write_text(done.stdout, encoding="utf-8")


def _check_shared_patients(train_store: Path, store: Path) -> None:
    """Refuse a patient of the training store, before hours of predictions."""
    evaluated = open_store(store)
    patients = {study.patient for study in evaluated.studies}
    check_no_shared_patients(open_store(train_store), evaluated, patients)


def write_groups(folder: Path) -> None:
    """Tables for `lapse evaluate --groups`: kind of patient, quadruplet and OOD group."""
    kind_column, quadruplet_column, ood_column = page.GROUPS
    pairs, studies = [], {}
    with (folder / "raw" / "phantom" / "pairs.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            kind = "counterfactual" if row["quad"] else "OOD" if row["tail"] else "ordinary"
            ood = row["tail"] or "none"
            pairs.append((row["study_id"], row["ref_id"], kind, row["quad"] or "none", ood))
            for study in (row["study_id"], row["ref_id"]):
                studies[study] = (study, kind, ood)
    for name, header, rows in (
        (
            "groups-pairs.csv",
            ("study_id", "ref_id", kind_column, quadruplet_column, ood_column),
            pairs,
        ),
        ("groups-studies.csv", ("study_id", kind_column, ood_column), list(studies.values())),
    ):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])


def _time_answers(out: Path, model: Path) -> dict[str, object]:
    """Time `lapse answer` on two PNG files, and compare the model folder with its run."""
    folder = out / next(iter(SETS))
    store = open_store(folder / "store")
    pairs = {f"diff_vqa/{pair.id}": pair for pair in store.pairs_of("test", "difference")}
    predictions = [item for item in read_predictions(folder / "diffvqa.jsonl") if item.id in pairs]
    pair = pairs[predictions[0].id]
    files = []
    for role, study in (("reference", pair.reference), ("main", pair.main)):
        (jpeg,) = (folder / "raw" / "mimic-cxr-jpg").rglob(f"{study.id}.jpg")
        with Image.open(jpeg) as image:
            image.save(out / f"{role}.png")
        files += [f"--{role}", str(out / f"{role}.png")]
    is_packaged = model.resolve() == DEFAULT.resolve()
    words = ["answer", *([] if is_packaged else [str(model)]), *files]
    cores = sorted(os.sched_getaffinity(0))[:NUM_CORES]
    seconds, output = [], ""
    for _ in range(NUM_TIMED):
        started = time.perf_counter()
        output = subprocess.run(
            [sys.executable, "-m", "lapse", *words],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        ).stdout
        seconds.append(time.perf_counter() - started)
    loaded = load(model, device="cpu")
    num_equal = 0
    for item in predictions[:NUM_COMPARED]:
        studies = (pairs[item.id].reference, pairs[item.id].main)
        images = [loaded.open(store.pixels(study.image)).pixels for study in studies]
        answer = answer_images(loaded.answerer, loaded.parts.diffvqa, images, item.prompt)
        num_equal += answer.text == item.prediction
    return {
        "command": show_command(words, out),
        "seconds": seconds,
        "cores": len(cores),
        "output": output.splitlines(),
        "equal": num_equal,
        "compared": len(predictions[:NUM_COMPARED]),
    }


def show_command(words: Sequence[str], out: Path) -> str:
    """A command without paths of this machine: relative to OUT, or only the last name."""
    shown = []
    for word in words:
        path = Path(word)
        if path.is_absolute():
            word = str(path.relative_to(out)) if path.is_relative_to(out) else path.name
        shown.append(word)
    return f"lapse {shlex.join(shown)}"


def _last_checkpoint(run: Path) -> Path:
    steps = sorted((run / "checkpoints").glob("step-*"))
    if not steps:
        raise ValueError(f"run {run} has no checkpoint: train it first")
    return steps[-1]


def _describe_run(run: Path) -> str:
    first = (run / "config.yaml").read_text(encoding="utf-8").splitlines()[0]
    return f"{first.removeprefix('name: ')}, {_last_checkpoint(run).name}"


if __name__ == "__main__":
    main()
