"""Ids of the Hugging Face hub. A revision is required, because a branch can change its weights.

>>> parse_hub_id("org/name@" + 40 * "a") == ("org/name", 40 * "a")
True
>>> parse_hub_id("org/name") is None
True
"""

from __future__ import annotations

import re

FORM = "org/name@<40 hex digits>"
_HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")


def parse_hub_id(source: str) -> tuple[str, str] | None:
    """The repository and the revision of "org/name@<40 hex digits>"; None for anything else."""
    match = _HUB_ID.fullmatch(source)
    return None if match is None else (match["repo"], match["revision"])
