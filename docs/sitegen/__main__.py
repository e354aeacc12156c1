"""`make docs`: generate the reference pages, then build the site with warnings as errors."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from sitegen.api import api_pages
from sitegen.commands import commands_page
from sitegen.configuration import configuration_page
from sitegen.notebook import notebook_page, run_notebook
from sitegen.pages import DOCS, ROOT, copy_pages

SOURCE, SITE = ROOT / "build" / "docs", ROOT / "site"
# Scripts, styles, fonts and images of other hosts; plain links may lead anywhere.
REMOTE = re.compile(r"<(?:script|img|iframe)[^>]*src=\"https?:|<link[^>]*stylesheet[^>]*https?:")


def write_pages(folder: Path) -> None:
    """Write everything that Zensical reads into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    copy_pages(folder)
    shutil.copy(DOCS / "sitegen" / "site.css", folder)
    reference = folder / "reference"
    (reference / "api").mkdir(parents=True)
    (reference / "commands.md").write_text(commands_page(), encoding="utf-8")
    (reference / "configuration.md").write_text(configuration_page(), encoding="utf-8")
    for name, text in api_pages().items():
        (reference / "api" / name).write_text(text, encoding="utf-8")
    tutorial = folder / "tutorial"
    work = tutorial / "run"
    work.mkdir(parents=True)
    notebook = run_notebook(DOCS / "tutorial" / "compare_two_films.ipynb", work)
    shutil.rmtree(work)
    page = notebook_page(notebook, tutorial / "compare_two_films")
    (tutorial / "compare_two_films.md").write_text(page, encoding="utf-8")


def remote_resources(site: Path) -> list[str]:
    """Pages that would load something from another host."""
    return [str(path) for path in site.rglob("*.html") if REMOTE.search(path.read_text("utf-8"))]


def main() -> None:
    """Build into site/."""
    write_pages(SOURCE)
    shutil.rmtree(SITE, ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run([*command, "-f", str(ROOT / "zensical.toml")], cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    if remote := remote_resources(SITE):
        raise SystemExit(f"these pages load files of other hosts: {', '.join(remote)}")
    print(f"site in {SITE}: serve it with {Path(sys.executable).name} -m http.server -d site")


if __name__ == "__main__":
    main()
