"""Where a finding is, and at which level: side, zone and level from the words around it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lapse.core.findings import LEVELS
from lapse.core.free_text.tokens import LIGHT, PLACES, Noun, Token

_NOT = re.compile(r"\bnot\b|n['’]t\b")
RANKS = {
    **dict.fromkeys(("minimal", "minimally", "subtle", "minor", "trace", "tiny"), 1),
    **dict.fromkeys(("mild", "mildly", "small"), 2),
    "mild to moderate": 3,
    **dict.fromkeys(("moderate", "moderately"), 4),
    **dict.fromkeys(("moderate to large", "moderate to severe"), 5),
    **dict.fromkeys(("severe", "massive", "acute", "large", "marked"), 6),
}


def place_of(tokens: Sequence[Token]) -> tuple[str, str]:
    side = zone = ""
    for token in tokens:
        if token.kind == "side":
            side = side or token.value
        elif token.kind == "zone":
            zone = zone or token.value
        elif token.kind == "side_zone":
            side, zone = token.value.split()
    return side, zone


def set_place(noun: Noun, segment: Sequence[Token], nouns: Sequence[Noun]) -> None:
    """Set side, zone and level of a noun from the words around it."""
    before: list[Token] = []
    for token in reversed(segment[: noun.index]):
        if token.kind not in (*LIGHT, "word", "past") or token.text == "and":
            break
        before.insert(0, token)
    noun.side, noun.zone = place_of(before)
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
    side, zone = place_of(after)
    noun.side, noun.zone = noun.side or side, noun.zone or zone


def set_level_change(tokens: Sequence[Token], nouns: Sequence[Noun]) -> None:
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
    if any(t.value == "stable" and _NOT.search(t.text) for t in tokens[:position]):
        return  # "has not changed from mild to severe"
    noun = next((n for n in reversed(findings) if n.index < position), findings[0])
    change = RANKS[after[0]] - RANKS[before[0]]
    if change:
        is_named = before[0] in LEVELS and after[0] in LEVELS
        noun.level = f"{before[0]} -> {after[0]}" if is_named else ""
        noun.directions = ["increased" if change > 0 else "decreased"]
