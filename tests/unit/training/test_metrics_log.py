"""The log of a run: exact after a resume, and silent on other ranks."""

import json

import pytest

from lapse.training.metrics_log import METRICS, TIMING, MetricsLog


def test_lines_after_the_checkpoint_are_removed(tmp_path):
    log = MetricsLog(tmp_path, 0, 0, is_writing=True)
    log.write(1, {"loss": 2.5})
    size = log.size()
    log.write(2, {"loss": 1.5})
    log.write_time(2, 0.5, 32)
    log.close()
    log = MetricsLog(tmp_path, size, 1, is_writing=True)
    log.write(2, {"loss": 1.5})
    log.close()
    lines = (tmp_path / METRICS).read_text("utf-8").splitlines()
    assert list(map(json.loads, lines)) == [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 1.5}]
    (line,) = (tmp_path / TIMING).read_text("utf-8").splitlines()
    assert json.loads(line) == {"step": 2, "seconds": 0.5, "rows_per_second": 64.0}


def test_a_log_shorter_than_at_the_checkpoint_is_an_error(tmp_path):
    (tmp_path / METRICS).write_bytes(b"{}\n")
    with pytest.raises(ValueError, match="has 3 bytes, the checkpoint was saved after 4"):
        MetricsLog(tmp_path, 4, 1, is_writing=True)


def test_other_ranks_write_nothing(tmp_path):
    log = MetricsLog(tmp_path, 0, 0, is_writing=False)
    log.write(1, {"loss": 1.0})
    log.write_time(1, 1.0, 1)
    assert log.size() == 0
    log.close()
    assert list(tmp_path.iterdir()) == []
