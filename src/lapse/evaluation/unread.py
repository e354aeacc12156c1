"""Difference answers and references that the reader cannot read: their scores are not results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lapse.core.types import Prediction
from lapse.metrics.changes import MAX_UNREAD

WARN_UNREAD = 0.02  # a larger fraction of unread texts gives a warning
TASKS = ("diff_vqa", "progression", "expert_changes")  # answers that name changes
MAX_WORDS = 30


def unread_warning(predictions: Sequence[Prediction]) -> str:
    """How many texts are unread, and what that does; "" up to WARN_UNREAD of each kind."""
    items = [item for item in predictions if item.task in TASKS]
    texts = {
        "answers": [item.answer for item in items],
        "references": [item.truth for item in items if item.task == "diff_vqa"],
    }
    counts = [
        (name, sum(not text.is_parsed for text in part), len(part)) for name, part in texts.items()
    ]
    parts = [
        f"{count} of {total} {name} ({100 * count / total:.0f}%)"
        for name, count, total in counts
        if count > WARN_UNREAD * total
    ]
    if not parts:
        return ""
    effect = (
        "change scores are withheld (-), and no test of them is made"
        if any(count > MAX_UNREAD * total for _, count, total in counts)
        else 'change scores and tests count them as naming no change; "change F1, fully read" '
        "omits them"
    )
    return (
        f"UNREAD: {' and '.join(parts)} cannot be read: {effect}. For free text use "
        "--reader lenient, or --changes FILE with the changes of another extractor"
    )


def unread_words(predictions: Sequence[Prediction]) -> list[tuple[str, int]]:
    """The most frequent words that are not read, in answers and references, with their counts."""
    words = Counter(
        word.strip(".,;:!?()[]\"'*#|").lower()
        for item in predictions
        if item.task in TASKS
        for part in (item.answer, *((item.truth,) if item.task == "diff_vqa" else ()))
        for text in (*part.leftover, *part.ignored)
        for word in text.split()
    )
    del words[""]
    return words.most_common(MAX_WORDS)
