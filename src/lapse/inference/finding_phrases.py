"""The sentence of a film's own descriptions that states a finding: it names the side.

An answer names findings without a side. Asked for the box of "There is pleural effusion." a model
cannot know which of two lungs is meant, and gives the side that was more frequent in training. The
descriptions of the regions of the same film contain the side, so the box is that of their sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from lapse.core.findings import findings_in
from lapse.core.hedges import NEGATIONS, word_pattern

MIDLINE = frozenset(
    (
        "cardiomegaly",
        "enlargement of the cardiac silhouette",
        "hypertensive heart disease",
        "hernia",
        "pneumomediastinum",
        "scoliosis",
        "tortuosity of the descending aorta",
        "tortuosity of the thoracic aorta",
    )
)  # findings without a side
_SENTENCE = re.compile(r"(?<=[.;])\s+")
_NEGATION = word_pattern(NEGATIONS)


def stating_sentence(finding: str, descriptions: Iterable[str]) -> str:
    """The most frequent sentence that states a finding, the first of equally frequent ones.

    "" if no description states it.

    >>> stating_sentence("edema", ["No edema. Mild left effusion.", "Mild edema is seen."])
    'Mild edema is seen.'
    """
    counts: Counter[str] = Counter()
    for description in descriptions:
        for sentence in _SENTENCE.split(description.strip()):
            is_stated = not _NEGATION.search(sentence.lower())
            if is_stated and finding in findings_in(sentence):
                counts[sentence] += 1
    return counts.most_common(1)[0][0] if counts else ""
