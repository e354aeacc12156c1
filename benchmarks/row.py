"""One row of the benchmark table: figures with their targets, and the theoretical limit.

Absolute times of shared machines cannot be compared, so most figures are ratios: this package and
a reference implementation ("peer") run alternately in one process on one thread, and a row
reports the median and the minimum of the ratios of neighbouring rounds. The clock counts CPU
seconds of the process, which other programs hardly change. Peak memory is measured in a separate
process.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 5
Job = Callable[[], object]

logger = logging.getLogger("lapse.benchmarks")


@dataclass(frozen=True, slots=True)
class Check:
    """One figure and its target.

    Attributes:
        what: the figure in words, such as "time, 4 sequences".
        value: the figure; for ratios of time the median over rounds.
        limit: the target.
        is_at_least: whether the target is a lower or an upper limit.
        detail: rounds, tolerance and so on.
    """

    what: str
    value: float
    limit: float
    is_at_least: bool = True
    detail: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the target is reached."""
        return self.value >= self.limit if self.is_at_least else self.value <= self.limit

    @property
    def target(self) -> str:
        """The target with its sign."""
        return f"{'>=' if self.is_at_least else '<='} {short(self.limit)}"

    @property
    def measured(self) -> str:
        """The figure with its detail."""
        return short(self.value) + (f" ({self.detail})" if self.detail else "")

    def line(self) -> str:
        """The check as one line of text."""
        status = "met" if self.is_met else "MISSED"
        return f"{self.what}: {self.measured}, target {self.target}: {status}"


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one benchmark.

    Attributes:
        name: name on the command line.
        ours, peer: what was compared.
        checks: figures with their targets, among them that both give equal results.
        floor: the theoretical limit, from an analytic count.
        notes: what a reader of the figures must know.
    """

    name: str
    ours: str
    peer: str
    checks: tuple[Check, ...]
    floor: str
    notes: tuple[str, ...] = ()

    @property
    def is_met(self) -> bool:
        """Whether every target is reached."""
        return all(check.is_met for check in self.checks)

    def lines(self) -> list[str]:
        """The row as lines for a terminal."""
        return [
            f"{self.name}: {self.ours} against {self.peer}",
            *(f"  {check.line()}" for check in self.checks),
            f"  limit: {self.floor}",
            *(f"  note: {note}" for note in self.notes),
        ]


@dataclass(frozen=True, slots=True)
class Ratios:
    """Seconds of the peer over ours, round by round; above 1, ours is faster."""

    ours: tuple[float, ...]
    peer: tuple[float, ...]

    @property
    def each(self) -> list[float]:
        """The ratio of every round."""
        return [peer / ours for ours, peer in zip(self.ours, self.peer, strict=True)]

    def check(self, what: str, limit: float) -> Check:
        """The median against its target, with the minimum as detail."""
        detail = (
            f"minimum {min(self.each):.2f} of {len(self.each)} rounds; ours "
            f"{statistics.median(self.ours):.3g} s, peer {statistics.median(self.peer):.3g} s"
        )
        return Check(what, statistics.median(self.each), limit, detail=detail)


def alternate(
    ours: Job,
    peer: Job,
    rounds: int = ROUNDS,
    *,
    clock: Callable[[], float] = time.process_time,
) -> Ratios:
    """Run ours and the peer alternately; the order changes from round to round.

    Args:
        ours, peer: what is measured.
        rounds: how often each runs.
        clock: the wall clock if a job works in other processes.
    """
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    for turn in range(rounds):
        pair = (("ours", ours), ("peer", peer))
        for name, job in pair if turn % 2 == 0 else pair[::-1]:
            started = clock()
            job()
            seconds[name].append(clock() - started)
    return Ratios(tuple(seconds["ours"]), tuple(seconds["peer"]))


def at_most(what: str, value: float, limit: float, detail: str = "") -> Check:
    """A check with an upper limit."""
    return Check(what, value, limit, is_at_least=False, detail=detail)


def short(value: float) -> str:
    """A figure with three digits.

    >>> short(3.14159), short(12345.6), short(1.2e-7)
    ('3.14', '12,346', '1.2e-07')
    """
    if value == 0 or 1e-3 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2g}"
