"""Difference answers of Medical-Diff-VQA <-> sets of changes: parse, render, invert.

    answer  := level* added? missing?  |  'nothing has changed.'
    level   := 'the level of F has changed from L to L. '
            |  'the level of F has increased. '  |  'the level of F has decreased. '
    added   := 'the main image has an additional finding of F than the reference image. '
    missing := 'the main image is missing the finding of F than the reference image. '

The order within a list carries no information. "Missing" means not mentioned, not resolved. Words
that the parser cannot read are returned as leftover. A clause with a word of negation or doubt
("no pneumothorax", "it is not true that", "possible", "nothing has changed except") is leftover
as a whole, and so is a name with an unknown word ("pericardial effusion"): its change would be
another one than the text states. `lapse.core.free_text` reads such sentences.
The two sentences without levels are an addition of this package, for systems that do not name any.
Source: the published templates and names of Medical-Diff-VQA (Hu et al., 2023).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from lapse.core.hedges import DOUBT

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
    "atelectatic change": "atelectasis",
    "atelectatic changes": "atelectasis",
    "enlarged": "cardiomegaly",
    "pulmonary edema": "edema",
    "hiatal hernia": "hernia",
    "hiatus hernia": "hernia",
    "pulmonary vascular congestion": "vascular congestion",
    "chf": "heart failure",
    "congestive heart failure": "heart failure",
    "cardiac decompensation": "heart failure",
    "opacity": "lung opacity",
    "opacities": "lung opacity",
    "lung opacities": "lung opacity",
    "opacification": "lung opacity",
    "airspace opacity": "lung opacity",
    "airspace opacities": "lung opacity",
    "lung opacification": "lung opacity",
    "infection": "pneumonia",
    "thoracolumbar scoliosis": "scoliosis",
    "htn": "hypertensive heart disease",
    "pulmonary contusion": "contusion",
    "fractures": "fracture",
    "rib fracture": "fracture",
    "rib fractures": "fracture",
    "granulomas": "granuloma",
    "granulomatous disease": "granuloma",
    "calcifications": "calcification",
    "consolidations": "consolidation",
    "blunting of the costophrenic angles": "blunting of the costophrenic angle",
    "blunting of the left costophrenic angle": "blunting of the costophrenic angle",
    "blunting of the right costophrenic angle": "blunting of the costophrenic angle",
    "blunting of the left costodiaphragmatic": "blunting of the costophrenic angle",
    "blunting of the right costodiaphragmatic": "blunting of the costophrenic angle",
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
Kind = Literal["added", "missing", "level", "increased", "decreased"]
KINDS: tuple[Kind, ...] = ("level", "added", "missing")  # of the data set
FREE_KINDS: tuple[Kind, ...] = ("increased", "decreased")  # level changes without their levels

NAMES = {**{name: name for name in FINDINGS}, **ALIASES}
# Words that may accompany a name without making it another finding. They stay leftover.
_MODIFIERS = {word for text in (*LEVELS, *TYPES) for word in text.split()} | {
    "a", "an", "and", "apical", "area", "basal", "base", "bases", "basilar", "bibasilar",
    "bilateral", "both", "image", "in", "left", "lobe", "lobes", "lower", "lung", "lungs", "main",
    "mid", "middle", "new", "of", "perihilar", "pulmonary", "reference", "retrocardiac", "right",
    "sided", "than", "the", "to", "upper", "zone", "zones",
}  # fmt: skip


def _alternatives(words: Iterable[str]) -> str:
    """A pattern of complete words that prefers the longest one."""
    ordered = sorted(words, key=lambda word: (-len(word), word))
    return r"(?<![\w-])(?:" + "|".join(re.escape(word) for word in ordered) + r")(?![\w-])"


_NAME = re.compile(_alternatives(NAMES))
_LEVEL = re.compile(_alternatives(LEVELS))
_WHAT = r"(?:(?!the level of )[^.\n])+?"
_LEVEL_SENTENCE = re.compile(
    rf"the level of (?P<what>{_WHAT}) has changed from (?P<levels>.+?)"
    r"(?=\.|,? the level of |,? the main image |$)"
)
_MOVE_SENTENCE = re.compile(
    rf"the level of (?P<what>{_WHAT}) has (?P<kind>increased|decreased)(?![\w-])"
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
_ITEM_END = re.compile(r",|\band\b")
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
        if self.kind not in (*KINDS, *FREE_KINDS):
            names = ", ".join((*KINDS, *FREE_KINDS))
            raise ValueError(f"unknown kind of change {self.kind!r}: one of {names}")
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
        is_unchanged: whether the answer states that nothing has changed.
        ignored: words that a reader of free text passed over; the strict reader ignores none.
    """

    changes: frozenset[Change]
    leftover: tuple[str, ...]
    is_unchanged: bool
    ignored: tuple[str, ...] = ()

    @property
    def is_parsed(self) -> bool:
        """Whether every word was read and the answer is not empty."""
        return not self.leftover and (self.is_unchanged or bool(self.changes))


@dataclass(frozen=True, slots=True)
class _Clause:
    """A template sentence in an answer: its position and what it states."""

    start: int
    end: int
    changes: tuple[Change, ...] = ()
    unread: tuple[str, ...] = ()
    is_doubted: bool = False


def parse(answer: str) -> Parsed:
    """Parse a difference answer; tolerant of case, blanks and missing punctuation.

    An empty answer has the leftover ("",), so it is not parsed; an answer of more than MAX_ANSWER
    characters is all leftover. "from mild to moderate to severe" is ambiguous and is read as
    mild -> moderate to severe.

    >>> parse("the main image is missing the finding of edema than the reference image. ").changes
    frozenset({Change(finding='edema', kind='missing', before='', after='')})
    >>> parse("the main image has an additional finding of no edema.").changes
    frozenset()
    """
    text = " ".join(answer.lower().split())
    if not text or len(text) > MAX_ANSWER:  # parsing takes quadratic time
        return Parsed(frozenset(), (text,), False)
    clauses, rest = _clauses(text)
    doubted = _doubted(clauses, rest)
    changes: set[Change] = set()
    leftover: list[str] = []
    is_unchanged = False
    for index, clause in enumerate(clauses):
        if index in doubted:
            leftover.append(text[clause.start : clause.end])
            continue
        changes.update(clause.changes)
        leftover.extend(clause.unread)
        is_unchanged |= not (clause.changes or clause.unread)
    leftover.extend(_rest(rest))
    if not (changes or leftover or is_unchanged):  # separators only
        leftover.append(" ".join(answer.split()))
    return Parsed(frozenset(changes), tuple(leftover), is_unchanged)


@lru_cache(maxsize=1 << 16)
def read_template(answer: str) -> Parsed:
    """`parse` with a cache, for scores: answers repeat, and every score reads them."""
    return parse(answer)


def _clauses(text: str) -> tuple[list[_Clause], str]:
    """The template sentences by position, and the text with gaps of their length instead."""
    clauses: list[_Clause] = []
    readers: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], _Clause]], ...] = (
        (_LEVEL_SENTENCE, _read_level),
        (_MOVE_SENTENCE, _read_move),
        (_ADDED, lambda match: _read_list(match, "added")),
        (_MISSING, lambda match: _read_list(match, "missing")),
        (_NOTHING, lambda match: _Clause(*match.span())),
    )
    for pattern, read in readers:
        new = [read(match) for match in pattern.finditer(text)]
        for clause in new:
            text = text[: clause.start] + _GAP * (clause.end - clause.start) + text[clause.end :]
        clauses += new
    return sorted(clauses, key=lambda clause: clause.start), text


def _doubted(clauses: Sequence[_Clause], rest: str) -> set[int]:
    """The clauses that a word of negation or doubt concerns.

    Such a word concerns the clauses of its sentence. Where it comes without a finding, as in
    "this is not true", it concerns the clause before and after as well.
    """
    doubted = {index for index, clause in enumerate(clauses) if clause.is_doubted}
    ends = [0, *(clause.end for clause in clauses)]
    starts = [*(clause.start for clause in clauses), len(rest)]
    for index, (start, end) in enumerate(zip(ends, starts, strict=True)):
        parts = rest[start:end].split(".")
        for number, part in enumerate(parts):
            if DOUBT.search(part):
                is_general = not _NAME.search(part)
                if number == 0 or is_general:
                    doubted.add(index - 1)
                if number == len(parts) - 1 or is_general:
                    doubted.add(index)
    return doubted


def _read_list(match: re.Match[str], kind: Kind) -> _Clause:
    changes: list[Change] = []
    unread: list[str] = []
    for item in _ITEM_END.split(match["what"]):
        words = _rest(_NAME.sub(_GAP, item))
        if _has_unknown_word(words):
            unread += _rest(item)
            continue
        changes += [Change(NAMES[name], kind) for name in _NAME.findall(item)]
        unread += words
    if not changes and not unread:
        unread = [kind]
    is_doubted = DOUBT.search(match["what"]) is not None
    return _Clause(*match.span(), tuple(changes), tuple(unread), is_doubted)


def _read_level(match: re.Match[str]) -> _Clause:
    names = [NAMES[name] for name in _NAME.findall(match["what"])]
    words = _rest(_NAME.sub(_GAP, match["what"]))
    before, after = _split_levels(match["levels"])
    is_level = len(names) == 1 and before and after and before != after
    if not is_level or _has_unknown_word(words):
        return _Clause(*match.span(), unread=(match.group(0),))
    return _Clause(*match.span(), (Change(names[0], "level", before, after),), tuple(words))


def _read_move(match: re.Match[str]) -> _Clause:
    names = [NAMES[name] for name in _NAME.findall(match["what"])]
    words = _rest(_NAME.sub(_GAP, match["what"]))
    if len(names) != 1 or _has_unknown_word(words):
        return _Clause(*match.span(), unread=(match.group(0),))
    kind: Kind = "increased" if match["kind"] == "increased" else "decreased"
    return _Clause(*match.span(), (Change(names[0], kind),), tuple(words))


def _has_unknown_word(words: Iterable[str]) -> bool:
    return any(word not in _MODIFIERS for text in words for word in text.split())


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
    sentences = [_level_sentence(c) for c in ordered if c.kind in ("level", *FREE_KINDS)]
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


def _level_sentence(change: Change) -> str:
    if change.kind == "level":
        levels = f"from {change.before} to {change.after}"
        return f"the level of {change.finding} has changed {levels}. "
    return f"the level of {change.finding} has {change.kind}. "


def _listed(names: Sequence[str]) -> str:
    """ "a", "a, and b", "a, b, and c": the dataset has a comma even for two."""
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])}, and {names[-1]}"


_OPPOSITE: dict[Kind, Kind] = {
    "added": "missing",
    "missing": "added",
    "increased": "decreased",
    "decreased": "increased",
}


def invert(changes: Iterable[Change]) -> frozenset[Change]:
    """The changes of the swapped pair: added <-> missing, levels reversed."""
    return frozenset(_inverse(change) for change in changes)


def _inverse(change: Change) -> Change:
    if change.kind == "level":
        return Change(change.finding, "level", change.after, change.before)
    return Change(change.finding, _OPPOSITE[change.kind])


def findings_in(text: str) -> tuple[str, ...]:
    """The findings that a text names, aliases included, each once, in the order of their ids."""
    matches = set(_NAME.findall(" ".join(text.lower().split()))) - {"enlarged"}  # hila, for one
    named = {NAMES[match] for match in matches}
    return tuple(name for name in FINDINGS if name in named)


def contradictions(changes: Iterable[Change]) -> tuple[str, ...]:
    """Findings with more than one change, which contradict each other."""
    seen: dict[str, int] = {}
    for change in set(changes):
        seen[change.finding] = seen.get(change.finding, 0) + 1
    return tuple(name for name in FINDINGS if seen.get(name, 0) > 1)
