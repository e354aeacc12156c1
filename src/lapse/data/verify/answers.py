"""The answers of Medical-Diff-VQA: whether the grammar parses them, with known findings."""

from __future__ import annotations

import re
from functools import lru_cache

from lapse.core.findings import ALIASES, FINDINGS
from lapse.core.grammar import parse

KNOWN_FINDINGS = frozenset((*FINDINGS, *ALIASES))
GLITCH = "pneumonia atelectasis"  # 53 answers of the release lack a comma here
_LIST_QUESTION = "what abnormalities are seen in"
_SEPARATOR = re.compile(r",\s*(?:and\s+)?|\s+and\s+")


@lru_cache(maxsize=4096)
def answer_defects(category: str, question: str, answer: str) -> tuple[tuple[str, str], ...]:
    """(code, detail) of each defect of an answer that is not empty.

    >>> answer_defects("abnormality", "what abnormalities are seen in this image?", "edema, flu")
    (('unknown-finding', 'flu'),)
    """
    if category == "difference":
        if GLITCH in answer.lower():
            return (("glitch-answer", ""),)
        return () if parse(answer).is_parsed else (("unparsed-answer", ""),)
    if category == "abnormality" and question.lower().startswith(_LIST_QUESTION):
        names = (name.strip(" .") for name in _SEPARATOR.split(answer.lower()))
        return tuple(
            ("unknown-finding", name) for name in names if name and name not in KNOWN_FINDINGS
        )
    return ()
