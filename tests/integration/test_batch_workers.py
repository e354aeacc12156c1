"""The processes that make batches end with the main process, however it ends."""

import os
import subprocess
import sys

import pytest

import tiny_store

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
