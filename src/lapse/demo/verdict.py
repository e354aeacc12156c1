"""An answer against the truth, in words."""

from __future__ import annotations

from lapse.grammar import parse


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
