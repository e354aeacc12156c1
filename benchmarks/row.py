"""One row of the bench: what was measured, what it should be, and what cannot be avoided.

A row never prints an absolute time as a claim: clocks of shared machines cannot be compared. It
alternates ours and the peer in one process and gives the median and the minimum of the ratios of
neighbouring rounds. The clock is the seconds of computing of this process, one thread: what a
quiet machine's wall clock would show, and what other programs hardly change. Peak memory is
measured in a process of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 5
Job = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Check:
    """One figure and its limit.

    Attributes:
        what: in words, e.g. "time, 4 sequences".
        value: the figure; for ratios of time the median over rounds.
        limit: the target.
        is_at_least: whether the figure should be at least or at most the limit.
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

    def line(self) -> str:
        """The check as one line of text."""
        sign = ">=" if self.is_at_least else "<="
        word = "met" if self.is_met else "MISSED"
        detail = f" ({self.detail})" if self.detail else ""
        return (
            f"{self.what}: {short(self.value)}{detail}, target {sign} {short(self.limit)}: {word}"
        )


@dataclass(frozen=True, slots=True)
class Row:
    """What one bench found.

    Attributes:
        name: as in `lapse bench NAME`.
        ours, peer: what was compared.
        checks: figures with their targets, equality of the results among them.
        floor: what cannot be avoided, from an analytic count.
        notes: anything that a reader of the figure must know.
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
        """The row for a person at a terminal."""
        return [
            f"{self.name}: {self.ours} against {self.peer}",
            *(f"  {check.line()}" for check in self.checks),
            f"  floor: {self.floor}",
            *(f"  note: {note}" for note in self.notes),
        ]


@dataclass(frozen=True, slots=True)
class Ratios:
    """Peer's seconds over ours, round by round; above one, ours is faster."""

    ours: tuple[float, ...]
    peer: tuple[float, ...]

    @property
    def each(self) -> list[float]:
        """The ratio of every round."""
        return [peer / ours for ours, peer in zip(self.ours, self.peer, strict=True)]

    @property
    def median(self) -> float:
        """The figure that is claimed."""
        return statistics.median(self.each)

    def check(self, what: str, limit: float) -> Check:
        """The median against its target, the minimum beside it."""
        detail = (
            f"minimum {min(self.each):.2f} of {len(self.each)} rounds; ours "
            f"{statistics.median(self.ours):.3g} s, peer {statistics.median(self.peer):.3g} s"
        )
        return Check(what, self.median, limit, detail=detail)


def alternate(
    ours: Job,
    peer: Job,
    rounds: int = ROUNDS,
    *,
    clock: Callable[[], float] = time.process_time,
) -> Ratios:
    """Run ours and the peer in turn; who begins changes from round to round.

    Args:
        ours, peer: what is measured.
        rounds: how often each.
        clock: the wall clock where a job works in other processes.
    """
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    for turn in range(rounds):
        pair = (("ours", ours), ("peer", peer))
        for name, job in pair if turn % 2 == 0 else pair[::-1]:
            started = clock()
            job()
            seconds[name].append(clock() - started)
    return Ratios(tuple(seconds["ours"]), tuple(seconds["peer"]))


def short(value: float) -> str:
    """A figure with three digits.

    >>> short(3.14159), short(12345.6), short(1.2e-7)
    ('3.14', '12,346', '1.2e-07')
    """
    if value == 0 or 1e-3 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2g}"
