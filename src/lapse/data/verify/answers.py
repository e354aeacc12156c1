"""What an answer of Medical-Diff-VQA says: readable by the grammar, with findings that exist."""

from __future__ import annotations

import re
from functools import lru_cache

from lapse.core.grammar import ALIASES, FINDINGS, parse

KNOWN = frozenset((*FINDINGS, *ALIASES))
GLITCH = "pneumonia atelectasis"  # 53 answers of the release lack a comma here
_LIST_QUESTION = "what abnormalities are seen in"
_SEPARATOR = re.compile(r",\s*(?:and\s+)?|\s+and\s+")


@lru_cache(maxsize=4096)
def answer_defects(category: str, question: str, answer: str) -> tuple[tuple[str, str], ...]:
    """(code, detail) of what is wrong with an answer that is not empty.

    >>> answer_defects("abnormality", "what abnormalities are seen in this image?", "edema, flu")
    (('unknown-finding', 'flu'),)
    """
    if category == "difference":
        if GLITCH in answer.lower():
            return (("glitch-answer", ""),)
        return () if parse(answer).is_parsed else (("unparsed-answer", ""),)
    if category == "abnormality" and question.lower().startswith(_LIST_QUESTION):
        names = (name.strip(" .") for name in _SEPARATOR.split(answer.lower()))
        return tuple(("unknown-finding", name) for name in names if name and name not in KNOWN)
    return ()
