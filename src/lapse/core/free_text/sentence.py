"""One sentence of free text -> statements: which finding has which direction, side and level.

A direction belongs to the noun after it where only light words are between them ("new small left
effusion", "increase in the edema"), otherwise to the noun before it ("the effusion on the left
has increased"). Further nouns of a list share it. Hedged and negated nouns state no change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lapse.core.free_text.directions import assign_directions, mark_negated
from lapse.core.free_text.places import place_of, set_level_change, set_place
from lapse.core.free_text.tokens import (
    NOUNS,
    PLACES,
    Noun,
    Token,
    segments_of,
    tokens_of,
    without_hedged,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a sentence states about one finding.

    Attributes:
        finding: one of findings.FINDINGS.
        direction: "new", "resolved", "increased", "decreased" or "stable".
        side: "left", "right", "both", or "" where none is named.
        zone: "upper", "mid", "lower" or "".
        level: "moderate", "small -> moderate" or "".
    """

    finding: str
    direction: str
    side: str = ""
    zone: str = ""
    level: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """The statements of a sentence, and what else it says.

    Attributes:
        statements: changes and stable findings.
        says_unchanged: a sentence such as "no significant change", a negated finding, or "clear".
        last: the last finding, for a pronoun in the next sentence.
        header: direction of a header such as "New findings:", for the lines below it.
    """

    statements: tuple[Statement, ...] = ()
    says_unchanged: bool = False
    last: Noun | None = None
    header: str = ""


def read_sentence(sentence: str, last: Noun | None = None, header: str = "") -> Reading:
    """Read one sentence.

    Args:
        sentence: lower case, without Markdown.
        last: the last finding of the sentences before.
        header: direction of the header above, "" without one.
    """
    tokens = tokens_of(sentence)
    place, tokens = _label(tokens)
    own_header, tokens = _header(tokens)
    nouns: list[Noun] = []
    says_unchanged = has_open_exception = False
    for segment in segments_of(tokens):
        segment = without_hedged(segment)
        of_segment = [Noun(i, t) for i, t in enumerate(segment) if t.kind in NOUNS]
        for noun in of_segment:
            set_place(noun, segment, of_segment)
        has_negation = mark_negated(segment, of_segment)
        free = [noun for noun in of_segment if not noun.is_negated]
        copies, lone = assign_directions(segment, free, (nouns[-1] if nouns else None) or last)
        says_unchanged |= lone or has_negation or any(t.text == "clear" for t in segment)
        set_level_change(segment, of_segment)
        has_open_exception |= _is_open_exception(segment, of_segment)
        nouns += of_segment + copies
    set_level_change(tokens, nouns[:1] if len({noun.token.value for noun in nouns}) == 1 else [])
    shared = own_header or header
    is_shared = bool(shared) and not any(noun.directions for noun in nouns)
    if is_shared:
        for noun in nouns:
            if not noun.is_negated:
                noun.directions.append(shared)
    for noun in nouns:
        noun.side = noun.side or place[0]
        noun.zone = noun.zone or place[1]
    findings = [noun for noun in nouns if noun.token.kind != "other"]
    statements = [s for noun in nouns for s in _statements(noun)]
    if has_open_exception:
        says_unchanged = False
        statements = [s for s in statements if s.direction != "stable"]
    return Reading(
        _distinct(statements),
        says_unchanged,
        findings[-1] if findings else last,
        shared if is_shared and (own_header == "" or not findings) else "",
    )


def _is_open_exception(segment: Sequence[Token], nouns: Sequence[Noun]) -> bool:
    """Whether a segment excepts a finding from "unchanged" and does not say how it changed."""
    is_exception = bool(segment) and segment[0].value == "except"
    return is_exception and any(
        noun.token.kind != "other" and not noun.directions and not noun.is_negated for noun in nouns
    )


def _distinct(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """Each statement once, without those that another one states with its place."""
    placed = {(s.finding, s.direction) for s in statements if s.side or s.zone}
    return tuple(
        s
        for s in dict.fromkeys(statements)
        if s.side or s.zone or (s.finding, s.direction) not in placed
    )


def _statements(noun: Noun) -> Iterator[Statement]:
    if noun.token.kind == "other" or noun.is_negated:
        return
    for direction in noun.directions:
        if noun.token.kind == "organ" and direction in ("stable", "new"):
            continue  # a heart is no finding
        yield Statement(noun.token.value, direction, noun.side, noun.zone, noun.level)


def _at_colon(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """The tokens before and after a colon near the start of a sentence; [] before without one."""
    for index, token in enumerate(tokens[:5]):
        if token.kind == "colon":
            return tokens[:index], tokens[index + 1 :]
    return [], tokens


def _label(tokens: list[Token]) -> tuple[tuple[str, str], list[Token]]:
    """The place of a label such as "Left lung:", and the tokens after it."""
    before, after = _at_colon(tokens)
    is_label = before and all(t.kind in (*PLACES, "light") for t in before)
    return (place_of(before), after) if is_label else (("", ""), tokens)


def _header(tokens: list[Token]) -> tuple[str, list[Token]]:
    """The direction of a header such as "Resolved findings:", and the tokens after it."""
    before, after = _at_colon(tokens)
    directions = [t.value for t in before if t.kind in ("direction", "unchanged")]
    is_header = directions and not any(t.kind in NOUNS for t in before)
    return (directions[-1], after) if is_header else ("", tokens)
