"""Memory and file descriptors of `lapse serve` over many pairs (docs/how-to/serve.md).

    PYTHONPATH=src:tests/support python experiments/serve_soak.py --pairs 2000

The films are those of one simulated patient. Nine of ten pairs have equal pixels, which are
answered faster. All requests go to the loopback address.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import phantom_films
import small_files as small
from running_service import RunningService


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--every", type=int, default=50, help="pairs between two printed lines")
    options = parser.parse_args()
    pictures = phantom_films.pictures()
    with tempfile.TemporaryDirectory() as folder, RunningService(Path(folder)) as service:
        pid, start, lost = service.process.pid, time.monotonic(), 0
        for number in range(options.pairs + 1):
            if number % options.every == 0:
                print(
                    f"{number:5d} pairs, {time.monotonic() - start:6.0f} s: server "
                    f"{megabytes(pid):6.1f} MB, {num_files(pid)} file descriptors; "
                    f"model {sum(map(megabytes, service.children()['model_process'])):6.1f} MB",
                    flush=True,
                )
            shown = pictures[: 1 if number % 10 else 2]
            films = [marked(shown[row % len(shown)], 2 * number + row) for row in range(2)]
            names = [service.send(film) for film in films]
            lost += service.compare(*names).status != 200
            for name in names:
                service.request("DELETE", f"/api/films/{name}")
        print(f"{options.pairs} pairs, {lost} without an answer")


def marked(picture: bytes, number: int) -> bytes:
    """The same PNG with another hash."""
    end = picture.rindex(b"\0\0\0\0IEND")
    return picture[:end] + small.chunk(b"tEXt", b"n\0%d" % number) + picture[end:]


def megabytes(pid: int) -> float:
    """Memory of a process that no other process has."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def num_files(pid: int) -> int:
    """Open file descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


if __name__ == "__main__":
    main()
