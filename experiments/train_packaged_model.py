"""Train the next packaged model: both stages continue from the packaged weights.

    python experiments/train_packaged_model.py OUT [--try NAME] [--minutes 50] [--patients 30000]
        [--stage-1-steps 8000] [--stage-2-steps 5000] [--processes 2] [--set KEY=VALUE]

    data       simulated patients, half with a detailed anatomy, two of five films portable
    stage 1    pretrain-small from the packaged model, films augmented
    stage 2    diffvqa-small from the packaged model with the encoder of stage 1: films augmented,
               exchanged pairs with inverted answers, one film twice -> "nothing has changed"
    export     one model folder with input check, guard and calibration from validation patients
    scores     new patients, clean and portable: guarded and unguarded answers, identity, exchange
               (not with --limit 0)

Every film is equalised by `prepare`. Each try (`TRIES`) has a folder OUT/NAME; the data are shared.
The try `more-findings` has other patients in stage 1: findings begin 2.5 times as often.
With --minutes the command stops at the end of that time (training stops at a checkpoint); the same
command continues. The export (up to 600 guarded validation answers) is not stopped. When a try is
complete its curves are in OUT/NAME/curves, and OUT/tries.md has a row for it. The time of each
part is in OUT/NAME/seconds.jsonl. --processes is the number of processes of the simulation and of
ranks in training.

One core, bf16, measured at 128 px: 1.03 s a step of stage 1 (256 texts, 64 films) and 1.3 s a step
of stage 2 (64 pairs, 121 films, which are not cached): 2.3 and 1.8 hours of one core for 8,000 and
5,000 steps.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import packaged_model_curves
from deepen_model import deepen

from lapse.inference.pretrained import DEFAULT
from lapse.inference.pretrained.export import read_folder, write_folder
from lapse.inference.pretrained.model_card import model_card

DATA_SEED, FINDINGS_SEED, TEST_SEED = 106, 107, 7006
GRACE_SECONDS = 120.0  # from SIGTERM to the checkpoint
AUGMENT = ("data.augment.fraction=0.6",)
PAIRS = ("data.augment.exchanged_pairs=0.3", "data.augment.repeated_films=0.15")
FROM_PACKAGED = ("init_model=packaged",)
LAYERS = {"encoder": 4, "language_model": 6}  # of a deeper model
DEEPER = "deeper"  # folder in OUT: the packaged model with more blocks, and the same answers
FROM_DEEPER = (f"init_model={DEEPER}", f"model.encoder.layers={LAYERS['encoder']}")
MORE_FINDINGS = "more-findings"
# a try -> overrides of stage 1, overrides of stage 2
TRIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "continued": ((*FROM_PACKAGED, *AUGMENT), (*FROM_PACKAGED, *AUGMENT, *PAIRS)),
    "without-augmentation": (FROM_PACKAGED, FROM_PACKAGED),
    "without-pairs": ((*FROM_PACKAGED, *AUGMENT), (*FROM_PACKAGED, *AUGMENT)),
    "from-random": (AUGMENT, (*AUGMENT, *PAIRS)),
    MORE_FINDINGS: ((*FROM_PACKAGED, *AUGMENT), (*FROM_PACKAGED, *AUGMENT, *PAIRS)),
    "deeper": (
        (*FROM_DEEPER, *AUGMENT),
        (
            *FROM_DEEPER,
            f"model.language_model.layers={LAYERS['language_model']}",
            *AUGMENT,
            *PAIRS,
        ),
    ),
}
RATES = {1: "optim.learning_rate=0.0015", 2: "optim.learning_rate=0.0007"}
# name -> options of the simulation of new test patients
TEST_SETS = {
    "clean": (),
    "portable": ("--anatomy", "detailed", "--portable-fraction", "1"),
}
# part of the scores file and name of the score
SCORES = (
    *(("guarded", f"change {name}") for name in ("precision", "recall", "F1")),
    *(("guarded", name) for name in ("undecided rate", "swap law", "identity")),
    *(("guarded", f"{name} input rate") for name in ("unusual", "refused")),
    *(("guarded", f"{name}, unguarded") for name in ("change F1", "exact match")),
)


class OutOfTimeError(Exception):
    """The minutes of this call are over; the same command continues."""


@dataclass(frozen=True)
class Job:
    """The options of the command line, and when to stop."""

    out: Path
    name: str
    patients: int
    test_patients: int
    steps: tuple[int, int]
    processes: int
    limit: int
    changes: tuple[str, ...]
    stop_at: float

    @property
    def folder(self) -> Path:
        return self.out / self.name

    def run(self, part: str, *words: object, is_stoppable: bool = True, ranks: int = 1) -> None:
        """Run one `lapse` command, on several ranks if asked, until the time is over.

        A command that cannot continue is not stoppable, and runs to its end. The seconds are noted.

        Raises:
            OutOfTimeError: it was stopped. The command continues where it was when it is run again.
            SystemExit: it failed.
        """
        left = self.stop_at - time.monotonic()
        if left <= 0:
            raise OutOfTimeError
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        command = [sys.executable, *(launcher if ranks > 1 else ()), "-m", "lapse"]
        command += map(str, words)
        print(f"[{part}] lapse {' '.join(map(str, words))}", flush=True)
        started = time.monotonic()
        process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
        is_stopped = False
        try:
            process.wait(left if is_stoppable and left < float("inf") else None)
        except subprocess.TimeoutExpired:
            is_stopped = True
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        line = {"part": part, "seconds": round(time.monotonic() - started, 1)}
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "seconds.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, "complete": process.returncode == 0}) + "\n")
        if is_stopped:
            raise OutOfTimeError
        if process.returncode:
            raise SystemExit(f"{part} failed with exit code {process.returncode}")


def main() -> None:
    job = parse_options()
    try:
        patients = ("--patients", job.patients)
        stores = [prepared(job, "data", patients, DATA_SEED, TRAINING)] * 2
        if job.name == MORE_FINDINGS:
            options = (*TRAINING, "--prevalence", 2.5)
            stores[0] = prepared(job, "data-findings", patients, FINDINGS_SEED, options)
        if DEEPER in " ".join(TRIES[job.name][0]) and not (job.out / DEEPER).exists():
            write_deeper(job.out / DEEPER)
        first, second = (train(job, stores[stage - 1], stage) for stage in (1, 2))
        model = job.folder / "model"
        if not (model / "config.json").is_file():
            words = ("export", first, second, model, "--data", stores[1])
            job.run("export", *words, is_stoppable=False)
        rows = {name: score(job, model, name) for name in TEST_SETS if job.limit}
    except OutOfTimeError:
        print("out of time: the same command continues", flush=True)
        return
    packaged_model_curves.main(str(job.folder / "curves"), str(first), str(second))
    if not rows:
        return
    (job.folder / "scores.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (job.out / "tries.md").write_text(table(job.out), encoding="utf-8")
    print(table(job.out))


TRAINING = (
    *("--anatomy", "mixed", "--portable-fraction", "0.4"),
    *("--counterfactual-fraction", "0", "--ood-fraction", "0"),
)


def prepared(
    job: Job, name: str, patients: tuple[object, ...], seed: int, options: tuple[object, ...]
) -> Path:
    """A store of simulated patients; simulate and prepare continue where they were stopped."""
    folder = job.out / name
    store = folder / "store"
    if (store / "store.json").is_file():
        return store
    raw = folder / "raw"
    if not (raw / "SIMULATED.txt").is_file():
        words = (*patients, "--seed", seed, "--size", 160, "--processes", job.processes, *options)
        job.run(f"simulate {name}", "simulate", raw, *words)
    workers = 0 if job.processes == 1 else job.processes
    job.run(f"prepare {name}", "prepare", raw, store, "--size", 128, "--workers", workers)
    return store


def write_deeper(folder: Path) -> None:
    """The packaged model with more blocks that add nothing yet."""
    parts = deepen(read_folder(DEFAULT), LAYERS["encoder"], LAYERS["language_model"])
    write_folder(folder, parts, model_card(parts))


def train(job: Job, store: Path, stage: int) -> Path:
    """One stage of the try, from its last checkpoint."""
    preset = ("pretrain-small", "diffvqa-small")[stage - 1]
    run, done = job.folder / preset, job.folder / f"stage-{stage}.done"
    if done.exists():
        return run
    folder = f"init_model={job.out / DEEPER}"
    overrides = [
        folder if override == f"init_model={DEEPER}" else override
        for override in TRIES[job.name][stage - 1]
    ]
    overrides += [RATES[stage], f"train.steps={job.steps[stage - 1]}"]
    if stage == 2:
        overrides += [f"init_encoder={job.folder / 'pretrain-small'}", "data.cache_features=none"]
    command = ("train", preset, "--data", store, "--out", run, *overrides, *job.changes)
    job.run(f"stage {stage}", *command, ranks=job.processes)
    done.touch()
    return run


def score(job: Job, model: Path, name: str) -> dict[str, float | None]:
    """Scores of the exported model on new patients of one kind."""
    patients = ("--patients", job.test_patients, "--split", "test")
    store = prepared(job, f"test-{name}", patients, TEST_SEED, TEST_SETS[name])
    answers, limit = job.folder / f"{name}.jsonl", ("--limit", job.limit)
    common = ("--data", store, *limit, "--out", answers)
    if not answers.is_file():
        job.run(f"answers {name}", "predict", model, *common, "--guarded")
    probes = []
    for probe in ("swap", "identity"):
        path = job.folder / f"{name}.{probe}.jsonl"
        if not path.is_file():
            job.run(f"{probe} {name}", "predict", model, *common, "--guarded", "--probe", probe)
        probes += ["--probe", path]
    scores = job.folder / f"{name}.scores.json"
    if not scores.is_file():
        baselines = job.out / "data" / "store"
        words = ("evaluate", answers, "--data", store, "--baseline-data", baselines)
        job.run(f"scores {name}", *words, *probes, "--out", scores)
    parts = json.loads(scores.read_text(encoding="utf-8"))["scores"]
    return {
        f"{part}: {name}": parts[part][name]["value"]
        for part, name in SCORES
        if name in parts.get(part, {})
    }


def table(out: Path) -> str:
    """One row for each try and kind of test patients, as Markdown."""
    lines = ["| try | patients | " + " | ".join(name for _, name in SCORES) + " |"]
    lines.append("|" + "---|" * (2 + len(SCORES)))
    for path in sorted(out.glob("*/scores.json")):
        for kind, scores in json.loads(path.read_text(encoding="utf-8")).items():
            values = [scores.get(f"{part}: {name}") for part, name in SCORES]
            cells = ["" if value is None else f"{value:.3f}" for value in values]
            lines.append(" | ".join([f"| {path.parent.name}", kind, *cells]) + " |")
    return "\n".join(lines) + "\n"


def parse_options() -> Job:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--try", dest="name", choices=TRIES, default="continued")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--patients", type=int, default=30_000)
    parser.add_argument("--test-patients", type=int, default=6667, help="of the complete tree")
    parser.add_argument("--stage-1-steps", type=int, default=8000)
    parser.add_argument("--stage-2-steps", type=int, default=5000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--limit", type=int, default=1000, help="test questions; 0: no scores")
    parser.add_argument("--set", action="append", default=[], help="override of both stages")
    options = parser.parse_args()
    return Job(
        out=options.out.resolve(),
        name=options.name,
        patients=options.patients,
        test_patients=options.test_patients,
        steps=(options.stage_1_steps, options.stage_2_steps),
        processes=options.processes,
        limit=options.limit,
        changes=tuple(options.set),
        stop_at=time.monotonic() + 60.0 * options.minutes,
    )


if __name__ == "__main__":
    main()
