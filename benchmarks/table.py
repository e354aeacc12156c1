"""`lapse bench`: which rows there are, running them, and the table of what they found."""

from __future__ import annotations

import importlib
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

from benchmarks.row import Row, short
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
    "padding",
    "scoring",
    "simulate",
    "ranks",
    "growth",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row as it ran: `row`, or why there is none.

    `cpu_seconds` are those of this process and its children: what `seconds` would be on a machine
    with nothing else to do.
    """

    name: str
    seconds: float
    cpu_seconds: float
    row: Row | None
    reason: str = ""


def run_rows(names: Sequence[str], say: Callable[[str], None]) -> list[Outcome]:
    """Run these rows one after another, on one thread.

    Args:
        names: of `ROWS`, or "all".
        say: receives progress and results, a line at a time.

    Raises:
        ValueError: there is no such row.
    """
    wanted = list(ROWS) if list(names) == ["all"] else list(names)
    for name in wanted:
        if name not in ROWS:
            raise ValueError(f"no bench {name!r}; {nearest(name, [*ROWS, 'all', 'gpu'])}")
    torch.set_num_threads(1)
    found = []
    for name in wanted:
        started, busy = time.perf_counter(), _cpu_seconds()
        row, reason = None, ""
        try:
            row = importlib.import_module(f"benchmarks.{name}").run(say)
        except (ValueError, ImportError) as error:  # a peer that is not installed
            reason = str(error)
        seconds = time.perf_counter() - started
        outcome = Outcome(name, seconds, _cpu_seconds() - busy, row, reason)
        for line in outcome.row.lines() if outcome.row else [f"{name}: not run: {outcome.reason}"]:
            say(line)
        found.append(outcome)
    return found


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The table, one line a check."""
    lines = ["| row | figure | measured | target | |", "|---|---|---|---|---|"]
    for outcome in outcomes:
        if outcome.row is None:
            lines.append(f"| {outcome.name} | not run: {outcome.reason} | | | |")
            continue
        for check in outcome.row.checks:
            sign = ">=" if check.is_at_least else "<="
            shown = f"{short(check.value)}" + (f" ({check.detail})" if check.detail else "")
            word = "met" if check.is_met else "**missed**"
            limit = f"{sign} {short(check.limit)}"
            lines.append(f"| {outcome.name} | {check.what} | {shown} | {limit} | {word} |")
    return "\n".join(lines)


def machine() -> dict[str, str]:
    """Where it ran: processor, cores, versions, date."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "date": date.today().isoformat(),
    }


def write_json(path: Path, outcomes: Sequence[Outcome], facts: dict[str, str]) -> None:
    """Everything that was found, for another program."""
    rows: list[dict[str, Any]] = []
    for outcome in outcomes:
        values = asdict(outcome)
        if outcome.row is not None:
            for check, made in zip(outcome.row.checks, values["row"]["checks"], strict=True):
                made["is_met"] = check.is_met
        rows.append(values)
    text = json.dumps({"facts": facts, "rows": rows}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
