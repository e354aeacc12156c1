"""Radiology reports: sections, and the removal of what refers to earlier examinations.

Sections follow the layout of MIMIC-CXR's reports:
a header is a newline, one blank, capitals with `()/,-`, a colon and white space. Names are
mapped through aliases, then by substring. The last occurrence of a section that holds text
wins. Without findings and impression, what follows the first blank line of the last section is
the last paragraph.

The paper trains on reports without references to prior studies (section 4.1); it does not say
how they were removed. `remove_priors` uses a lexicon of temporal words on sentences and clauses.
"""

from __future__ import annotations

import re

PRIORS = ("rules", "none")

PREAMBLE = "preamble"
LAST_PARAGRAPH = "last_paragraph"
_HEADER = re.compile(r"\n ([A-Z ()/,\-]+):(?=\s|$)")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_ALIASES = {
    "conclusion": "impression",
    "conclusions": "impression",
    "findings and impression": "impression",
    "findings/impression": "impression",
    "finding": "findings",
    "findins": "findings",
    "comparisons": "comparison",
    "clinical history": "history",
    "pfi": "history",
}
_SUBSTRINGS = ("impression", "findings", "history", "comparison", "addendum")
_VIEW_WORDS = re.compile(
    r"\b(?:views?|chest|radiographs?|ap|pa|lateral|frontal|portable|upright|supine|single|semi)\b"
)
_VIEW_HEADER = re.compile(r"\b(?:views?|ap|pa|lateral|frontal|portable)\b")
_VIEW_REST = re.compile(r"[\s,()/\-]|\b(?:one|two|three|and|of|the|erect)\b")


def parse_sections(report: str) -> tuple[tuple[str, str], ...]:
    """The sections of a report in order, as (normalised name, text) with line breaks kept.

    >>> parse_sections("FINAL REPORT\\n FINDINGS:  Clear lungs.\\n\\n IMPRESSION: Normal.")
    (('preamble', 'FINAL REPORT'), ('findings', 'Clear lungs.'), ('impression', 'Normal.'))
    """
    text = "\n" + report.replace("\r\n", "\n").replace("\r", "\n")
    matches = list(_HEADER.finditer(text))
    ends = [match.start() for match in matches] + [len(text)]
    sections = [(PREAMBLE, text[: ends[0]].strip())]
    for match, end in zip(matches, ends[1:], strict=True):
        sections.append((_section_name(match.group(1)), text[match.end() : end].strip()))
    return tuple(sections)


def report_sections(report: str) -> dict[str, str]:
    """The sections by name: the last that holds text wins; `last_paragraph` where needed."""
    sections = parse_sections(report)
    named = {name: text for name, text in sections if text}
    if "findings" not in named and "impression" not in named:
        parts = _BLANK_LINE.split(sections[-1][1], maxsplit=1)
        if len(parts) == 2 and parts[1].strip():
            named[LAST_PARAGRAPH] = parts[1].strip()
    return named


def report_text(report: str) -> str:
    """Findings and impression in one line of text, else the last paragraph, else "".

    >>> report_text("x\\n IMPRESSION: No edema.\\n\\n FINDINGS: Lungs\\n are clear.")
    'Lungs are clear. No edema.'
    """
    return join_sections(report_sections(report))


def join_sections(named: dict[str, str]) -> str:
    """Findings, then impression; the last paragraph only where both are empty."""
    parts = [named.get("findings", ""), named.get("impression", "")]
    if not any(part.strip() for part in parts):
        parts = [named.get(LAST_PARAGRAPH, "")]
    return " ".join(" ".join(parts).split())


def _section_name(header: str) -> str:
    name = " ".join(header.lower().split())
    if name in _ALIASES:
        return _ALIASES[name]
    if _VIEW_HEADER.search(name) and not _VIEW_REST.sub("", _VIEW_WORDS.sub("", name)):
        return "findings"
    return next((known for known in _SUBSTRINGS if known in name), name)


# What betrays an earlier examination. Words with an innocent use are tied to a context:
# "degenerative changes", "prior granulomatous disease" and "new" in names must survive.
_IMAGING = (
    r"(?:stud(?:y|ies)|exam(?:ination)?s?|radiographs?|films?|images?|imaging|x-?rays?|"
    r"ct|scans?|reports?|comparisons?|chest)"
)
_TEMPORAL = re.compile(
    r"\b(?:"
    r"unchanged|stable|stability|again|previous|previously|new|newly|interval|intervally|"
    r"compar(?:ed|ison|able)|remain(?:s|ed|ing)?|persist(?:s|ent|ed|ing|ently|ence)?|"
    r"worse|worsen(?:s|ed|ing)?|improv(?:ed|es|ing|ement)|progress(?:ed|ion|ing|ively)|"
    r"resolv(?:ed|es|ing)|re-?demonstrated|redemonstration|"
    r"(?:has|have|had)(?: been| also| slightly| further| markedly| significantly)* "
    r"(?:increased|decreased|changed|cleared|removed|developed|enlarged|appeared|placed)|"
    r"(?:increased|decreased|larger|smaller|changed) (?:since|from|than|compared)|"
    r"no (?:\w+ ){0,2}changes?\b(?! of)|not (?:\w+ )?changed|"
    r"(?:similar|identical) (?:to|in appearance)|similarly|as before|than before|earlier|"
    r"(?:the|a|from|to|with|on|any|multiple|most recent) priors?\b|prior " + _IMAGING + r"|"
    r"since (?:the |one |a )?(?:prior|previous|last|___|yesterday|study|exam|examination)|"
    r"last " + _IMAGING + r"|(?:in|over) the interim|interim|no longer|continues? to|"
    r"(?:from|since|of|on) ___"
    r")\b|(?:\b(?:from|since|of|on) ___)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'(]?[A-Z_0-9])")
_NOT_AN_END = re.compile(
    r"(?:^|\s)(?:\d{1,2}|[Dd]rs?|[Mm]r|[Mm]rs|[Ms]s|vs|e\.g|i\.e|approx|[A-Z])\.$"
)
_CLAUSE = re.compile(r"(?:\s*;\s*|\s*,\s*)(?!\d)|\s+(?=(?:but|although|while|which|however)\b)")
_OPENING = re.compile(
    r"^(?:as )?(?:when )?(?:compared|in comparison|comparison|since|in the interval|again|"
    r"relative to|from the prior|over the interval)\b",
    re.IGNORECASE,
)


def remove_priors(text: str, how: str = "rules") -> tuple[str, tuple[str, ...]]:
    """Take out what refers to earlier examinations.

    A sentence with a temporal word goes as a whole, unless the reference is only its opening
    clause ("Compared to the prior, ...") or its closing clause ("..., unchanged").

    Args:
        text: a report or a phrase in one line.
        how: "rules", or "none" to leave the text as it is.

    Returns:
        The text that stays and the sentences and clauses that went, in order.

    >>> remove_priors("Effusion of 2.5 cm, unchanged. No edema. Stable heart.")
    ('Effusion of 2.5 cm. No edema.', ('unchanged', 'Stable heart.'))
    """
    if how not in PRIORS:
        raise ValueError(f"removal of priors by {how!r}: one of {', '.join(PRIORS)}")
    if how == "none" or not _TEMPORAL.search(text):
        return text, ()
    kept: list[str] = []
    removed: list[str] = []
    for sentence in split_sentences(text):
        rest, gone = _prune(sentence)
        kept += [rest] if rest else []
        removed += gone
    return " ".join(kept), tuple(removed)


def split_sentences(text: str) -> list[str]:
    """Sentences of a text; decimals, list numbers and short titles do not end one.

    >>> split_sentences("1. A nodule of 2.5 cm. Dr. ___ was told.")
    ['1. A nodule of 2.5 cm.', 'Dr. ___ was told.']
    """
    sentences: list[str] = []
    for part in _SENTENCE.split(" ".join(text.split())):
        if sentences and _NOT_AN_END.search(sentences[-1]):
            sentences[-1] += f" {part}"
        elif part:
            sentences.append(part)
    return sentences


def _prune(sentence: str) -> tuple[str, list[str]]:
    """What stays of one sentence ("" for nothing) and what went."""
    if not _TEMPORAL.search(sentence):
        return sentence, []
    clauses = [clause for clause in _CLAUSE.split(sentence) if clause]
    dated = [bool(_TEMPORAL.search(clause)) for clause in clauses]
    if len(clauses) > 1 and dated[0] and not any(dated[1:]) and _OPENING.match(clauses[0]):
        rest = sentence[sentence.index(clauses[1], len(clauses[0])) :]
        return rest[0].upper() + rest[1:], [clauses[0]]
    last = next((index for index, is_dated in enumerate(dated) if is_dated), 0)
    closing = clauses[last:]
    if last and all(dated[last:]) and all(_stands_apart(clause) for clause in closing):
        start = sentence.rindex(clauses[last]) if last == len(clauses) - 1 else None
        if start is not None:
            rest = sentence[:start].rstrip(" ,;")
            return f"{rest}.", [sentence[start:].rstrip(".")]
    return "", [sentence]


def _stands_apart(clause: str) -> bool:
    """Whether a closing clause only dates what came before: its first words are temporal."""
    if re.match(r"(?:and|or)\b", clause, re.IGNORECASE):
        return False
    opening = " ".join(clause.split()[:4])
    return len(clause.split()) <= 12 and bool(_TEMPORAL.search(opening))
