"""The log of a run: metrics.jsonl without times, timing.jsonl, and TensorBoard if installed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TextIO

from lapse.core.files import writing

METRICS, TIMING, TENSORBOARD = "metrics.jsonl", "timing.jsonl", "tensorboard"


class MetricsLog:
    """Writes the log of a run; does nothing on ranks other than 0.

    Args:
        folder: the run folder.
        size: bytes of metrics.jsonl when the checkpoint was saved. Lines after them, of a killed
            run, are removed; the resumed run writes them again, byte for byte.
        step: the step of the checkpoint.
        is_writing: whether this rank writes.

    Raises:
        ValueError: metrics.jsonl is shorter than `size`.
    """

    def __init__(self, folder: Path, size: int, step: int, *, is_writing: bool) -> None:
        self._folder = folder
        self._files: dict[str, TextIO] = {}
        self._board: _Board | None = None
        if not is_writing:
            return
        path = folder / METRICS
        path.touch()
        if path.stat().st_size < size:
            raise ValueError(
                f"{path} has {path.stat().st_size} bytes, the checkpoint was saved after {size}: "
                "the log was cut; restore it or start another run"
            )
        os.truncate(path, size)
        self._files = {
            name: (folder / name).open("a", encoding="utf-8") for name in (METRICS, TIMING)
        }
        self._board = _tensorboard(folder / TENSORBOARD, step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """One line {"step": ..., name: value ...}."""
        self._append(METRICS, {"step": step, **values})
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def write_time(self, step: int, seconds: float, rows: int) -> None:
        """The duration of the steps since the last line."""
        rate = rows / seconds
        self._append(TIMING, {"step": step, "seconds": round(seconds, 4), "rows_per_second": rate})

    def size(self) -> int:
        """Bytes of metrics.jsonl on the disk, 0 where this rank does not write."""
        if METRICS not in self._files:
            return 0
        os.fsync(self._files[METRICS].fileno())
        return (self._folder / METRICS).stat().st_size

    def close(self) -> None:
        """Close the files."""
        for file in (*self._files.values(), self._board):
            if file is not None:
                file.close()

    def _append(self, name: str, line: Mapping[str, float]) -> None:
        if name in self._files:
            with writing(self._folder / name):
                self._files[name].write(json.dumps(line) + "\n")
                self._files[name].flush()


def read_curve(folder: Path, key: str) -> tuple[tuple[int, float], ...]:
    """(step, value) of one key of a run's metrics.jsonl, in order."""
    lines = map(json.loads, (folder / METRICS).read_text(encoding="utf-8").splitlines())
    return tuple((int(line["step"]), float(line[key])) for line in lines if key in line)


class _Board(Protocol):
    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...

    def close(self) -> None: ...


def _tensorboard(folder: Path, step: int) -> _Board | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    board: _Board = SummaryWriter(str(folder), purge_step=step)
    return board
