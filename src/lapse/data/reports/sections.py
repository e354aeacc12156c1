"""Radiology reports: their sections and their text.

Sections follow the layout of the reports of MIMIC-CXR: a header is a newline, one blank, capitals
with `()/,-`, a colon and white space. Names are mapped through aliases, then by substring. The
last non-empty occurrence of a section is used. Without findings and impression, the text after
the first blank line of the last section is the last paragraph. References to earlier examinations
are removed in `lapse.data.reports.prior_removal`.
"""

from __future__ import annotations

import re

__all__ = [
    "LAST_PARAGRAPH",
    "PREAMBLE",
    "join_sections",
    "parse_sections",
    "report_sections",
    "report_text",
    "section_name",
]

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
        sections.append((section_name(match.group(1)), text[match.end() : end].strip()))
    return tuple(sections)


def report_sections(report: str) -> dict[str, str]:
    """The sections by name, the last non-empty ones; `last_paragraph` where needed."""
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
