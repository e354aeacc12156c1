"""Files of the page, which are a part of the package. Nothing else can be fetched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

STATIC = {
    "page.html": "text/html",
    "style.css": "text/css",
    "app.js": "text/javascript",
    "viewer.js": "text/javascript",
    "answer.js": "text/javascript",
    "films.js": "text/javascript",
    "theme.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of the package."""

    content: str
    media_type: str


@cache
def static_file(name: str) -> StaticFile:
    """A file of `STATIC`."""
    text = (files("lapse.serve") / "static" / name).read_text(encoding="utf-8")
    return StaticFile(text, STATIC[name])
