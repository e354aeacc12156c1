"""Difference answers of Medical-Diff-VQA -> sets of changes.

`lapse.core.changes` gives the sentences. The order within a list carries no information. "Missing"
means not mentioned, not resolved. Words that the parser cannot read are returned as leftover. A
clause with a word of negation or doubt ("no pneumothorax", "it is not true that", "possible",
"nothing has changed except") is leftover as a whole, and so is a name with an unknown word
("pericardial effusion"): its change would be another one than the text states.
`lapse.core.free_text.reader` reads such sentences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lapse.core.changes import Change, Kind
from lapse.core.findings import MODIFIERS, NAME_PATTERN, NAMES, is_level
from lapse.core.hedges import DOUBT

MAX_ANSWER = 10_000  # characters
_WHAT = r"(?:(?!the level of )[^.\n])+?"
_LEVEL_SENTENCE = re.compile(
    rf"the level of (?P<what>{_WHAT}) has changed from (?P<levels>.+?)"
    r"(?=\.|,? the level of |,? the main image |$)"
)
_MOVE_SENTENCE = re.compile(
    rf"the level of (?P<what>{_WHAT}) has (?P<kind>increased|decreased)(?![\w-])"
)
_LIST = (
    r"findings? of (?P<what>.*?)(?: than (?:the )?reference image|(?=\.)|(?= the main image )|$)"
)
_ADDED = re.compile(rf"the main image has (?:an )?additional {_LIST}", re.MULTILINE)
_MISSING = re.compile(rf"the main image is missing (?:the )?{_LIST}", re.MULTILINE)
_NOTHING = re.compile(r"nothing has changed")
_GAP = "\n"  # replaces what was read; no answer contains one after its blanks are collapsed
_ITEM_END = re.compile(r",|\band\b")
_GLUE = re.compile(r"[\s.,;]+|\band\b")


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
                is_general = not NAME_PATTERN.search(part)
                if number == 0 or is_general:
                    doubted.add(index - 1)
                if number == len(parts) - 1 or is_general:
                    doubted.add(index)
    return doubted


def _read_list(match: re.Match[str], kind: Kind) -> _Clause:
    changes: list[Change] = []
    unread: list[str] = []
    for item in _ITEM_END.split(match["what"]):
        words = _rest(NAME_PATTERN.sub(_GAP, item))
        if _has_unknown_word(words):
            unread += _rest(item)
            continue
        changes += [Change(NAMES[name], kind) for name in NAME_PATTERN.findall(item)]
        unread += words
    if not changes and not unread:
        unread = [kind]
    is_doubted = DOUBT.search(match["what"]) is not None
    return _Clause(*match.span(), tuple(changes), tuple(unread), is_doubted)


def _read_level(match: re.Match[str]) -> _Clause:
    names = [NAMES[name] for name in NAME_PATTERN.findall(match["what"])]
    words = _rest(NAME_PATTERN.sub(_GAP, match["what"]))
    before, after = _split_levels(match["levels"])
    is_level = len(names) == 1 and before and after and before != after
    if not is_level or _has_unknown_word(words):
        return _Clause(*match.span(), unread=(match.group(0),))
    return _Clause(*match.span(), (Change(names[0], "level", before, after),), tuple(words))


def _read_move(match: re.Match[str]) -> _Clause:
    names = [NAMES[name] for name in NAME_PATTERN.findall(match["what"])]
    words = _rest(NAME_PATTERN.sub(_GAP, match["what"]))
    if len(names) != 1 or _has_unknown_word(words):
        return _Clause(*match.span(), unread=(match.group(0),))
    kind: Kind = "increased" if match["kind"] == "increased" else "decreased"
    return _Clause(*match.span(), (Change(names[0], kind),), tuple(words))


def _has_unknown_word(words: Iterable[str]) -> bool:
    return any(word not in MODIFIERS for text in words for word in text.split())


def _split_levels(text: str) -> tuple[str, str]:
    """The two levels of "small to moderate to large": the first split into two levels."""
    words = [word.strip(" .,;") for word in re.split(r"\bto\b", text)]
    for cut in range(1, len(words)):
        before, after = " to ".join(words[:cut]), " to ".join(words[cut:])
        if is_level(before) and is_level(after):
            return before, after
    return "", ""


def _rest(text: str) -> list[str]:
    """The words of a text without separators, one string per gap."""
    pieces = (_GLUE.sub(" ", piece) for piece in text.split(_GAP))
    return [words for words in (" ".join(piece.split()) for piece in pieces) if words]
