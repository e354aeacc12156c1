"""Removal of references to earlier examinations by rules on sentences and clauses.

    sentence --dated?--> (parenthesis) --> opening clause --> closing clauses --> first clauses
                              |                 |                   |                 |
                          keep the rest     keep the rest     keep the front     keep the rest
    and where none of these is separate, the complete sentence is removed

Only complete clauses are removed, never words inside a clause: the rest is as it was written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lapse.data.reports.prior_lexicon import is_dated
from lapse.data.reports.sentences import split_sentences

_BREAK = re.compile(r"(?:\s*[;,]\s*)(?!\d)|\s+(?=(?:but|although|while|which|however)\b)")
_PARENTHESIS = re.compile(r"\s*\([^()]*\)")
_OPENING = re.compile(
    r"(?:as |when |again[, ]*|once again[, ]*)*(?:compared|comparison|in comparison|since|"
    r"as before|as seen|in the interval|in the interim|relative to|from the prior|"
    r"over the interval|allowing for|given differences|again)\b",
    re.IGNORECASE,
)
# After "compared to the prior study" these words still compare.
_COMPARES = re.compile(
    r"\b(?:more|less|larger|smaller|lower|higher|better|greater|fewer|denser|wider|increased?|"
    r"decreased?|diminished|changes?|cleared|appeared|developed)\b",
    re.IGNORECASE,
)
_INDEPENDENT = re.compile(
    r"(?:(?:and|but|while|although|however)\s+)?"
    r"(?P<body>(?:no|there (?:is|are)|without evidence|the (?:[\w-]+ ){1,4}(?:is|are))\b.*)",
    re.IGNORECASE,
)
# A front with this ending was cut inside a phrase.
_HANGING = re.compile(
    r"(?:(?<!is)(?<!are)\s|^)(?:bilateral|small|large|moderate|mild|severe|minimal|right|left|patchy|"
    r"focal)$|\s(?:and|or|with|an?|the|of|in|at|to|is|are|as|may|be)$",
    re.IGNORECASE,
)
_CONTRAST = re.compile(r"(?:in contrast|unlike|as |relative to|in keeping with)", re.IGNORECASE)
MAX_CLOSING_WORDS = 12


@dataclass(frozen=True, slots=True)
class RuleRemover:
    """A lexicon of temporal words, applied to sentences and clauses."""

    name: str = "rules"

    def remove(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The remaining text, and the removed sentences and clauses in order.

        >>> RuleRemover().remove("Effusion of 2.5 cm, unchanged. No edema. Stable heart.")
        ('Effusion of 2.5 cm. No edema.', ('unchanged', 'Stable heart.'))
        """
        if not is_dated(text):
            return text, ()
        kept: list[str] = []
        removed: list[str] = []
        for sentence in split_sentences(text):
            rest, parts = _prune(sentence)
            kept += [rest] if rest else []
            removed += parts
        return (" ".join(kept), tuple(removed)) if removed else (text, ())


def _prune(sentence: str) -> tuple[str, list[str]]:
    """The rest of one sentence ("" for nothing) and the removed parts."""
    if not is_dated(sentence):
        return sentence, []
    for cut in (_without_parentheses, _without_opening, _without_closing, _without_front):
        rest, removed = cut(sentence)
        if removed and any(map(str.isalnum, rest)):
            rest, further = _prune(rest)
            return (rest, removed + further) if rest else ("", [sentence])
    return "", [sentence]


def _without_parentheses(sentence: str) -> tuple[str, list[str]]:
    matches = [match for match in _PARENTHESIS.finditer(sentence) if is_dated(match.group())]
    rest = sentence
    for match in reversed(matches):
        rest = rest[: match.start()] + rest[match.end() :]
    return rest, [match.group().strip() for match in matches]


def _without_opening(sentence: str) -> tuple[str, list[str]]:
    """ "Compared to the prior study, there is edema." -> "There is edema." """
    clauses = _clauses(sentence)
    if len(clauses) == 1:
        return sentence, []
    start, end = clauses[0]
    opening, rest = sentence[start:end], sentence[clauses[1][0] :]
    if not _OPENING.match(opening) or not is_dated(opening) or _COMPARES.search(rest):
        return sentence, []
    return rest[0].upper() + rest[1:], [opening]


def _without_closing(sentence: str) -> tuple[str, list[str]]:
    """ "Mild edema, unchanged since ___." -> "Mild edema." """
    clauses = _clauses(sentence)
    dated = [is_dated(sentence[start:end]) for start, end in clauses]
    first = dated.index(True) if True in dated else 0
    closing = [sentence[start:end] for start, end in clauses[first:]]
    if not first or not all(dated[first:]) or not _is_separate(closing[0]):
        return sentence, []
    start = clauses[first][0]
    front = sentence[:start].rstrip(" ,;")
    if _HANGING.search(front) or len(front.split()) < 2:
        return sentence, []
    return f"{front}.", [sentence[start:].rstrip(".")]


def _without_front(sentence: str) -> tuple[str, list[str]]:
    """ "Stable cardiomegaly, no edema." -> "No edema." """
    clauses = _clauses(sentence)
    dated = [is_dated(sentence[start:end]) for start, end in clauses]
    last = max((index for index, is_true in enumerate(dated) if is_true), default=len(clauses))
    if last + 1 >= len(clauses):
        return sentence, []
    start = clauses[last + 1][0]
    match = _INDEPENDENT.match(sentence[start:])
    if match is None:
        return sentence, []
    body = match.group("body")
    return body[0].upper() + body[1:], [sentence[:start].rstrip(" ,;")]


def _clauses(sentence: str) -> list[tuple[int, int]]:
    """Start and end of every clause."""
    breaks = [match.span() for match in _BREAK.finditer(sentence)]
    starts = [0, *(end for _, end in breaks)]
    ends = [*(start for start, _ in breaks), len(sentence)]
    return [(start, end) for start, end in zip(starts, ends, strict=True) if start < end]


def _is_separate(clause: str) -> bool:
    """Whether a closing clause only dates the text before it: its first words are temporal."""
    words = clause.split()
    if words[0].lower() in ("and", "or") or len(words) > MAX_CLOSING_WORDS:
        return False
    return is_dated(" ".join(words[:4])) or _CONTRAST.match(clause) is not None
