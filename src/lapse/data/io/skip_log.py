"""Counts of skipped records and of anomalies, by reason, with a few examples of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any


class SkipLog:
    """Counts by reason, with the first few ids of each.

    >>> log = SkipLog()
    >>> log.add("no frontal view", "study 51000001")
    >>> log.lines()
    ['1 x no frontal view (study 51000001)']
    """

    num_examples = 3  # of each reason

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Count a record under a reason; the first few different examples are kept."""
        self.counts[reason] += count
        examples = self.examples.setdefault(reason, [])
        if len(examples) < self.num_examples and example not in examples:
            examples.append(example)

    def merge(self, other: SkipLog, prefix: str = "") -> None:
        """Add the counts and examples of another log, its reasons with a prefix."""
        for reason, count in other.counts.items():
            name = f"{prefix}{reason}"
            self.counts[name] += count
            examples = self.examples.setdefault(name, [])
            examples.extend(other.examples[reason][: self.num_examples - len(examples)])

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {"counts": dict(self.counts), "examples": self.examples}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SkipLog:
        """The log that `to_json` wrote."""
        log = cls()
        log.counts.update(values["counts"])
        log.examples.update(values["examples"])
        return log

    @property
    def total(self) -> int:
        """The number of records, of all reasons together."""
        return sum(self.counts.values())

    def lines(self) -> list[str]:
        """One line per reason, the most frequent first."""
        lines = []
        for reason, count in sorted(self.counts.items(), key=lambda item: (-item[1], item[0])):
            examples = self.examples[reason]
            more = ["..."] if count > len(examples) else []
            lines.append(f"{count} x {reason} ({', '.join([*examples, *more])})")
        return lines
