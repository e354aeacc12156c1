"""An executed notebook as Markdown: text, code, printed output and figures."""

from __future__ import annotations

import base64
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def run_notebook(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Execute a notebook in `folder`; an exception in a cell is an error here."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, resources=resources).execute()
    return notebook


def notebook_page(notebook: nbformat.NotebookNode, images: Path) -> str:
    """The notebook as Markdown; figures become PNG files in `images`, next to the page."""
    parts: list[str] = []
    images.mkdir(parents=True, exist_ok=True)
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for number, output in enumerate(cell.outputs):
            if output.get("name") == "stderr":
                continue
            data = output.get("data", {})
            if "image/png" in data:
                name = f"cell-{index}-{number}.png"
                (images / name).write_bytes(base64.b64decode(data["image/png"]))
                parts.append(f"![output of the cell above]({images.name}/{name})")
            elif text := output.get("text") or data.get("text/plain"):
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"
