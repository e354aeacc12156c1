"""For whoever cannot have Java: a tokenizer and a METEOR of our own, never used unasked.

Their numbers are not those of the field. The tokenizer agrees with PTB's on plain sentences and
differs on fractions, abbreviations and units; the METEOR matches exact words only, knows no
stems, synonyms, paraphrases or function words, and is lower. Every table and scores.json name
them by the labels below, and the score itself is called METEOR-exact.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lapse.metrics.meteor import COLUMNS

TOKENIZER = "lapse, without Java (NOT the field's PTB tokenizer)"
METEOR = "lapse, without Java: exact words only (NOT METEOR 1.5)"
NAME = "METEOR-exact"
BEAM = 40  # alignments kept while the words of an answer are placed

_CLITIC = re.compile(r"(?<=[a-z])(n't|'s|'re|'ve|'ll|'d|'m)\b")
_WORD = re.compile(
    r"n't|'(?:s|re|ve|ll|d|m)\b|\d+(?:[.,/]\d+)*|[^\W\d_]+(?:[-/.][^\W_]+)*|_+|\d+|%|\$|\+|="
)


def tokenize(texts: Sequence[str]) -> list[str]:
    """Lower-case words of each text without punctuation, joined by blanks.

    >>> tokenize(["No edema, 2.5 cm; it's new."])
    ["no edema 2.5 cm it 's new"]
    """
    return [" ".join(_WORD.findall(_CLITIC.sub(r" \1", text.lower()))) for text in texts]


def match(said: str, true: Sequence[str]) -> NDArray[np.float64]:
    """The 23 segment statistics (`lapse.metrics.meteor`) of an answer and its best reference.

    Best is the reference with the most matched words, then the fewest chunks, then the shortest.
    """
    rows = [_match_one(said.split(), other.split()) for other in true]
    return max(rows, key=lambda row: (row[21], -row[20], -row[1]))


def _match_one(said: list[str], true: list[str]) -> NDArray[np.float64]:
    row = np.zeros(COLUMNS)
    matched, chunks = _align(said, true)
    row[0], row[1] = len(said), len(true)
    row[4] = row[5] = matched
    row[20], row[21], row[22] = chunks, matched, matched
    return row


def _align(said: list[str], true: list[str]) -> tuple[int, int]:
    """Most words matched one to one, and the fewest chunks that a beam search finds for it.

    A chunk is a run of matched words that follow each other in both texts.
    """
    places: dict[str, list[int]] = {}
    for index, word in enumerate(true):
        places.setdefault(word, []).append(index)
    # state: places used, place of the word before (-2: it had none) -> (matched, -chunks)
    states: dict[tuple[int, int], tuple[int, int]] = {(0, -2): (0, 0)}
    for word in said:
        moved: dict[tuple[int, int], tuple[int, int]] = {}
        for (used, last), (matched, chunks) in states.items():
            choices = [((used, -2), (matched, chunks))]
            for place in places.get(word, []):
                if not used >> place & 1:
                    worth = (matched + 1, chunks - (place != last + 1))
                    choices.append(((used | 1 << place, place), worth))
            for state, worth in choices:
                if worth > moved.get(state, (-1, 0)):
                    moved[state] = worth
        states = dict(sorted(moved.items(), key=lambda item: item[1], reverse=True)[:BEAM])
    matched, chunks = max(states.values())
    return matched, -chunks
