"""Write the pictures of pages in docs/images: `lapse serve` in three states, and the demo's report.

    PYTHONPATH=src:tests/support:tests/integration python experiments/page_pictures.py REPORT

REPORT is demo/report.html of `make demo`. Chromium is needed. All films are simulated.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from test_serve_page import STATE, drop, press, wait

from browser import Browser
from phantom_films import read_films
from running_service import RunningService

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WAIT_SECONDS = 200
WINDOW, NARROW, PAGE = (1280, 800), (390, 844), (1280, 1480)  # widths and heights
IS_COMPLETE = (
    f"{STATE} === 'answered' && document.querySelectorAll('.report').length === 2"
    " && !document.querySelector('.reports').textContent.includes('…')"
    " && !document.querySelector('#timeline').textContent.includes('…')"
)


def main() -> None:
    report = Path(sys.argv[1]).resolve()
    films = read_films(1024)
    visits = [(f"visit-{number}.dcm", film) for number, film in enumerate(films, 1)]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        with Browser(folder / "profile") as page:
            with RunningService(folder / "usual") as service:
                for name, size in (("serve", WINDOW), ("serve-narrow", NARROW)):
                    open_service(page, service, size[0])
                    drop(page, visits)
                    wait(page, IS_COMPLETE, WAIT_SECONDS)
                    press(page, "b")  # all regions
                    save(page, name, size)
            with RunningService(folder / "unusual", options=["--allow-unusual"]) as service:
                open_service(page, service, WINDOW[0])
                for role, (name, film) in zip(("main", "reference"), visits, strict=False):
                    drop(page, [(name, film)], f"document.querySelector('.drop[data-role={role}]')")
                wait(page, IS_COMPLETE, WAIT_SECONDS)
                save(page, "serve-warning", WINDOW)
            page.open(report)
            save(page, "report", PAGE)


def open_service(page: Browser, service: RunningService, width: int) -> None:
    page.open_url(f"{service.url}/", color_scheme="dark", width=width)
    wait(page, "document.querySelector('#trained')?.textContent.includes('simulated')")


def save(page: Browser, name: str, size: tuple[int, int]) -> None:
    path = IMAGES / f"{name}.png"
    path.write_bytes(page.screenshot(*size))
    print(path)


if __name__ == "__main__":
    main()
