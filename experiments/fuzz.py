"""The long run over malformed and mutated files, one process at a time.

    python experiments/fuzz.py --seeds 20 --mutations 20000

Prints for each kind: cases, refused, counted in a ledger, accepted, and what must not be: wrong
(not what the kind declares), escaped, died, hung, out of memory; then the slowest case in seconds
and the largest in megabytes. Exits with 1 if any case is wrong. Cases: tests/support/malformed.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from malformed import kinds, mutation
from reader_worker import Outcome, Runner

Judge = Callable[[Outcome], bool]
COLUMNS = ("refused", "counted", "value", "wrong", "escaped", "died", "hung", "memory", "nonsense")


@dataclass
class Row:
    """Counts of one kind."""

    words: Counter[str] = field(default_factory=Counter)
    cases: int = 0
    seconds: float = 0.0
    megabytes: float = 0.0

    def add(self, found: Outcome, is_right: bool) -> None:
        self.cases += 1
        self.words[found.word.partition(" ")[0]] += 1
        self.words["wrong"] += not is_right
        self.seconds = max(self.seconds, found.seconds)
        self.megabytes = max(self.megabytes, found.megabytes)

    def line(self, name: str) -> str:
        numbers = "".join(f"{self.words[word]:9d}" for word in COLUMNS)
        return f"{name:42}{self.cases:7d}{numbers}{self.seconds:8.2f}{self.megabytes:7.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--mutations", type=int, default=20_000)
    options = parser.parse_args()
    rows: dict[str, Row] = {}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Runner(Path(folder)) as runner:

        def read(name: str, case: str, reader: str, data: bytes, right: Judge) -> None:
            found = runner.read(reader, data)
            is_right = right(found)
            rows.setdefault(name, Row()).add(found, is_right)
            if not is_right:
                print(f"WRONG {name}, {case}: {found.word}: {found.detail}", flush=True)

        for kind in kinds():
            for seed in range(options.seeds):
                right = lambda found, kind=kind: kind.is_right(found.word)  # noqa: E731
                read(kind.name, f"seed {seed}", kind.reader, kind.case(seed), right)
        for number in range(options.mutations):
            name, reader, data = mutation(number)
            read(
                f"mutated {name}", f"number {number}", reader, data, lambda found: found.is_allowed
            )
    titles = "".join(f"{word:>9}" for word in COLUMNS)
    print(f"{'kind':42}{'cases':>7}{titles}{'s':>8}{'MB':>7}")
    total = Row()
    for name, row in rows.items():
        print(row.line(name))
        total.words += row.words
        total.cases += row.cases
        total.seconds = max(total.seconds, row.seconds)
        total.megabytes = max(total.megabytes, row.megabytes)
    print(total.line(f"all, {len(rows)} rows, {time.perf_counter() - started:.0f} s"))
    return 1 if total.words["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
