"""One sentence of free text -> statements: which finding has which direction, side and level.

A direction belongs to the noun after it where only light words are between them ("new small left
effusion", "increase in the edema"), otherwise to the noun before it ("the effusion on the left
has increased"). Further nouns of a list share it. Hedged and negated nouns state no change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from lapse.core.free_text_lexicon import KINDS, SYMBOLS, TOKEN, TokenKind
from lapse.core.grammar import LEVELS

NOUNS = ("finding", "organ", "other")
PLACES = ("side", "zone", "side_zone")
LIGHT = ("light", "level", *PLACES)
LIST = (*LIGHT, "comma", "and", "past", "word")
ATTRIBUTES = ("new", "additional", "develop", "there", "now ha", "now show")
MAX_WORDS = 3  # unknown words between a direction and its noun
RANKS = {
    **dict.fromkeys(("minimal", "minimally", "subtle", "minor", "trace", "tiny"), 1),
    **dict.fromkeys(("mild", "mildly", "small"), 2),
    "mild to moderate": 3,
    **dict.fromkeys(("moderate", "moderately"), 4),
    **dict.fromkeys(("moderate to large", "moderate to severe"), 5),
    **dict.fromkeys(("severe", "massive", "acute", "large", "marked"), 6),
}


@dataclass(frozen=True, slots=True)
class Statement:
    """What a sentence states about one finding.

    Attributes:
        finding: one of grammar.FINDINGS.
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


@dataclass(frozen=True, slots=True)
class Reading:
    """The statements of a sentence, and what else it says.

    Attributes:
        statements: changes and stable findings.
        says_unchanged: a sentence such as "no significant change".
        says_absent: a negated finding, or "clear".
        last: the last finding, for a pronoun in the next sentence.
        header: direction of a header such as "New findings:", for the lines below it.
    """

    statements: tuple[Statement, ...] = ()
    says_unchanged: bool = False
    says_absent: bool = False
    last: Noun | None = None
    header: str = ""


def tokens_of(sentence: str) -> list[Token]:
    """The tokens of a sentence in lower case."""
    tokens = []
    for match in TOKEN.finditer(sentence):
        name = str(match.lastgroup)
        kind, value = KINDS[name] if name in KINDS else SYMBOLS[name]
        tokens.append(Token(kind, value, match.group(0)))
    return tokens


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
    says_unchanged = says_absent = False
    for segment in _segments(tokens):
        segment = _without_hedged(segment)
        of_segment = [Noun(i, t) for i, t in enumerate(segment) if t.kind in NOUNS]
        for noun in of_segment:
            _place(noun, segment, of_segment)
        says_absent |= _negate(segment, of_segment) or any(t.text == "clear" for t in segment)
        free = [noun for noun in of_segment if not noun.is_negated]
        copies, lone = _assign(segment, free, (nouns[-1] if nouns else None) or last)
        says_unchanged |= lone
        _levels(segment, of_segment)
        nouns += of_segment + copies
    _levels(tokens, nouns[:1] if len({noun.token.value for noun in nouns}) == 1 else [])
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
    return Reading(
        _distinct([s for noun in nouns for s in _statements(noun)]),
        says_unchanged,
        says_absent,
        findings[-1] if findings else last,
        shared if is_shared and (own_header == "" or not findings) else "",
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


def _label(tokens: list[Token]) -> tuple[tuple[str, str], list[Token]]:
    """The place of a label such as "Left lung:", and the tokens after it."""
    for index, token in enumerate(tokens[:5]):
        if token.kind == "colon":
            before = tokens[:index]
            if before and all(t.kind in (*PLACES, "light") for t in before):
                return _place_of(before), tokens[index + 1 :]
            break
    return ("", ""), tokens


def _header(tokens: list[Token]) -> tuple[str, list[Token]]:
    """The direction of a header such as "Resolved findings:", and the tokens after it."""
    for index, token in enumerate(tokens[:5]):
        if token.kind == "colon":
            before = tokens[:index]
            directions = [t.value for t in before if t.kind in ("direction", "unchanged")]
            if directions and not any(t.kind in NOUNS for t in before):
                return directions[-1], tokens[index + 1 :]
            break
    return "", tokens


def _segments(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    segment: list[Token] = []
    for token in tokens:
        if token.kind == "break":
            yield segment
            segment = []
        else:
            segment.append(token)
    yield segment


def _without_hedged(segment: list[Token]) -> list[Token]:
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


def _negate(segment: Sequence[Token], nouns: Sequence[Noun]) -> bool:
    """Mark the nouns that a negation concerns; whether there are any."""
    by_index = {noun.index: noun for noun in nouns}
    num_negated = 0
    for start, token in enumerate(segment):
        if token.kind != "negation":
            continue
        is_first = True
        for index in range(start + 1, len(segment)):
            kind = segment[index].kind
            if kind in NOUNS:
                if not is_first and _has_predicate(segment, index):
                    break
                by_index[index].is_negated = True
                is_first = False
                num_negated += 1
            elif (kind == "direction" and not is_first) or kind not in (
                *LIST,
                "direction",
                "negation",
            ):
                break
        if is_first and start and not any(t.kind in NOUNS for t in segment[start:]):
            previous = [noun for noun in nouns if noun.index < start]
            is_none = token.text == "none" or start == len(segment) - 1
            was_seen = (
                any(t.kind == "past" for t in segment[: previous[-1].index]) if previous else 0
            )
            if previous and is_none:
                previous[-1].is_negated = True
                num_negated += 1
            elif was_seen:  # "the previously described opacity is not evident"
                previous[-1].directions.append("resolved")
    if any(t.text in ("unlike", "any more", "anymore") for t in segment):
        for noun in nouns:
            if noun.is_negated:
                noun.is_negated = False
                noun.directions.append("resolved")
    return num_negated > 0


def _has_predicate(segment: Sequence[Token], index: int) -> bool:
    """Whether a verb and a direction follow a noun before the next one."""
    for token in segment[index + 1 :]:
        if token.kind == "direction":
            return True
        if token.kind not in (*LIGHT, "verb", "word"):
            return False
    return False


def _assign(
    segment: Sequence[Token], nouns: Sequence[Noun], last: Noun | None
) -> tuple[list[Noun], bool]:
    """Give each direction its nouns.

    Returns:
        Copies of findings for another side ("the right one has resolved"), and whether the
        segment says that nothing has changed.
    """
    negated = _negated_directions(segment)
    forward: list[tuple[int, Noun]] = []
    backward: list[tuple[int, Noun | None]] = []
    for index, token in enumerate(segment):
        if token.kind not in ("direction", "unchanged") or index in negated:
            continue
        after = next((noun for noun in nouns if noun.index > index), None)
        before = next((noun for noun in reversed(nouns) if noun.index < index), None)
        if after is not None and _is_forward(segment, index, before, after):
            forward.append((index, after))
        else:
            backward.append((index, before))
    for index, noun in forward:
        noun.directions.append(segment[index].value)
    copies: list[Noun] = []
    says_unchanged = False
    for index, previous in backward:
        value = segment[index].value
        start = 0 if previous is None else previous.index
        side, zone = _other_place(segment, start, index)
        if previous is not None and previous.directions == ["stable"] and value != "stable":
            previous.directions = [value]  # "persists and has grown"
        elif previous is not None and not previous.directions:
            previous.directions.append(value)
            previous.side, previous.zone = side or previous.side, zone or previous.zone
            _share_left(segment, nouns, previous, value)
        elif previous is not None or last is not None:
            base = previous or last
            has_pronoun = any(t.kind == "pronoun" for t in segment)
            if base is not None and side and side != base.side:
                copies.append(replace(base, side=side, zone=zone, level="", directions=[value]))
            elif base is not None and previous is None and (not base.directions or has_pronoun):
                copies.append(replace(base, directions=[value]))
            elif previous is None and value == "stable":
                says_unchanged = True
        elif value == "stable":
            following = next((noun for noun in nouns if noun.index > index), None)
            if following is not None and not following.directions and index < 2:
                following.directions.append(value)  # "As before, the heart is enlarged"
            else:
                says_unchanged = True
    for index, noun in forward:
        _share_right(segment, nouns, noun, segment[index].value)
    return copies, says_unchanged


def _negated_directions(segment: Sequence[Token]) -> set[int]:
    """Directions that follow a negation with light words between them."""
    negated: set[int] = set()
    is_open = False
    for index, token in enumerate(segment):
        if token.kind == "negation":
            is_open = True
        elif token.kind == "direction":
            if is_open:
                negated.add(index)
        elif token.kind not in ("light", "and", "word"):
            is_open = False
    return negated


def _is_forward(segment: Sequence[Token], index: int, before: Noun | None, after: Noun) -> bool:
    gap = segment[index + 1 : after.index]
    if any(token.kind not in (*LIGHT, "word", "now", "past") for token in gap):
        return False
    if sum(token.kind == "word" for token in gap) > MAX_WORDS:
        return False
    is_noun = bool(gap) and gap[0].text in ("of", "in")
    if before is None or is_noun or before.directions:
        return True
    between = segment[before.index + 1 : index]
    is_claimed = any(token.kind == "direction" for token in between)
    if is_claimed or segment[index].text.startswith(ATTRIBUTES):
        return True
    is_predicate = any(token.kind in ("verb", "colon") for token in between)
    return not is_predicate and bool(between)


def _other_place(segment: Sequence[Token], start: int, index: int) -> tuple[str, str]:
    """The place that the nearest words give a direction: "the right one has", "on the left"."""
    nearest = start
    for position in range(start + 1, index):
        if segment[position].kind in ("direction", "unchanged", "comma", "colon"):
            nearest = position
    before = segment[nearest + 1 : index]
    is_subject = any(
        first.kind in PLACES and second.kind in ("verb", "pronoun", "direction", "light")
        for first, second in zip(before, [*before[1:], segment[index]], strict=False)
    )
    if is_subject and (nearest > start or segment[start].kind not in NOUNS):
        return _place_of(before)
    after: list[Token] = []
    for token in segment[index + 1 :]:
        if token.kind not in (*PLACES, "light"):
            break
        after.append(token)
    if not any(token.kind in PLACES for token in segment[start + 1 : index]):
        return _place_of(after)
    return "", ""


def _place_of(tokens: Sequence[Token]) -> tuple[str, str]:
    side = zone = ""
    for token in tokens:
        if token.kind == "side":
            side = side or token.value
        elif token.kind == "zone":
            zone = zone or token.value
        elif token.kind == "side_zone":
            side, zone = token.value.split()
    return side, zone


def _place(noun: Noun, segment: Sequence[Token], nouns: Sequence[Noun]) -> None:
    """Set side, zone and level of a noun from the words around it."""
    before: list[Token] = []
    for token in reversed(segment[: noun.index]):
        if token.kind not in (*LIGHT, "word", "past") or token.text == "and":
            break
        before.insert(0, token)
    noun.side, noun.zone = _place_of(before)
    noun.level = next((t.text for t in reversed(before) if t.kind == "level"), "")
    noun.side = noun.side or next((s for s in ("left", "right") if s in noun.token.text), "")
    if noun.side and noun.zone:
        return
    following = next((other.index for other in nouns if other.index > noun.index), len(segment))
    after: list[Token] = []
    for position in range(noun.index + 1, following):
        token = segment[position]
        is_place_next = position + 1 < following and segment[position + 1].kind in PLACES
        if token.kind in ("and", "colon", "direction") or token.kind not in (
            *LIGHT, "verb", "word", "comma", "now", "past",
        ):  # fmt: skip
            break
        if token.kind == "comma" and not is_place_next:
            break
        after.append(token)
    side, zone = _place_of(after)
    noun.side, noun.zone = noun.side or side, noun.zone or zone


def _share_left(
    segment: Sequence[Token], nouns: Sequence[Noun], noun: Noun, direction: str
) -> None:
    """Give the nouns of a list before this one the same direction."""
    position = noun.index
    for other in reversed([item for item in nouns if item.index < noun.index]):
        between = segment[other.index + 1 : position]
        if other.directions or any(token.kind not in LIST for token in between):
            return
        other.directions.append(direction)
        position = other.index


def _share_right(
    segment: Sequence[Token], nouns: Sequence[Noun], noun: Noun, direction: str
) -> None:
    """Give the nouns of a list after this one the same direction."""
    position = noun.index
    for other in [item for item in nouns if item.index > noun.index]:
        between = segment[position + 1 : other.index]
        if other.directions or any(token.kind not in (*LIGHT, "comma", "and") for token in between):
            return
        if not any(token.kind in ("comma", "and") or token.text == "with" for token in between):
            return
        other.directions.append(direction)
        position = other.index


def _levels(tokens: Sequence[Token], nouns: Sequence[Noun]) -> None:
    """Two levels, one of them of the earlier image, are a change of level."""
    findings = [noun for noun in nouns if noun.token.kind != "other" and not noun.is_negated]
    if not findings:
        return
    levels: dict[str, list[str]] = {"past": [], "now": [], "": []}
    for index, token in enumerate(tokens):
        if token.kind != "level":
            continue
        marks: list[str] = [
            t.kind for t in tokens[max(0, index - 3) : index] if t.kind in ("past", "now")
        ]
        if index + 1 < len(tokens) and tokens[index + 1].text in ("now", "previously", "before"):
            marks.append(tokens[index + 1].kind)
        first, _, second = token.text.partition(" to ")
        if marks and marks[-1] == "past" and second and tokens[index - 1].text == "from":
            levels["past"].append(first)
            levels["now"].append(second)
        else:
            levels[marks[-1] if marks else ""].append(token.text)
    before = levels["past"] or (levels[""] if levels["now"] else [])
    after = levels["now"] or (levels[""] if levels["past"] else [])
    if len(before) != 1 or len(after) != 1 or before == after:
        return
    position = next(i for i, token in enumerate(tokens) if token.kind == "level")
    noun = next((n for n in reversed(findings) if n.index < position), findings[0])
    change = RANKS[after[0]] - RANKS[before[0]]
    if change:
        is_named = before[0] in LEVELS and after[0] in LEVELS
        noun.level = f"{before[0]} -> {after[0]}" if is_named else ""
        noun.directions = ["increased" if change > 0 else "decreased"]
