"""Prediction jobs that are killed and resumed: `python prediction_trials.py DIR KILLS`.

Every rank is a fork of this process, so that torch is imported once. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path

import torch

import tiny_model
import tiny_store
from lapse.core import files
from lapse.inference import answerers, prediction_job
from lapse.inference.predict import PredictOptions
from lapse.training.trainer import train

OPTIONS = PredictOptions(num_beams=2, batch_size=3)


def start(folder: Path, name: str, rank: int, size: int, kill_at: int | None) -> int:
    """Fork one rank of a job; it kills itself after `kill_at` calls of some functions."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.environ |= {
            "SLURM_STEP_NUM_TASKS": str(size),
            "SLURM_PROCID": str(rank),
            "SLURM_LOCALID": str(rank),
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_JOB_ID": str(os.getppid() + sum(map(ord, name))),
        }
        calls = Counter[str]()

        def count(*_: object) -> None:
            calls["all"] += 1
            if calls["all"] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        real = answerers.ModelAnswerer.answer

        def answer(self, samples, pixels):
            with (folder / f"{name}.answered").open("a") as file:
                file.write("".join(f"{sample.id}\n" for sample in samples))
            count()
            answers = real(self, samples, pixels)
            count()
            return answers

        answerers.ModelAnswerer.answer = answer
        real_merge = prediction_job.merge

        def merge(*arguments):
            count()
            real_merge(*arguments)
            count()

        prediction_job.merge = merge
        real_sync = files.sync
        files.sync = lambda path: (count(), real_sync(path))
        prediction_job.predict_to_file(
            folder / "run", folder / "store", "test", folder / name, OPTIONS
        )
        code = 0
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    finally:
        os._exit(code)


def job(folder: Path, name: str, size: int, kill_at: int | None = None) -> list[int]:
    """Run a job with `size` ranks; the first killed rank ends all, as torchrun does."""
    pids = [
        start(folder, name, rank, size, kill_at if rank == size - 1 else None)
        for rank in range(size)
    ]
    codes = {}
    while len(codes) < len(pids):
        pid, status = os.wait()
        codes[pid] = os.waitstatus_to_exitcode(status)
        if codes[pid] != 0:
            for other in pids:
                if other not in codes:
                    os.kill(other, signal.SIGKILL)
    return [codes[pid] for pid in pids]


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    tiny_store.write(folder / "store")
    train(tiny_model.config(train__steps=2), folder / "store", folder / "run")
    codes = {size: job(folder, f"ranks-{size}.jsonl", size) for size in (1, 2, 3)}
    expected = (folder / "ranks-1.jsonl").read_bytes()
    draw = random.Random(7)
    equal, repeated, killed = 0, 0, 0
    for trial in range(kills):
        name = f"trial-{trial}.jsonl"
        kill_at = draw.randrange(1, 36)
        first = job(folder, name, draw.choice((1, 1, 2)), kill_at)
        killed += -signal.SIGKILL in first
        last = job(folder, name, draw.choice((1, 1, 2)))
        is_equal = set(last) == {0} and (folder / name).read_bytes() == expected
        equal += is_equal and not (folder / f"{name}.partial").exists()
        answered = Counter((folder / f"{name}.answered").read_text().splitlines())
        repeated = max(repeated, answered.total() - len(answered))
    print(
        json.dumps(
            {
                "codes": codes,
                "ranks": [
                    (folder / f"ranks-{size}.jsonl").read_bytes() == expected for size in codes
                ],
                "rows": len(expected.splitlines()),
                "equal": equal,
                "killed": killed,
                "repeated": repeated,
            }
        )
    )
