"""Processes that make batches: how they end, and what the main process says about it."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection

import pytest

import tiny_model
import tiny_store
from lapse.data.loading import batch_workers
from lapse.data.loading.batch_stream import BalancedBatchStream
from lapse.data.loading.batch_workers import iterate_batches
from lapse.data.store.store import open_store
from lapse.training.trainer import Callbacks, train
from tiny_loading import stream_of

CHILD = """
import sys, time
from multiprocessing import active_children
from lapse.data.loading.batch_workers import iterate_batches
from lapse.data.store.store import open_store
from tiny_loading import stream_of
iterator = iterate_batches(stream_of(open_store(sys.argv[1]), train__num_workers=2), 0, 40)
next(iterator)
print(*(child.pid for child in active_children()), flush=True)
if sys.argv[2] == "wait":
    time.sleep(100)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_store.write(tmp_path_factory.mktemp("workers") / "store")


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_workers_end_with_the_main_process(end, tmp_path):
    """Also if the iterator is still open at its exit, and if it is killed."""
    folder = tiny_store.write(tmp_path / "store")
    words = [sys.executable, "-c", CHILD, folder, "wait" if end == "kill" else "exit"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as child:
        pids = [int(word) for word in child.stdout.readline().split()]
        if end == "kill":
            child.kill()
        child.communicate(timeout=60)  # until the workers too have closed its output
    assert len(pids) == 2


@pytest.mark.parametrize(
    ("number", "message"),
    [(signal.SIGKILL, r"ended \(exit code -9\)"), (signal.SIGSTOP, "no worker .* in 2 seconds")],
)
def test_a_worker_that_ends_within_a_message_is_reported(number, message, data, monkeypatch):
    def send_half(pipe, data):
        os.write(pipe.fileno(), data[: len(data) // 2])
        os.kill(os.getpid(), number)

    def batches(stream, step, *ranks):
        if step == 3:  # in the worker
            Connection._send = send_half
        return real(stream, step, *ranks)

    real = BalancedBatchStream.batches
    if number == signal.SIGSTOP:
        monkeypatch.setattr(batch_workers, "LOADER_TIMEOUT", 2.0)
    monkeypatch.setattr(BalancedBatchStream, "batches", batches)
    iterator = iterate_batches(stream_of(open_store(data), train__num_workers=2), 0, 8)
    assert len([next(iterator) for _ in range(3)]) == 3
    with pytest.raises(ValueError, match=message):
        next(iterator)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("kind", ["killed", "stopped", "hanging"])
def test_a_worker_that_dies_or_hangs_ends_the_run(kind, data, tmp_path, monkeypatch):
    """One sentence, and then the same command continues to the same bits."""
    real = BalancedBatchStream.batches

    def hang(stream, step, *ranks):
        if step == 5:
            time.sleep(100)
        return real(stream, step, *ranks)

    def send_signal(step):
        number = signal.SIGKILL if kind == "killed" else signal.SIGSTOP
        for worker in multiprocessing.active_children() if step == 2 else ():
            os.kill(worker.pid, number)

    config = tiny_model.config(train__num_workers=1)
    callbacks = Callbacks() if kind == "hanging" else Callbacks(on_step=send_signal)
    with monkeypatch.context() as patch, pytest.raises(ValueError) as error:
        if kind != "killed":
            patch.setattr(batch_workers, "LOADER_TIMEOUT", 1.0)
        if kind == "hanging":
            patch.setattr(BalancedBatchStream, "batches", hang)
        train(config, data, tmp_path / "run", callbacks=callbacks)
    expected = "ended (exit code -9)" if kind == "killed" else "made a batch in 1 seconds"
    assert expected in str(error.value) and "\n" not in str(error.value)
    assert multiprocessing.active_children() == []
    train(config, data, tmp_path / "run")
    train(config, data, tmp_path / "straight")
    for name in ("metrics.jsonl", "checkpoints/step-00000008/model.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
