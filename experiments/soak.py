"""Soak: training and prediction under random kills, full disks and races for the lock.

    python experiments/soak.py WORK --minutes 30 --seed 0

A run of each stage (the second one with worker processes) and its predictions are made once without
disturbance. Then the same is done again and again in fresh folders: a command is killed after a
random time, gets a random limit of file sizes (every write beyond it fails, as on a full disk), or
is started twice at once, until it ends with exit code 0. The weights, the log and the predictions
must then be the same bytes, no newest checkpoint and no finished prediction may be lost on the way,
and every refusal is one sentence with exit code 2. Prints one JSON object; exit code 1 if anything
differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

SMALL = (
    "train.steps=40",
    "train.save_every=5",
    "train.eval_every=20",
    "train.precision=fp32",
    "model.encoder={image_size: 64, patch_size: 16, channels: 1, width: 32, layers: 1, heads: 2, "
    "mlp_width: 64}",
)
STAGES = {  # preset: what it changes besides
    "pretrain-tiny": ("model.decoder.layers=1",),
    "diffvqa-tiny": ("model.language_model.layers=1", "train.num_workers=2"),
}
MAX_TRIES = 40
EXITS = {
    0: "finished",
    2: "refused",
    143: "stopped",
    -signal.SIGTERM: "killed",
    -signal.SIGKILL: "killed",
}


class Soak:
    """The commands of one stage in `work`, and what has happened to them."""

    def __init__(self, work: Path, seed: int) -> None:
        self.work, self.draw = work, random.Random(seed)
        self.events = Counter[str]()
        self.problems: list[str] = []

    def start(self, words: list[str], limit: int | None = None) -> subprocess.Popen[str]:
        """Start a command, with a limit of the size of every file it writes."""

        def limit_files() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        return subprocess.Popen(
            [sys.executable, "-m", "lapse", *words],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit_files,
        )

    def run(self, words: list[str]) -> None:
        """Run a command without disturbance."""
        process = self.start(words)
        message = process.communicate()[1]
        if process.returncode != 0:
            raise SystemExit(f"lapse {' '.join(words)} failed: {message}")

    def disturb(self, words: list[str], out: Path, seconds: float) -> None:
        """Run a command until it ends with 0, disturbed in a random way before that."""
        before = progress(out)
        for _ in range(MAX_TRIES):
            kind = self.draw.choice(("kill", "kill", "disk", "race", "none"))
            self.events[kind] += 1
            limit = int(10 ** self.draw.uniform(2, 6)) if kind == "disk" else None
            processes = [self.start(words, limit) for _ in range(2 if kind == "race" else 1)]
            if kind == "kill":
                time.sleep(self.draw.uniform(0.0, seconds))
                processes[0].send_signal(self.draw.choice((signal.SIGKILL, signal.SIGTERM)))
            for process in processes:
                message = process.communicate()[1]
                name = EXITS.get(process.returncode)
                self.events[name or "other exit"] += 1
                if name is None or "Traceback" in message:
                    text = f"{process.returncode} {message[-300:]}"
                    self.problems.append(f"{' '.join(words)} ({kind}): {text}")
            after = progress(out)
            if any(new < old for new, old in zip(after, before, strict=True)):
                self.problems.append(f"{' '.join(words)} ({kind}): {before} became {after}")
            before = after
            if any(process.returncode == 0 for process in processes):
                return
        self.problems.append(f"{' '.join(words)}: not finished after {MAX_TRIES} tries")


def progress(out: Path) -> tuple[int, int]:
    """The step of the newest complete checkpoint of a run, and its finished predictions."""
    steps = (int(path.name[5:]) for path in out.glob("checkpoints/step-*[0-9]"))
    files = (*out.glob("*.jsonl.partial/rank-0.tsv"), *out.glob("predictions.jsonl"))
    rows = (path.read_bytes().count(b"\n") for path in files)
    return max(steps, default=0), max(rows, default=0)


def digest(folder: Path) -> str:
    """SHA-256 over the last checkpoint, the log and the predictions of a run."""
    total = hashlib.sha256()
    last = sorted((folder / "checkpoints").glob("step-*[0-9]"))[-1]
    for path in (*sorted(last.iterdir()), folder / "metrics.jsonl", folder / "predictions.jsonl"):
        total.update(path.read_bytes())
    return total.hexdigest()


def commands(work: Path, preset: str, out: Path) -> tuple[list[str], list[str]]:
    """Training and prediction of one run."""
    data = ["--data", str(work / "store"), "--out"]
    train = ["train", preset, *SMALL, *STAGES[preset], *data, str(out)]
    predict = ["predict", str(out), "--num-beams", "1", *data, str(out / "predictions.jsonl")]
    return train, predict


def main() -> None:
    """Parse the arguments, soak, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    soak, work = Soak(options.work, options.seed), options.work
    if not (work / "store").exists():
        soak.run(["simulate", str(work / "raw"), "--patients", "12", "--size", "128"])
        soak.run(["prepare", str(work / "raw"), str(work / "store"), "--size", "64"])
    expected, seconds = {}, {}
    for preset in STAGES:
        out = work / "straight" / preset
        for words in commands(work, preset, out):
            start = time.monotonic()
            soak.run(words)
            seconds[preset, words[0]] = time.monotonic() - start
        expected[preset] = digest(out)
    start, runs, equal = time.monotonic(), 0, 0
    while time.monotonic() - start < 60.0 * options.minutes:
        preset = list(STAGES)[runs % len(STAGES)]
        out = work / f"run-{runs}"
        for words in commands(work, preset, out):
            soak.disturb(words, out, seconds[preset, words[0]])
        runs += 1
        equal += digest(out) == expected[preset]
    result = {
        "minutes": round((time.monotonic() - start) / 60.0, 1),
        "seed": options.seed,
        "runs": runs,
        "bit-identical": equal,
        "events": dict(soak.events),
        "problems": soak.problems,
    }
    print(json.dumps(result, indent=1))
    raise SystemExit(0 if equal == runs and not soak.problems else 1)


if __name__ == "__main__":
    main()
