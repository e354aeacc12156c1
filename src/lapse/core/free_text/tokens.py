"""The tokens of a sentence, its nouns, and its segments without what is in doubt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lapse.core.free_text.lexicon import KINDS, TOKEN, TokenKind

NOUNS = ("finding", "organ", "other")
PLACES = ("side", "zone", "side_zone")
LIGHT = ("light", "level", *PLACES)
LIST = (*LIGHT, "comma", "and", "past", "word")


@dataclass(frozen=True, slots=True)
class Token:
    """A word or phrase of the lexicon."""

    kind: TokenKind
    value: str
    text: str


@dataclass(slots=True)
class Noun:
    """A finding, an organ or another noun in a segment, with what is known about it."""

    index: int
    token: Token
    side: str = ""
    zone: str = ""
    level: str = ""
    directions: list[str] = field(default_factory=list)
    is_negated: bool = False


def tokens_of(sentence: str) -> list[Token]:
    """The tokens of a sentence in lower case."""
    matches = TOKEN.finditer(sentence)
    return [Token(*KINDS[str(match.lastgroup)], match.group(0)) for match in matches]


def segments_of(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The tokens between two breaks; a segment that starts with "except" keeps this word."""
    segment: list[Token] = []
    for token in tokens:
        if token.kind == "break":
            yield segment
            segment = [token] if token.value else []
        else:
            segment.append(token)
    yield segment


def without_hedged(segment: list[Token]) -> list[Token]:
    """The part of a segment that its words of doubt do not concern."""
    for index, token in enumerate(segment):
        if token.kind == "hedge":
            after = segment[index + 1 :]
            if token.value != "right" and not any(
                t.kind in ("finding", "organ", "direction") for t in after
            ):
                return []
            return segment[:index]
    return segment
