"""Free text -> changes, by rules: what has changed between two chest X-rays, in any words.

    text --clean--> sentences --rules--> statements (finding, direction, side, level) --> changes

New becomes "added", resolved "missing", two levels a change of level, and an increase or decrease
without levels "increased" or "decreased". Stable, negated and hedged findings are no changes.
Template sentences are read by `lapse.core.grammar.parse`. docs/explanation/free-text.md gives the
precision and recall on written sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from lapse.core.changes import Change, Kind
from lapse.core.findings import LEVELS
from lapse.core.free_text.lexicon import MODERN, OLD
from lapse.core.free_text.sentence import Reading, Statement, read_sentence
from lapse.core.free_text.tokens import Noun, tokens_of
from lapse.core.grammar import MAX_ANSWER, Parsed, parse

_END_TOKENS = re.compile(
    r"<\|[^|>]*\|>|</?s>|<(?:eos|bos|pad|unk|(?:start|end)_of_turn)>|\[/?(?:inst|eos|sep|cls|pad)\]"
)
_BULLET = re.compile(r"^(?:[-*•+–]|\(?(?:\d{1,2}|[a-z])[.)])\s+")
_MARKS = re.compile(r"\*+|_{2,}|`+|~~|^#+\s*|^>+\s*")
_ENUMERATION = re.compile(r"\((?:\d|[a-h])\)")
_SENTENCE_END = re.compile(r"(?<=[.!])\s+|(?<=\w\?)\s+")
_WITHDRAWAL = re.compile(  # takes back the sentence before it
    r"(?:but |however,? )?(?:this|that|it|which)(?: (?:is|was|may be|might be|could be)|'s)"
    r" (?:not (?:true|correct|the case|certain|real)|untrue|false|incorrect|wrong|uncertain|"
    r"doubtful|unlikely|an? (?:artifact|artefact|error|mistake))\b|not!"
)
_KINDS: dict[str, Kind] = {
    "new": "added",
    "resolved": "missing",
    "increased": "increased",
    "decreased": "decreased",
}


@lru_cache(maxsize=1 << 16)  # answers repeat, and every score reads them
def parse_free_text(text: str) -> Parsed:
    """Read the changes that a free text states.

    An answer without any change, stable finding, absent finding or sentence such as "no change"
    is unread as a whole: a description of one image, a doubt, or a refusal to answer.

    >>> parse_free_text("Interval increase in the left effusion; no pneumothorax.").changes
    frozenset({Change(finding='pleural effusion', kind='increased', before='', after='')})
    """
    strict = parse(text)
    if strict.is_parsed or len(text) > MAX_ANSWER:
        return strict
    statements: list[Statement] = []
    ignored: list[str] = []
    says_unchanged = False
    for sentence, reading in _readings(text):
        statements += reading.statements
        is_read = bool(reading.statements) or reading.says_unchanged
        says_unchanged |= is_read
        if not is_read:
            ignored += [t.text for t in tokens_of(sentence) if t.kind == "word"]
    changes = frozenset(c for statement in statements for c in _changes(statement))
    if changes:
        return Parsed(changes, (), False, tuple(ignored))
    if says_unchanged:
        return Parsed(frozenset(), (), True, tuple(ignored))
    return Parsed(frozenset(), (" ".join(text.split()),), False)


def read_statements(text: str) -> tuple[Statement, ...]:
    """What a free text states about each finding, with sides and levels, stable ones included."""
    statements = (s for _, reading in _readings(text) for s in reading.statements)
    return tuple(dict.fromkeys(statements))


def _changes(statement: Statement) -> Iterator[Change]:
    if statement.direction == "stable":
        return
    before, _, after = statement.level.partition(" -> ")
    if before in LEVELS and after in LEVELS:
        yield Change(statement.finding, "level", before, after)
    else:
        yield Change(statement.finding, _KINDS[statement.direction])


def _readings(text: str) -> Iterator[tuple[str, Reading]]:
    last: Noun | None = None
    header = ""
    sentences = sentences_of(text)
    while sentences:
        sentence, *sentences = sentences
        parts = _CONTRAST.split(sentence, maxsplit=1)
        reading = _comparison(*parts) if len(parts) == 2 else None
        if reading is None and sentences:
            reading = _comparison(sentence, sentences[0])
            if reading is not None:
                sentence = f"{sentence} {sentences.pop(0)}"
        reading = reading or read_sentence(sentence, last, header)
        if sentences and _WITHDRAWAL.match(sentences[0]):
            sentence, reading = f"{sentence} {sentences.pop(0)}", Reading(last=reading.last)
        last, header = reading.last or last, reading.header
        yield sentence, reading


def sentences_of(text: str) -> list[str]:
    """The sentences of a text in lower case, without Markdown, bullets and end tokens."""
    lines: list[str] = []
    for raw in _END_TOKENS.sub(" ", text.lower()).split("\n"):
        line = raw.strip()
        is_item = bool(_BULLET.match(line)) or line.startswith(("|", "#", ">"))
        if line.startswith("|") or line.count("|") > 1:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if all(set(cell) <= set("-: ") for cell in cells):
                continue
            line = ": ".join(cell for cell in cells if cell)
        line = _MARKS.sub("", _BULLET.sub("", _MARKS.sub("", line) if is_item else line)).strip()
        if not line:
            continue
        is_wrapped = lines and not is_item and raw[:1].islower() and lines[-1][-1] not in ".:;!?"
        if is_wrapped:
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    parts = (part for line in lines for part in _ENUMERATION.split(line))
    sentences = (s.strip() for part in parts for s in _SENTENCE_END.split(part))
    return [sentence for sentence in sentences if sentence.strip(".,;: ")]


_CONTRAST = re.compile(rf",? (?:while|whereas|but|and) (?=(?:in |on )?the (?:{OLD}|{MODERN})\b)")
_SUBJECT = re.compile(
    rf"^(?:in |on )?the (?:(?P<old>{OLD})|{MODERN})"
    r"(?: (?:image|film|study|exam\w*|radiograph|x-ray|scan|one))?,? "
    r"(?:shows?|showed|demonstrates?|demonstrated|reveals?|has|had|there (?:is|are|was|were)|"
    r"(?P<none>(?:does|did|do) not\b))(?P<what>.*)"
)


def _comparison(first: str, second: str) -> Reading | None:
    """ "The reference image shows X, while the main image shows Y": X resolved, Y new."""
    matches = [_SUBJECT.match(text) for text in (first, second)]
    if matches[0] is None or matches[1] is None:
        return None
    parts = {bool(match["old"]): match for match in matches if match is not None}
    if len(parts) < 2 or parts[True]["none"]:
        return None
    old = parts[True]["what"]
    new = "" if parts[False]["none"] else parts[False]["what"]
    if any(token.kind in ("direction", "hedge") for token in tokens_of(f"{old} {new}")):
        return None
    findings = (_nouns(old), _nouns(new))
    statements = [
        Statement(noun.finding, direction, noun.side, noun.zone, noun.level)
        for nouns, others, direction in (
            (findings[0], findings[1], "resolved"),
            (findings[1], findings[0], "new"),
        )
        for noun in nouns
        if noun.finding not in {other.finding for other in others}
    ]
    return Reading(tuple(statements)) if statements else None


def _nouns(text: str) -> tuple[Statement, ...]:
    """The findings that a clause names without negation, as statements without meaning."""
    return read_sentence(f"stable: {text}").statements
