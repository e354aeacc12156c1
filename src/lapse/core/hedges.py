"""Words of negation and doubt: a clause with one of them does not state its findings as facts."""

from __future__ import annotations

import re
from collections.abc import Iterable

NEGATIONS = (
    "no", "not", "none", "never", "neither", "nor", "cannot", "without", "denies", "denied", "deny",
    "absent", "absence", "negative", "free of", "clear of", "lack", "lacks", "lacking", "false",
    "falsely", "untrue", "incorrect", "incorrectly", "wrong", "wrongly", "mistaken", "mistakenly",
    "excluded", "excludes", "excluding", "ruled out", "rule out", "r/o",
)  # fmt: skip
HEDGES = (
    "possible", "possibly", "possibility", "probable", "probably", "likely", "unlikely", "may",
    "might", "maybe", "could", "would", "perhaps", "suspect", "suspects", "suspected", "suspicion",
    "suspicious", "question", "questions", "questionable", "questionably", "equivocal",
    "indeterminate", "uncertain", "uncertainty", "unclear", "unsure", "doubt", "doubtful",
    "doubtfully", "presumed", "presumably", "potential", "potentially", "suggest", "suggests",
    "suggested", "suggesting", "suggestive", "concern", "concerning", "if", "whether", "or",
    "versus", "vs", "differential", "consider", "hypothetical", "hypothetically", "allegedly",
)  # fmt: skip
EXCEPTIONS = (
    "except", "excepting", "exception", "save for", "other than", "apart from", "aside from",
    "besides", "beyond", "unless", "but", "although", "though", "however", "rather", "instead",
)  # fmt: skip
# An addition or a loss that another word takes back: "an additional finding of resolved edema".
OPPOSED = (
    "resolved", "resolves", "resolving", "resolution", "cleared", "clearing", "gone",
    "disappeared", "unchanged", "stable", "improved", "improving", "previous", "previously",
    "prior", "formerly", "old", "longer",
)  # fmt: skip


def word_pattern(words: Iterable[str], extra: str = "") -> re.Pattern[str]:
    """Any of these complete words, the longest one first, or of the alternatives in `extra`."""
    ordered = sorted(words, key=len, reverse=True)
    alternatives = "|".join(re.escape(word) for word in ordered)
    return re.compile(rf"(?<![\w-])(?:{alternatives})(?![\w-]){extra}")


DOUBT = word_pattern((*NEGATIONS, *HEDGES, *EXCEPTIONS, *OPPOSED), r"|n['\u2019]t\b")
