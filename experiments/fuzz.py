"""Read many malformed and mutated files, each in a child process.

    python experiments/fuzz.py --seeds 20 --mutations 20000

Prints one line per kind of file: how many cases were refused, counted as skipped, or accepted;
failures (another outcome than the kind declares, an unexpected exception, a crash, a time-out, too
much memory); the longest time in seconds and the most memory in megabytes. The exit code is 1 if
any case failed. tests/support/malformed.py defines the cases.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from malformed import Kind, kinds, mutation
from reader_worker import Outcome, Runner

COLUMNS = ("refused", "counted", "value", "wrong", "escaped", "died", "hung", "memory", "nonsense")


@dataclass
class Row:
    """Counts of one kind."""

    words: Counter[str] = field(default_factory=Counter)
    cases: int = 0
    seconds: float = 0.0
    megabytes: float = 0.0

    def add(self, outcome: Outcome, is_expected: bool) -> None:
        self.cases += 1
        self.words[outcome.word.partition(" ")[0]] += 1
        self.words["wrong"] += not is_expected
        self.seconds = max(self.seconds, outcome.seconds)
        self.megabytes = max(self.megabytes, outcome.megabytes)

    def line(self, name: str) -> str:
        numbers = "".join(f"{self.words[word]:9d}" for word in COLUMNS)
        return f"{name:42}{self.cases:7d}{numbers}{self.seconds:8.2f}{self.megabytes:7.0f}"


@dataclass(frozen=True)
class Case:
    """One file; `kind` is None for a mutated valid file, which any reader may refuse or accept."""

    name: str
    number: int
    reader: str
    data: bytes
    kind: Kind | None = None

    def expects(self, outcome: Outcome) -> bool:
        return outcome.is_allowed if self.kind is None else self.kind.is_right(outcome.word)


def cases(num_seeds: int, num_mutations: int) -> Iterator[Case]:
    for kind in kinds():
        for seed in range(num_seeds):
            yield Case(kind.name, seed, kind.reader, kind.case(seed), kind)
    for number in range(num_mutations):
        name, reader, data = mutation(number)
        yield Case(f"mutated {name}", number, reader, data)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="files of each malformed kind")
    parser.add_argument("--mutations", type=int, default=20_000, help="mutated valid files")
    options = parser.parse_args()
    rows: dict[str, Row] = {}
    total = Row()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Runner(Path(folder)) as runner:
        for case in cases(options.seeds, options.mutations):
            outcome = runner.read(case.reader, case.data)
            for row in (rows.setdefault(case.name, Row()), total):
                row.add(outcome, case.expects(outcome))
            if not case.expects(outcome):
                print(f"WRONG {case.name} {case.number}: {outcome.word}: {outcome.detail}")
    titles = "".join(f"{word:>9}" for word in COLUMNS)
    print(f"{'kind':42}{'cases':>7}{titles}{'s':>8}{'MB':>7}")
    for name, row in rows.items():
        print(row.line(name))
    print(total.line(f"all, {len(rows)} rows, {time.perf_counter() - started:.0f} s"))
    return 1 if total.words["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
