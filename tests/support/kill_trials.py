"""Training processes that are killed: `python kill_trials.py MODE DIR` of test_training_kills.

Every trial is a fork of this process, so that torch is imported once. Prints one JSON object.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import torch
import torch.distributed as dist

import tiny_model
import tiny_store
from lapse.core import files
from lapse.training import checkpoint, optim, optimizer_step, weight_files
from lapse.training import trainer as train
from lapse.training import validation as watch
from lapse.training.trainer import Callbacks

RANDOM_KILLS = 22  # of each stage and number of workers


def forked(job: Callable[[], object], *, kill_after: float | None = None) -> int:
    """Run a job in a child, which is killed after some seconds if it still runs; its exit code,
    negative for the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            job()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        except ValueError as error:
            sys.stderr.write(f"{error}\n")
            code = 2
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def digest(run: Path) -> str:
    """One SHA-256 over weights, optimizer, state and loss log at the end of a run."""
    last = sorted((run / "checkpoints").iterdir())[-1]
    total = hashlib.sha256(last.name.encode())
    for path in (*sorted(last.iterdir()), run / "metrics.jsonl"):
        total.update(path.read_bytes())
    return total.hexdigest()


def die(number: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), number)


def at_step(step: int, number: int = signal.SIGKILL) -> Callable[[int], None]:
    return lambda done: die(number) if done == step else None


def group_stop(go: Callable[..., Callable[[], object]], name: str, number: int, step: int):
    """A run in a separate process group that gets a stop signal after a step: all processes of
    the group get it, and SIGTERM twice, as from `timeout`."""

    def on_step(done: int) -> None:
        if done == step:
            os.killpg(0, number)
            if number == signal.SIGTERM:
                os.killpg(0, number)

    def job() -> None:
        os.setpgid(0, 0)
        try:
            go(name, on_step=on_step)()
        finally:
            assert multiprocessing.active_children() == [], "a worker outlives the run"

    return job


def other_seed(*parts: object) -> int:
    return hash(parts) % 1000 + os.getpid()


def in_call(owner: object, name: str, call: int) -> None:
    """Kill this process at the start of call number `call` of a function."""
    real, count = getattr(owner, name), [0]

    def killing(*arguments, **options):
        count[0] += 1
        if count[0] == call:
            die()
        return real(*arguments, **options)

    setattr(owner, name, killing)


def trials(folder: Path, stage: str, num_workers: int) -> dict[str, object]:
    """A complete run, kills at named points, stop signals, and two runs with a defect."""
    config = tiny_model.config(
        stage,
        train__num_workers=num_workers,
        train__gradient_accumulation_steps=2,
        data__parallel_fraction=0.5,
    )
    data = tiny_store.write(folder / "store")

    def go(name: str, **options):
        return lambda: train.train(config, data, folder / name, callbacks=Callbacks(**options))

    def killed(name: str, owner: object, function: str, call: int):
        in_call(owner, function, call)
        train.train(config, data, folder / name)

    started = time.monotonic()
    results: dict[str, object] = {"straight code": forked(go("straight"))}
    seconds = time.monotonic() - started
    results["straight"] = digest(folder / "straight")
    kills: dict[str, Callable[[], object]] = {
        "before any checkpoint": go("before any checkpoint", on_step=at_step(1)),
        "step edge": go("step edge", on_step=at_step(5)),
        "last step": go("last step", on_step=at_step(8)),
        **{
            name: (lambda name=name, call=call: killed(name, *call))
            for name, call in {
                "weights written": (checkpoint, "write_tensors", 2),
                "manifest": (checkpoint, "_manifest", 2),
                "sync": (files, "sync", 17),  # of the second checkpoint
                "old one dropped": (train, "prune_checkpoints", 3),
                "validation": (watch, "fixed_batches", 3),
                "clipping": (optimizer_step, "clip_gradients", 4),
            }.items()
        },
    }
    for name, job in kills.items():
        assert forked(job) == -signal.SIGKILL, name
        assert forked(go(name)) == 0, name
        results[name] = digest(folder / name)

    draw, num_killed = random.Random(f"{stage}/{num_workers}"), 0
    while num_killed < RANDOM_KILLS:
        name = f"random time {num_killed}"
        code = forked(go(name), kill_after=draw.uniform(0, seconds))
        assert code in (0, -signal.SIGKILL), name  # 0: it ended before
        if code:
            num_killed += 1
            assert forked(go(name)) == 0, name
            results[name] = digest(folder / name)
        else:
            shutil.rmtree(folder / name)

    def stopped(name: str, number: int, step: int) -> str:
        """The digest at the end if the step in work was saved, which `save_every` does not do."""
        code = forked(group_stop(go, name, number, step))
        saved = checkpoint.latest_valid_checkpoint(folder / name).checkpoint
        if saved is None or (code, saved.step) != (train.STOPPED, step + 1):
            return f"exit code {code} and {saved}"
        assert forked(go(name)) == 0, name
        return digest(folder / name)

    stops = {signal.SIGTERM: 2, signal.SIGHUP: 4, signal.SIGINT: 6, signal.SIGUSR1: 2}
    for number, first in stops.items():
        for step in (first, first % 6 + 2):
            name = f"stopped by {number} at {step}"
            results[name] = stopped(name, number, step)
    with mock.patch.object(train, "stop_signal", lambda: nullcontext(threading.Event())):
        results["without a handler"] = [stopped(f"lost {n}", n, step) for n, step in stops.items()]

    forked(go("half", on_step=at_step(5)))
    for name in ("lost optimizer", "other dropout"):
        shutil.copytree(folder / "half", folder / name)

    def lose_optimizer():
        with mock.patch.object(optim, "load_optimizer_tensors"):
            go("lost optimizer")()

    def other_dropout():
        with mock.patch.object(optimizer_step, "derive_seed", other_seed):
            go("other dropout")()

    assert forked(lose_optimizer) == forked(other_dropout) == 0
    results["sabotage"] = [digest(folder / n) for n in ("lost optimizer", "other dropout")]
    return results


def two_ranks(folder: Path, name: str, job: Callable[[int], object]) -> list[int]:
    """Call `job` with the rank in two gloo ranks; their exit codes."""

    def run_rank(rank: int) -> None:
        dist.init_process_group(
            "gloo", init_method=f"file://{folder / name}.rendezvous", rank=rank, world_size=2
        )
        job(rank)
        dist.destroy_process_group()

    (folder / f"{name}.rendezvous").unlink(missing_ok=True)
    pids = []
    for rank in range(2):
        pid = os.fork()
        if pid == 0:
            os._exit(forked(lambda rank=rank: run_rank(rank)) & 0xFF)
        pids.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def ranks(folder: Path) -> dict[str, object]:
    """One process, two gloo ranks, two ranks killed and resumed, and a poisoned sample."""
    data = tiny_store.write(folder / "store")
    plain = {"model__dropout": 0.0, "train__save_every": 2}
    poison = {**plain, "model__poison": "cap/image-003"}

    def two(name: str, changes: dict[str, object], **options) -> list[int]:
        config, callbacks = tiny_model.config(**changes), Callbacks(**options)
        job = lambda _: train.train(config, data, folder / name, callbacks=callbacks)  # noqa: E731
        return two_ranks(folder, name, job)

    def weights(name: str) -> list[float]:
        newest = checkpoint.latest_valid_checkpoint(folder / name).checkpoint
        tensors = weight_files.read_tensors(newest.folder / checkpoint.MODEL)
        return torch.cat([tensors[key].flatten() for key in sorted(tensors)]).tolist()

    def log(name: str) -> list[dict[str, float]]:
        text = (folder / name / "metrics.jsonl").read_text("utf-8")
        return [json.loads(line) for line in text.splitlines()]

    one = forked(lambda: train.train(tiny_model.config(**plain), data, folder / "one"))
    codes = two("two", plain)
    dropout = {**plain, "model__dropout": 0.2}
    straight = two("straight", dropout)
    killed = two("killed", dropout, on_step=at_step(5))
    resumed = two("killed", dropout)
    return {
        "codes": [one, *codes, *straight, *resumed],
        "killed": killed,
        "weights": [weights("one"), weights("two")],
        "logs": [log("one"), log("two")],
        "resumed": [digest(folder / "straight"), digest(folder / "killed")],
        "poisoned": two("poisoned", poison),
        "saved": [path.name for path in (folder / "poisoned").glob("checkpoints/*")],
    }


def rank_kills(folder: Path, num_kills: int) -> dict[str, str]:
    """Name -> digest of two ranks: not disturbed, one killed at each of some points, sabotaged."""
    data = tiny_store.write(folder / "store")
    config = tiny_model.config(train__save_every=1)

    def two(name: str, kill: tuple[int, int] | None = None) -> list[int]:
        def job(rank: int) -> None:
            killed = kill is not None and rank == kill[0]
            callbacks = Callbacks(on_step=at_step(kill[1])) if killed else Callbacks()
            train.train(config, data, folder / name, callbacks=callbacks)

        return two_ranks(folder, name, job)

    assert two("straight") == [0, 0]
    results = {"straight": digest(folder / "straight")}
    for number in range(num_kills):
        name = f"kill {number}"
        assert two(name, (number % 2, 1 + number % 7)) != [0, 0]
        assert two(name) == [0, 0]
        results[name] = digest(folder / name)
    with mock.patch.object(optimizer_step, "derive_seed", other_seed):
        assert two("sabotage") == [0, 0]
    return {**results, "sabotage": digest(folder / "sabotage")}


def rank_messages(folder: Path) -> list[dict[str, object]]:
    """The log messages and the progress calls of each of two ranks that resume a run."""
    data = tiny_store.write(folder / "store")
    config = tiny_model.config()
    train.train(config, data, folder / "run")
    (folder / "run" / "checkpoints" / "step-00000008" / checkpoint.MANIFEST).unlink()

    def record(rank: int) -> None:
        messages, steps = [], []
        logger, handler = logging.getLogger("lapse"), logging.Handler()
        handler.emit = lambda record: messages.append(record.getMessage())
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        callbacks = Callbacks(progress=lambda done, total: steps.append(done))
        train.train(config, data, folder / "run", callbacks=callbacks)
        text = json.dumps({"messages": messages, "progress": steps})
        (folder / f"{rank}.json").write_text(text, "utf-8")

    assert two_ranks(folder, "messages", record) == [0, 0]
    return [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(2)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    mode, folder = sys.argv[1], Path(sys.argv[2])
    warm = tiny_model.config(train__steps=1)  # torch imports some modules late: once, before forks
    train.train(warm, tiny_store.write(folder / "warm store"), folder / "warm run")
    modes = {"ranks": ranks, "messages": rank_messages}
    if mode in modes:
        result = modes[mode](folder)
    elif mode == "rank kills":
        result = rank_kills(folder, int(sys.argv[3]))
    else:
        result = trials(folder, mode, int(sys.argv[3]))
    sys.stdout.write(json.dumps(result))
