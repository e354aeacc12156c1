"""Copies the pages of the site into one folder and rewrites their links.

A page is a Markdown file below docs/, or one outside it that a page links to (CHANGELOG.md, the log
of experiments). Files that pages link to (images, tables, configurations) are copied too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from sitegen.api import api_pages

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
# Pages that are generated; links to them are valid although no file exists in the repository.
GENERATED = {
    DOCS / "reference" / "commands.md",
    DOCS / "reference" / "configuration.md",
    DOCS / "tutorial" / "compare_two_films.md",
    *(DOCS / "reference" / "api" / name for name in api_pages()),
}


def sources() -> list[Path]:
    """Every page, in order: those of docs/ and those that they link to."""
    queue = sorted(DOCS.rglob("*.md"))
    pages: dict[Path, None] = {}
    while queue:
        page = queue.pop(0)
        if page not in pages:
            pages[page] = None
            queue += [path for path in linked_files(page) if path.suffix == ".md"]
    return list(pages)


def links(text: str) -> Iterator[str]:
    """Targets of links and images to files of the repository, without anchors."""
    for target in LINK.findall(CODE.sub("", text)):
        path = target.partition("#")[0]
        if path and "://" not in path and not path.startswith("mailto:"):
            yield path


def linked_files(page: Path) -> list[Path]:
    """The repository's files that a page links to.

    Raises:
        ValueError: a link leads to no file.
    """
    found = []
    for link in links(page.read_text("utf-8")):
        path = Path(os.path.normpath(page.parent / link))
        if path in GENERATED:
            continue
        if not path.is_file():
            raise ValueError(f"{page.relative_to(ROOT)} links to {link}, which is not a file")
        found.append(path)
    return found


def site_path(path: Path) -> Path:
    """Where a file of the repository is in the site, relative to its root."""
    return path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT)


def copy_pages(folder: Path) -> None:
    """Write every page, with its links rewritten, and every file that a page links to."""
    for page in sources():
        target = folder / site_path(page)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_rewrite(page), encoding="utf-8")
        for path in linked_files(page):
            if path.suffix != ".md":
                copy = folder / site_path(path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())


def _rewrite(page: Path) -> str:
    def replace(match: re.Match[str]) -> str:
        path, mark, anchor = match[0].partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return match[0]
        target = site_path(Path(os.path.normpath(page.parent / path)))
        relative = os.path.relpath(target, site_path(page).parent)
        return f"{Path(relative).as_posix()}{mark}{anchor}"

    text = page.read_text("utf-8")
    parts = re.split(f"({CODE.pattern})", text, flags=re.DOTALL)
    return "".join(
        part if index % 2 else LINK.sub(replace, part) for index, part in enumerate(parts)
    )
