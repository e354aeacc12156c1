"""A griffe extension: doctests in docstrings become code blocks of the API pages."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

# From the first prompt to the next empty line or the end.
DOCTEST = re.compile(r"^([ ]*)>>> .*?(?=\n[ ]*\n|\Z)", re.MULTILINE | re.DOTALL)


def fenced(text: str) -> str:
    """The text with every doctest in a fenced block."""
    return DOCTEST.sub(lambda match: f"{match[1]}```pycon\n{match[0]}\n{match[1]}```", text)


class Doctests(Extension):
    """Applies `fenced` to every docstring."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called once for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
