"""Pages of the Python API, one per package; mkdocstrings fills them in from the docstrings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lapse

SOURCE = Path(lapse.__file__).parent
LEFT_OUT = ("assets", "presets", "cli")
START = """# Python API

Generated from the docstrings. Start with [`lapse.load`](lapse.md). Names with a leading underscore
are private and are left out.

| package | contents |
| --- | --- |
"""
TOP = """# lapse

::: lapse.inference.pretrained.model
    options:
      show_root_heading: false
      members: [load, Lapse]

::: lapse.inference.comparison
    options:
      show_root_heading: false
      members: [Comparison, Film]

::: lapse.inference.answer
    options:
      show_root_heading: false
      members: [Answer]
"""


def api_pages() -> dict[str, str]:
    """File name -> Markdown: `lapse.md`, one page per package, and the index."""
    pages = {"lapse.md": TOP}
    index = [START, "| [`lapse`](lapse.md) | open a trained model and compare two radiographs |"]
    for package in packages():
        name = ".".join(package.relative_to(SOURCE.parent).parts)
        file = f"{name.removeprefix('lapse.')}.md"
        modules = [path.stem for path in sorted(package.glob("*.py")) if path.stem[0] != "_"]
        if modules:
            parts = [f"# {name}", *(f"::: {name}.{module}" for module in modules)]
            pages[file] = "\n\n".join(parts) + "\n"
            index.append(f"| [`{name}`]({file}) | {', '.join(modules)} |")
    pages["index.md"] = "\n".join(index).replace("|\n\n|", "|\n|") + "\n"
    return pages


def packages() -> Iterator[Path]:
    """Every folder with an `__init__.py` below `lapse`, in order."""
    for path in sorted(SOURCE.rglob("__init__.py")):
        parts = path.parent.relative_to(SOURCE).parts
        if parts and parts[0] not in LEFT_OUT:
            yield path.parent
