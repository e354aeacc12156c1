"""The rows by name, running them, and the table of their results."""

from __future__ import annotations

import importlib
import json
import logging
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

from benchmarks.row import Row
from lapse.core.types import nearest

ROWS = (
    "encode_once",
    "pretrain_step",
    "answer_loss",
    "finetune_step",
    "beam",
    "batched_answers",
    "prepare",
    "store_read",
    "batch_workers",
    "padding",
    "scoring",
    "simulate",
    "ranks",
    "growth",
)

logger = logging.getLogger("lapse.benchmarks")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row that was run: `row`, or the reason why there is none.

    `cpu_seconds` are those of this process and its children: what `seconds` would be on an idle
    machine.
    """

    name: str
    seconds: float
    cpu_seconds: float
    row: Row | None
    reason: str = ""

    def lines(self) -> list[str]:
        """The outcome as lines for a terminal."""
        return [f"{self.name}: not run: {self.reason}"] if self.row is None else self.row.lines()


def run_rows(names: Sequence[str]) -> list[Outcome]:
    """Run rows one after another, on one thread.

    Args:
        names: of `ROWS`, or "all".

    Raises:
        ValueError: there is no such row.
    """
    rows = list(ROWS) if list(names) == ["all"] else list(names)
    for name in rows:
        if name not in ROWS:
            raise ValueError(f"no benchmark {name!r}; {nearest(name, [*ROWS, 'all', 'gpu'])}")
    torch.set_num_threads(1)
    return [_run_row(name) for name in rows]


def _run_row(name: str) -> Outcome:
    started, cpu_started = time.perf_counter(), _cpu_seconds()
    row, reason = None, ""
    try:
        row = importlib.import_module(f"benchmarks.{name}").run()
    except (ValueError, ImportError) as error:  # a peer that is not installed
        reason = str(error)
    seconds = time.perf_counter() - started
    outcome = Outcome(name, seconds, _cpu_seconds() - cpu_started, row, reason)
    for line in outcome.lines():
        logger.info(line)
    return outcome


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The table, with one line per check."""
    lines = ["| row | figure | measured | target | |", "|---|---|---|---|---|"]
    for outcome in outcomes:
        if outcome.row is None:
            lines.append(f"| {outcome.name} | not run: {outcome.reason} | | | |")
            continue
        for check in outcome.row.checks:
            status = "met" if check.is_met else "**missed**"
            cells = (outcome.name, check.what, check.measured, check.target, status)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def machine() -> dict[str, str]:
    """The machine: processor, cores, versions, date."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                processor = line.split(":", 1)[1].strip()
                break
    return {
        "processor": processor,
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "date": date.today().isoformat(),
    }


def write_json(path: Path, outcomes: Sequence[Outcome], facts: dict[str, str]) -> None:
    """All results as JSON."""
    rows: list[dict[str, Any]] = []
    for outcome in outcomes:
        values = asdict(outcome)
        if outcome.row is not None:
            for check, plain in zip(outcome.row.checks, values["row"]["checks"], strict=True):
                plain["is_met"] = check.is_met
        rows.append(values)
    text = json.dumps({"facts": facts, "rows": rows}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
