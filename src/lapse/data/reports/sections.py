"""Radiology reports: their sections and their text.

Sections follow the layout of the reports of MIMIC-CXR: a header is a newline, one blank, capitals
with `()/,-`, a colon and white space. Names are mapped through aliases, then by substring. The
last non-empty occurrence of a section is used. Reports that were stored again by other programs
can lack the blank or have headers in lower case: where this layout gives neither findings nor
impression, such headers are read, if their name is a usual one. Without findings and impression,
the text after the first blank line of the last section is the last paragraph. References to
earlier examinations are removed in `lapse.data.reports.prior_removal`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

PREAMBLE = "preamble"
LAST_PARAGRAPH = "last_paragraph"
_HEADER = re.compile(r"\n ([A-Z ()/,\-]+):(?=\s|$)")
_ANY_HEADER = re.compile(r"\n[ \t]*([A-Za-z][A-Za-z ()/,\-]{1,40}):(?=\s|$)")
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
_USUAL = (  # names that are read in any case and with any blanks before them
    *_SUBSTRINGS,
    "indication",
    "technique",
    "examination",
    "exam",
    "reason for exam",
    "reason for examination",
    "clinical indication",
    "recommendation",
    "recommendations",
    "notification",
    "wet read",
)
_TEXT = ("findings", "impression")
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
    return _split(text, list(_HEADER.finditer(text)))


def report_sections(report: str) -> dict[str, str]:
    """The sections by name, the last non-empty ones; `last_paragraph` where needed.

    >>> report_sections("Findings: No edema.\\nImpression: Normal.")
    {'findings': 'No edema.', 'impression': 'Normal.'}
    """
    sections = parse_sections(report)
    named = {name: text for name, text in sections if text}
    if not has_text_sections(named):
        again = {name: text for name, text in _parse_unusual(report) if text}
        if has_text_sections(again):
            return again
        parts = _BLANK_LINE.split(sections[-1][1], maxsplit=1)
        if len(parts) == 2 and parts[1].strip():
            named[LAST_PARAGRAPH] = parts[1].strip()
    return named


def has_text_sections(named: Mapping[str, str]) -> bool:
    """Whether there are findings or an impression."""
    return any(named.get(name, "").strip() for name in _TEXT)


def has_unusual_headers(report: str) -> bool:
    """Whether findings and impression are found only without the blank or in lower case."""
    return not has_text_sections(dict(parse_sections(report))) and has_text_sections(
        dict(_parse_unusual(report))
    )


def _parse_unusual(report: str) -> tuple[tuple[str, str], ...]:
    """As `parse_sections`, for headers in any case and with any blanks before them."""
    text = "\n" + report.replace("\r\n", "\n").replace("\r", "\n")
    matches = _ANY_HEADER.finditer(text)
    return _split(text, [match for match in matches if section_name(match.group(1)) in _USUAL])


def _split(text: str, matches: Sequence[re.Match[str]]) -> tuple[tuple[str, str], ...]:
    ends = [match.start() for match in matches] + [len(text)]
    sections = [(PREAMBLE, text[: ends[0]].strip())]
    for match, end in zip(matches, ends[1:], strict=True):
        sections.append((section_name(match.group(1)), text[match.end() : end].strip()))
    return tuple(sections)


def report_text(report: str) -> str:
    """Findings and impression in one line of text, else the last paragraph, else "".

    >>> report_text("x\\n IMPRESSION: No edema.\\n\\n FINDINGS: Lungs\\n are clear.")
    'Lungs are clear. No edema.'
    """
    return join_sections(report_sections(report))


def join_sections(named: Mapping[str, str]) -> str:
    """Findings, then impression; the last paragraph only if both are empty."""
    parts = [named.get("findings", ""), named.get("impression", "")]
    if not any(part.strip() for part in parts):
        parts = [named.get(LAST_PARAGRAPH, "")]
    return " ".join(" ".join(parts).split())


def section_name(header: str) -> str:
    """One name for the spellings of a header: lower case, aliases, views, then substrings.

    >>> section_name("FINDINGS/IMPRESSION"), section_name("CHEST, TWO VIEWS")
    ('impression', 'findings')
    """
    name = " ".join(header.lower().split())
    if name in _ALIASES:
        return _ALIASES[name]
    if _VIEW_HEADER.search(name) and not _VIEW_REST.sub("", _VIEW_WORDS.sub("", name)):
        return "findings"
    return next((known for known in _SUBSTRINGS if known in name), name)
