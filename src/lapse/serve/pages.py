"""Files of the page, which are a part of the package. Nothing else can be fetched."""

from __future__ import annotations

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


@cache
def static_text(name: str) -> str:
    """The content of a file of `STATIC`."""
    return (files("lapse.serve") / "static" / name).read_text(encoding="utf-8")
