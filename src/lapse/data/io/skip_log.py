"""A ledger of what was skipped or noticed: how many, why, and which for example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any


class SkipLog:
    """Counts by reason, with a few ids of each.

    >>> ledger = SkipLog()
    >>> ledger.add("no frontal view", "study 51000001")
    >>> ledger.lines()
    ['1 x no frontal view (study 51000001)']
    """

    def __init__(self, num_examples: int = 3) -> None:
        self.num_examples = num_examples
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Count one more case of a reason; the first few keep their id."""
        self.counts[reason] += count
        kept = self.examples.setdefault(reason, [])
        if len(kept) < self.num_examples and example not in kept:
            kept.append(example)

    def merge(self, other: SkipLog, prefix: str = "") -> None:
        """Take over another ledger's counts and examples, its reasons prefixed."""
        for reason, count in other.counts.items():
            name = f"{prefix}{reason}"
            self.counts[name] += count
            kept = self.examples.setdefault(name, [])
            kept.extend(other.examples[reason][: self.num_examples - len(kept)])

    def to_plain(self) -> dict[str, Any]:
        """The ledger as plain values, for a file."""
        return {"counts": dict(self.counts), "examples": self.examples}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> SkipLog:
        """The ledger that `to_plain` wrote."""
        ledger = cls()
        ledger.counts.update(values["counts"])
        ledger.examples.update(values["examples"])
        return ledger

    @property
    def total(self) -> int:
        """All cases of all reasons."""
        return sum(self.counts.values())

    def lines(self) -> list[str]:
        """One line a reason, the most frequent first."""
        ordered = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return [
            f"{count} x {reason} ({_some(self.examples[reason], count)})"
            for reason, count in ordered
        ]


def _some(examples: list[str], count: int) -> str:
    return ", ".join(examples) + (", ..." if count > len(examples) else "")
