"""A stop signal to the process group of torchrun: checkpoint at the step's edge, same bits."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import tiny_model
import tiny_store
from lapse.training.checkpoint import MODEL, latest_valid_checkpoint

SUPPORT = Path(__file__).parents[1] / "support"
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(SUPPORT), *filter(None, sys.path)]),
    "OMP_NUM_THREADS": "1",
}
STEPS = 60


def start(folder: Path, name: str) -> subprocess.Popen:
    with (folder / f"{name}.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
             "2", "-m", "lapse", "train", str(folder / "config.yaml"), "--data",
             str(folder / "store"), "--out", str(folder / name)],
            env=ENVIRONMENT, start_new_session=True, stderr=log,
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "num_workers", "number"),
    [
        ("pretrain", 0, signal.SIGTERM),
        ("pretrain", 2, signal.SIGTERM),
        ("diffvqa", 0, signal.SIGTERM),
        ("diffvqa", 2, signal.SIGHUP),
    ],
)
def test_a_signal_to_the_group_of_torchrun_saves_and_resumes(
    stage, num_workers, number, tmp_path, promise
):
    tiny_store.write(tmp_path / "store")
    changes = {"train__steps": STEPS, "train__save_every": STEPS, "train__log_every": 1}
    config = tiny_model.config(stage, train__num_workers=num_workers, **changes)
    text = yaml.safe_dump(config.model_dump(mode="json"))
    (tmp_path / "config.yaml").write_text(text, "utf-8")
    straight = start(tmp_path, "straight")
    assert straight.wait(280) == 0, (tmp_path / "straight.log").read_text()[-2000:]

    stopped = start(tmp_path, "stopped")
    metrics, limit = tmp_path / "stopped" / "metrics.jsonl", time.monotonic() + 280
    while not (metrics.exists() and metrics.read_text("utf-8").count("\n") > 3):
        assert time.monotonic() < limit and stopped.poll() is None
        time.sleep(0.02)
    os.killpg(stopped.pid, number)
    assert stopped.wait(120) != 0
    saved = latest_valid_checkpoint(tmp_path / "stopped").checkpoint
    assert saved is not None and 0 < saved.step < STEPS, (tmp_path / "stopped.log").read_text()

    resumed = start(tmp_path, "stopped")
    assert resumed.wait(280) == 0, (tmp_path / "stopped.log").read_text()[-2000:]
    ends = [latest_valid_checkpoint(tmp_path / n).checkpoint for n in ("straight", "stopped")]
    assert [end.step for end in ends] == [STEPS, STEPS]
    one, two = ((end.folder / MODEL).read_bytes() for end in ends)
    promise(11, int(one == two), 1)
