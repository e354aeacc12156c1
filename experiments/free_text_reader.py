"""Precision and recall of the free-text reader on written sentences with their true changes.

    python experiments/free_text_reader.py

`free_text_sentences.jsonl`: 210 answers in three styles, written and committed before the rules;
a third is held out. `free_text_unseen.jsonl`: 210 sentences that others wrote for the removal of
priors, annotated and committed before the reader was scored on them.
docs/explanation/free-text.md quotes the first and the later scores.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lapse.core.free_text.reader import read_statements
from lapse.core.free_text.sentence import Statement

FOLDER = Path(__file__).parent
FILES = ("free_text_sentences.jsonl", "free_text_unseen.jsonl")
# what must be right -> the part of a statement that is compared
SCOPES: dict[str, Callable[[Statement], tuple[str, ...]]] = {
    "finding, direction": lambda s: (s.finding, s.direction),
    "+ side, zone": lambda s: (s.finding, s.direction, s.side, s.zone),
    "+ side, zone, level": lambda s: (s.finding, s.direction, s.side, s.zone, s.level),
}


def read_rows(name: str) -> list[dict[str, Any]]:
    """The sentences of a file with their true statements."""
    lines = (FOLDER / name).read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def true_statements(row: Mapping[str, Any]) -> set[Statement]:
    """The statements that a sentence makes according to its annotation."""
    return {Statement(**change) for change in row["changes"]}


def counts_of(
    rows: Sequence[Mapping[str, Any]], scope: Callable[[Statement], tuple[str, ...]]
) -> tuple[int, int, int]:
    """Changes that are correct, read and true; stable findings are no changes."""
    correct = read = true = 0
    for row in rows:
        named = {scope(s) for s in read_statements(row["text"]) if s.direction != "stable"}
        expected = {scope(s) for s in true_statements(row) if s.direction != "stable"}
        correct += len(named & expected)
        read, true = read + len(named), true + len(expected)
    return correct, read, true


def groups_of(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """All rows, those of each part, and those of each style."""
    yield "all", list(rows)
    for key in ("part", "style"):
        groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            groups[row[key]].append(row)
        if len(groups) > 1:
            yield from sorted(groups.items())


def main() -> None:
    """Print one line per file, group and scope, and with --misses the sentences read wrongly."""
    for name in FILES:
        rows = read_rows(name)
        for group, part in groups_of(rows):
            for label, scope in SCOPES.items():
                correct, read, true = counts_of(part, scope)
                print(
                    f"{name} {group} ({len(part)} texts), {label}: precision "
                    f"{correct / read:.3f} ({correct}/{read}), recall {correct / true:.3f} "
                    f"({correct}/{true})"
                )
        if "--misses" in sys.argv:
            for row in rows:
                read_set, true_set = set(read_statements(row["text"])), true_statements(row)
                if row["part"] == "develop" and read_set != true_set:
                    print(row["id"], repr(row["text"]))
                    print("  extra", *sorted(map(str, read_set - true_set)))
                    print("  missed", *sorted(map(str, true_set - read_set)))


if __name__ == "__main__":
    main()
