"""Difference answers of Medical-Diff-VQA <-> sets of changes: parse, render, invert.

    answer  := level* added? missing?  |  'nothing has changed.'
    level   := 'the level of F has changed from L to L. '
    added   := 'the main image has an additional finding of F than the reference image. '
    missing := 'the main image is missing the finding of F than the reference image. '

The order within a list carries no information. "Missing" means not mentioned, not resolved. Words
that the parser cannot read are returned as leftover.
Source: the published templates of Medical-Diff-VQA (Hu et al., 2023).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

QUESTION_CHANGED = "what has changed compared to the reference image?"
UNCHANGED = "nothing has changed."
MAX_ANSWER = 10_000  # characters

FINDINGS = (
    "pleural effusion",
    "atelectasis",
    "cardiomegaly",
    "enlargement of the cardiac silhouette",
    "edema",
    "hernia",
    "vascular congestion",
    "hilar congestion",
    "pneumothorax",
    "heart failure",
    "lung opacity",
    "pneumonia",
    "tortuosity of the descending aorta",
    "scoliosis",
    "gastric distention",
    "hypoxemia",
    "hypertensive heart disease",
    "hematoma",
    "tortuosity of the thoracic aorta",
    "contusion",
    "emphysema",
    "granuloma",
    "calcification",
    "pleural thickening",
    "thymoma",
    "blunting of the costophrenic angle",
    "consolidation",
    "fracture",
    "pneumomediastinum",
    "air collection",
)
ALIASES = {
    "effusion": "pleural effusion",
    "effusions": "pleural effusion",
    "pleural effusions": "pleural effusion",
    "pleural fluid": "pleural effusion",
    "volume loss": "atelectasis",
    "collapse": "atelectasis",
    "atelectases": "atelectasis",
    "pulmonary edema": "edema",
    "hiatal hernia": "hernia",
    "pulmonary vascular congestion": "vascular congestion",
    "chf": "heart failure",
    "congestive heart failure": "heart failure",
    "opacity": "lung opacity",
    "opacities": "lung opacity",
    "lung opacities": "lung opacity",
    "opacification": "lung opacity",
    "airspace opacity": "lung opacity",
    "infection": "pneumonia",
    "fractures": "fracture",
    "rib fracture": "fracture",
    "rib fractures": "fracture",
    "granulomas": "granuloma",
    "calcifications": "calcification",
    "consolidations": "consolidation",
}
LEVELS = (
    "moderately",
    "moderate",
    "acute",
    "mildly",
    "mild",
    "small",
    "severe",
    "moderate to large",
    "moderate to severe",
    "mild to moderate",
    "minimal",
    "subtle",
    "massive",
    "minimally",
    "increasing",
    "decreasing",
    "minor",
)
TYPES = (
    "interstitial",
    "layering",
    "dense",
    "parenchymal",
    "compressive",
    "obstructive",
    "linear",
    "plate-like",
    "patchy",
    "ground-glass",
    "calcified",
    "scattered",
    "focal",
    "multifocal",
    "multi-focal",
)
IDS = {name: index for index, name in enumerate(FINDINGS)}
Kind = Literal["added", "missing", "level"]
KINDS: tuple[Kind, ...] = ("level", "added", "missing")

_NAMES = {**{name: name for name in FINDINGS}, **ALIASES}


def _alternatives(words: Iterable[str]) -> str:
    """A pattern of complete words that prefers the longest one."""
    ordered = sorted(words, key=lambda word: (-len(word), word))
    return r"(?<![\w-])(?:" + "|".join(re.escape(word) for word in ordered) + r")(?![\w-])"


_NAME = re.compile(_alternatives(_NAMES))
_LEVEL = re.compile(_alternatives(LEVELS))
_LEVEL_SENTENCE = re.compile(
    r"the level of (?P<what>[^.]+?) has changed from (?P<levels>.+?)"
    r"(?=\.|,? the level of |,? the main image |$)"
)
_ADDED = re.compile(
    r"the main image has (?:an )?additional findings? of (?P<what>.*?)"
    r"(?: than (?:the )?reference image|(?=\.)|(?= the main image )|$)",
    re.MULTILINE,
)
_MISSING = re.compile(
    r"the main image is missing (?:the )?findings? of (?P<what>.*?)"
    r"(?: than (?:the )?reference image|(?=\.)|(?= the main image )|$)",
    re.MULTILINE,
)
_NOTHING = re.compile(r"nothing has changed")
_GAP = "\n"  # replaces what was read; no answer contains one after its blanks are collapsed
_GLUE = re.compile(r"[\s.,;]+|\band\b")


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One change of one finding: added, missing, or from one level to another.

    Raises:
        ValueError: unknown finding or kind, or levels that do not match the kind.
    """

    finding: str
    kind: Kind
    before: str = ""
    after: str = ""

    def __post_init__(self) -> None:
        if self.finding not in IDS:
            raise ValueError(f"unknown finding {self.finding!r}: one of grammar.FINDINGS")
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of change {self.kind!r}: one of {', '.join(KINDS)}")
        if self.kind == "level":
            if not self.before or not self.after or self.before == self.after:
                raise ValueError(
                    f"a level change of {self.finding} goes from {self.before!r} to "
                    f"{self.after!r}: it needs two different levels"
                )
            for level in (self.before, self.after):
                if not _is_level(level) or level != " ".join(level.split()):
                    raise ValueError(f"unknown level {level!r}: words of grammar.LEVELS")
        elif self.before or self.after:
            raise ValueError(f"a change {self.kind!r} of {self.finding} has no levels")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed answer.

    Attributes:
        changes: the changes that the answer names.
        leftover: the words that cannot be read; () if all can.
        is_unchanged: whether the answer contains "nothing has changed".
    """

    changes: frozenset[Change]
    leftover: tuple[str, ...]
    is_unchanged: bool

    @property
    def is_parsed(self) -> bool:
        """Whether every word was read and the answer is not empty."""
        return not self.leftover and (self.is_unchanged or bool(self.changes))


def parse(answer: str) -> Parsed:
    """Parse a difference answer; tolerant of case, blanks and missing punctuation.

    An empty answer has the leftover ("",), so it is not parsed; an answer of more than MAX_ANSWER
    characters is all leftover. "from mild to moderate to severe" is ambiguous and is read as
    mild -> moderate to severe.

    >>> parse("the main image is missing the finding of edema than the reference image. ").changes
    frozenset({Change(finding='edema', kind='missing', before='', after='')})
    """
    text = " ".join(answer.lower().split())
    if not text or len(text) > MAX_ANSWER:  # parsing takes quadratic time
        return Parsed(frozenset(), (text,), False)
    changes: set[Change] = set()
    leftover: list[str] = []

    def take(
        pattern: re.Pattern[str], read: Callable[[re.Match[str]], tuple[list[Change], list[str]]]
    ) -> None:
        nonlocal text
        pieces, last = [], 0
        for match in pattern.finditer(text):
            pieces.append(text[last : match.start()])
            new_changes, unread = read(match)
            changes.update(new_changes)
            leftover.extend(unread)
            last = match.end()
        text = _GAP.join([*pieces, text[last:]])

    take(_LEVEL_SENTENCE, _read_level)
    take(_ADDED, lambda match: _read_list(match["what"], "added"))
    take(_MISSING, lambda match: _read_list(match["what"], "missing"))
    is_unchanged = _NOTHING.search(text) is not None
    text = _NOTHING.sub(_GAP, text)
    leftover.extend(_rest(text))
    if not (changes or leftover or is_unchanged):  # separators only
        leftover.append(" ".join(answer.split()))
    return Parsed(frozenset(changes), tuple(leftover), is_unchanged)


def _read_list(what: str, kind: Kind) -> tuple[list[Change], list[str]]:
    names = [_NAMES[match] for match in _NAME.findall(what)]
    unread = _rest(_NAME.sub(_GAP, what))
    if not names and not unread:
        unread = [kind]
    return [Change(name, kind) for name in names], unread


def _read_level(match: re.Match[str]) -> tuple[list[Change], list[str]]:
    names = [_NAMES[name] for name in _NAME.findall(match["what"])]
    before, after = _split_levels(match["levels"])
    if len(names) == 1 and before and after and before != after:
        return [Change(names[0], "level", before, after)], _rest(_NAME.sub(_GAP, match["what"]))
    return [], [match.group(0)]


def _split_levels(text: str) -> tuple[str, str]:
    """The two levels of "small to moderate to large": the first split into two levels."""
    words = [word.strip(" .,;") for word in re.split(r"\bto\b", text)]
    for cut in range(1, len(words)):
        before, after = " to ".join(words[:cut]), " to ".join(words[cut:])
        if _is_level(before) and _is_level(after):
            return before, after
    return "", ""


def _is_level(text: str) -> bool:
    return bool(text) and not _LEVEL.sub("", text).strip()


def _rest(text: str) -> list[str]:
    """The words of a text without separators, one string per gap."""
    pieces = (_GLUE.sub(" ", piece) for piece in text.split(_GAP))
    return [words for words in (" ".join(piece.split()) for piece in pieces) if words]


def render(changes: Iterable[Change], order: Sequence[str] = FINDINGS) -> str:
    """The canonical answer: levels, added, missing, each in the order of finding ids.

    Another `order` of all findings gives an equivalent answer.

    >>> render([])
    'nothing has changed.'
    """
    ranks = {name: rank for rank, name in enumerate(order)}
    ordered = sorted(set(changes), key=lambda change: (ranks[change.finding], change))
    if not ordered:
        return UNCHANGED
    sentences = [
        f"the level of {c.finding} has changed from {c.before} to {c.after}. "
        for c in ordered
        if c.kind == "level"
    ]
    added = [change.finding for change in ordered if change.kind == "added"]
    missing = [change.finding for change in ordered if change.kind == "missing"]
    if len(added) == 1:
        sentences.append(
            f"the main image has an additional finding of {added[0]} than the reference image. "
        )
    elif added:
        sentences.append(
            f"the main image has additional findings of {_listed(added)} than the reference image. "
        )
    if missing:
        noun = "finding" if len(missing) == 1 else "findings"
        sentences.append(
            f"the main image is missing the {noun} of {_listed(missing)} than the reference image. "
        )
    return "".join(sentences)


def _listed(names: Sequence[str]) -> str:
    """ "a", "a, and b", "a, b, and c": the dataset has a comma even for two."""
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])}, and {names[-1]}"


def invert(changes: Iterable[Change]) -> frozenset[Change]:
    """The changes of the swapped pair: added <-> missing, levels reversed."""
    return frozenset(_inverse(change) for change in changes)


def _inverse(change: Change) -> Change:
    if change.kind == "level":
        return Change(change.finding, "level", change.after, change.before)
    return Change(change.finding, "missing" if change.kind == "added" else "added")


def findings_in(text: str) -> tuple[str, ...]:
    """The findings that a text names, aliases included, each once, in the order of their ids."""
    named = {_NAMES[match] for match in _NAME.findall(" ".join(text.lower().split()))}
    return tuple(name for name in FINDINGS if name in named)


def contradictions(changes: Iterable[Change]) -> tuple[str, ...]:
    """Findings with more than one change, which contradict each other."""
    seen: dict[str, int] = {}
    for change in set(changes):
        seen[change.finding] = seen.get(change.finding, 0) + 1
    return tuple(name for name in FINDINGS if seen.get(name, 0) > 1)
