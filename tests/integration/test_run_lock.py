"""One process at a time writes to a run folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tiny_model
import tiny_store
import tiny_tree
from lapse.core.files import file_lock, writer_lock
from lapse.training.run_folder import LOCK, run_lock
from lapse.training.trainer import Callbacks, train
from lapse.workflows.paper_tables.run import run_tables
from small_table import ROWS, spec

COMMAND = [sys.executable, "-m", "lapse", "train"]


def test_a_second_train_exits_with_the_id_of_the_first(tmp_path):
    data, out = tiny_store.write(tmp_path / "store"), tmp_path / "run"
    second = []

    def start_second(step: int) -> None:
        if step == 3:
            done = subprocess.run(
                [*COMMAND, str(out / "config.yaml"), "--data", str(data), "--out", str(out)],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            second.append(done)

    train(tiny_model.config(), data, out, callbacks=Callbacks(on_step=start_second))
    (done,) = second
    assert done.returncode == 2, done.stderr
    assert (
        done.stderr.strip().count("\n") == 0 and f"process {os.getpid()} writes to" in done.stderr
    )
    assert train(tiny_model.config(), data, out).resumed_from == 8  # free again


def test_a_child_of_a_killed_holder_does_not_hold_the_lock(tmp_path):
    ready, is_ready = os.pipe()
    end, is_over = os.pipe()
    holder = os.fork()
    if holder == 0:
        with run_lock(tmp_path / "run"):
            if os.fork() == 0:
                os.close(is_over)
                os.write(is_ready, b"x")
                os.read(end, 1)  # returns when the test closes the other end, or ends
                os._exit(0)
            os.read(end, 1)
        os._exit(1)
    assert os.read(ready, 1) == b"x"
    refused = pytest.raises(ValueError, match=f"process {holder} writes to")
    with refused, run_lock(tmp_path / "run"):
        raise AssertionError
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    with run_lock(tmp_path / "run"):  # the child of the holder lives
        assert (tmp_path / "run" / LOCK).read_text("utf-8") == f"{os.getpid()}\n"
    os.close(is_over)


def test_a_second_writer_of_a_store_is_refused(tmp_path):
    """Two real processes: the second one names the first."""
    tree = tiny_tree.write_tree(tmp_path / "raw")
    lock = tmp_path / "out.shards" / "lock"
    with file_lock(lock, print):
        done = subprocess.run(
            [sys.executable, "-m", "lapse", "prepare", tree, tmp_path / "out", "--size", "16"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert f"process {os.getpid()} writes to {tmp_path / 'out'}" in done.stderr


def test_a_second_writer_of_a_table_is_refused(tmp_path):
    data = tiny_store.write(tmp_path / "store")
    refused = pytest.raises(ValueError, match=f"process {os.getpid()} writes to")
    with file_lock(tmp_path / "tables" / "t.lock", print), refused:
        run_tables({"t": spec(rows=ROWS[:1])}, [data], tmp_path / "tables")
    with writer_lock(tmp_path / "free" / "lock", tmp_path):
        assert (tmp_path / "free" / "lock").exists()
    assert not (tmp_path / "free").exists()


def test_a_failed_start_leaves_no_folder(tmp_path):
    with pytest.raises(KeyError), run_lock(tmp_path / "run"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/run", "taken"])
def test_an_unusable_output_folder_is_one_sentence(name, tmp_path):
    data = tiny_store.write(tmp_path / "store")
    (tmp_path / "file").write_text("text", "utf-8")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "photo.jpg").touch()
    done = subprocess.run(
        [*COMMAND, "pretrain-tiny", "--data", str(data), "--out", str(Path(tmp_path / name))],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip().startswith("error: ") and done.stderr.strip().count("\n") == 0
    assert str(tmp_path) in done.stderr
