"""Difference answers and references that the grammar cannot read: their scores are not results."""

from __future__ import annotations

from collections.abc import Sequence

from lapse.core.types import Prediction

MAX_UNREAD = 0.02  # a larger fraction of unread texts gives a warning


def unread_warning(predictions: Sequence[Prediction]) -> str:
    """How many difference answers and references are unread; "" up to MAX_UNREAD of both."""
    items = [item for item in predictions if item.task == "diff_vqa"]
    counts = {
        "answers": sum(not item.answer.is_parsed for item in items),
        "references": sum(not item.truth.is_parsed for item in items),
    }
    parts = [
        f"{count} of {len(items)} {name} ({100 * count / len(items):.0f}%)"
        for name, count in counts.items()
        if count > MAX_UNREAD * len(items)
    ]
    if not parts:
        return ""
    return (
        f"UNREAD: the grammar cannot read {' and '.join(parts)}: change scores, groups by changes "
        "and tests count them as naming no change, so they do not describe this system"
    )
