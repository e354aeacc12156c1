"""An answer compared with the truth, in words."""

from __future__ import annotations

from lapse.core.grammar import parse


def verdict(answer: str, truth: str) -> str:
    """How many changes are right, omitted and hallucinated.

    >>> verdict("nothing has changed.", "nothing has changed.")
    '0 of 0 right, 0 omitted, 0 hallucinated'
    """
    parsed, true_changes = parse(answer), parse(truth).changes
    parts = [
        f"{len(parsed.changes & true_changes)} of {len(true_changes)} right",
        f"{len(true_changes - parsed.changes)} omitted",
        f"{len(parsed.changes - true_changes)} hallucinated",
    ]
    if parsed.leftover:
        parts.append(f"not parsed: {' | '.join(parsed.leftover)}")
    return ", ".join(parts)


def is_right(answer: str, truth: str) -> bool:
    """Whether an answer is parsed completely and names exactly the true changes.

    >>> is_right("nothing has changed.", "nothing has changed."), is_right("the the", "")
    (True, False)
    """
    parsed = parse(answer)
    return parsed.is_parsed and parsed.changes == parse(truth).changes
