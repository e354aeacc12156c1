"""An answer against the truth, in words."""

from __future__ import annotations

from lapse.core.grammar import parse


def verdict(answer: str, truth: str) -> str:
    """How many changes were right, missed and made up, in words."""
    said, true = parse(answer), parse(truth).changes
    parts = [
        f"{len(said.changes & true)} of {len(true)} right",
        f"{len(true - said.changes)} missed",
        f"{len(said.changes - true)} made up",
    ]
    if said.leftover:
        parts.append(f"not understood: {' | '.join(said.leftover)}")
    return ", ".join(parts)


def is_right(answer: str, truth: str) -> bool:
    """Whether an answer was understood in full and names exactly the true changes.

    >>> is_right("nothing has changed.", "nothing has changed."), is_right("the the", "")
    (True, False)
    """
    said = parse(answer)
    return said.is_parsed and said.changes == parse(truth).changes
