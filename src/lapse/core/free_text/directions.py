"""Which direction belongs to which noun of a segment, and which nouns a negation concerns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lapse.core.free_text.places import place_of
from lapse.core.free_text.tokens import LIGHT, LIST, NOUNS, PLACES, Noun, Token

ATTRIBUTES = ("new", "additional", "develop", "there", "now ha", "now show")
SEEN = frozenset(
    ("seen", "visible", "present", "noted", "identified", "evident", "visualized", "visualised",
     "appreciated", "found", "apparent", "recognized", "recognised", "confirmed", "established",
     "supported", "favored", "favoured", "suggested", "demonstrated", "shown", "detected", "there")
)  # fmt: skip
MAX_WORDS = 3  # unknown words between a direction and its noun


def mark_negated(segment: Sequence[Token], nouns: Sequence[Noun]) -> bool:
    """Mark the nouns that a negation concerns; whether there are any."""
    by_index = {noun.index: noun for noun in nouns}
    num_negated = 0
    for start, token in enumerate(segment):
        if token.kind != "negation":
            continue
        negated = [by_index[index] for index in _nouns_after(segment, start)]
        if not negated and start and not any(t.kind in NOUNS for t in segment[start:]):
            previous = [noun for noun in nouns if noun.index < start]
            before = segment[: previous[-1].index] if previous else []
            is_none = token.text == "none" or start == len(segment) - 1
            if previous and is_none:
                negated = previous[-1:]
            elif any(t.kind == "past" for t in before):
                previous[-1].directions.append("resolved")  # "the earlier opacity is not evident"
            elif previous and segment[start + 1].text in SEEN:
                negated = previous[-1:]  # "a new effusion is not seen"
        for noun in negated:
            noun.is_negated = True
        num_negated += len(negated)
    if any(t.text in ("unlike", "any more", "anymore") for t in segment):
        for noun in nouns:
            if noun.is_negated:
                noun.is_negated = False
                noun.directions.append("resolved")
    return num_negated > 0


def _nouns_after(segment: Sequence[Token], start: int) -> list[int]:
    """The nouns that a negation at this position concerns: the next one, and those of its list."""
    nouns: list[int] = []
    is_subject = True  # before a comma and a noun: "does not show", "no evidence that it has"
    for index in range(start + 1, len(segment)):
        kind = segment[index].kind
        if kind in NOUNS:
            if nouns and _has_predicate(segment, index):
                break
            nouns.append(index)
        elif kind == "direction" and nouns:
            if segment[index - 1].text != "or":  # "no effusion or new edema"
                break
        elif kind not in (*LIST, "direction", "negation") and not (
            is_subject and kind in ("verb", "pronoun")
        ):
            break
        is_subject = is_subject and not nouns and kind != "comma"
    return nouns


def _has_predicate(segment: Sequence[Token], index: int) -> bool:
    """Whether a verb and a direction follow a noun before the next one."""
    for token in segment[index + 1 :]:
        if token.kind == "direction":
            return True
        if token.kind not in (*LIGHT, "verb", "word"):
            return False
    return False


def assign_directions(
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
            _share(segment, nouns, previous, value, is_left=True)
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
        _share(segment, nouns, noun, segment[index].value, is_left=False)
    return copies, says_unchanged


def _negated_directions(segment: Sequence[Token]) -> set[int]:
    """Directions that follow a negation with light words between them."""
    negated: set[int] = set()
    is_open = is_first = False
    for index, token in enumerate(segment):
        if token.kind == "negation":
            is_open = is_first = True
        elif token.kind == "direction":
            if is_open:
                negated.add(index)
            is_first = False
        elif token.kind not in ("light", "and", "word") and not (
            is_first and token.kind in ("verb", "pronoun", "level", *PLACES)
        ):
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
        return place_of(before)
    after: list[Token] = []
    for token in segment[index + 1 :]:
        if token.kind not in (*PLACES, "light"):
            break
        after.append(token)
    if not any(token.kind in PLACES for token in segment[start + 1 : index]):
        return place_of(after)
    return "", ""


def _share(
    segment: Sequence[Token], nouns: Sequence[Noun], noun: Noun, direction: str, *, is_left: bool
) -> None:
    """Give the nouns of a list before or after this one the same direction."""
    position = noun.index
    for other in reversed(nouns) if is_left else nouns:
        if other.index == noun.index or (other.index < noun.index) != is_left:
            continue
        start, end = sorted((other.index, position))
        between = segment[start + 1 : end]
        kinds = LIST if is_left else (*LIGHT, "comma", "and")
        if other.directions or any(token.kind not in kinds for token in between):
            return
        if not is_left and not any(t.kind in ("comma", "and") or t.text == "with" for t in between):
            return
        other.directions.append(direction)
        position = other.index
