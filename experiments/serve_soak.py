"""Memory and file descriptors of `lapse serve` over many pairs (docs/how-to/serve.md).

    PYTHONPATH=src:tests/support python experiments/serve_soak.py --pairs 2000 --kills 100

The films are those of one simulated patient, each under another hash. A pair of different films is
answered by all readings; of equal films the service states that nothing has changed, after the
same transfers, decoding and input checks. `--different 10` compares different films in every tenth
pair. Kills are spread over the run: decoders are stopped, two films are sent, and a decoder that
has one of them is killed. All requests go to the loopback address. The exit code is 1 if a promise
is broken.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import phantom_films
import small_files as small
from running_service import RunningService

WARM_UP = 50  # pairs before memory is compared
MAX_GROWTH, MAX_FILES = 32.0, 2  # megabytes; file descriptors


@dataclass(frozen=True)
class Usage:
    """Memory that no other process has, in megabytes, and open file descriptors of the server."""

    server: float
    model: float
    decoders: float
    files: int

    def __str__(self) -> str:
        return (
            f"server {self.server:.1f} MB, {self.files} file descriptors; model {self.model:.1f} "
            f"MB; decoders {self.decoders:.1f} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=100, help="of decoders")
    parser.add_argument("--different", type=int, default=10, help="every so many pairs")
    parser.add_argument("--every", type=int, default=50, help="pairs between two printed lines")
    parser.add_argument("--seconds", type=float, help="end after this time at the latest")
    options = parser.parse_args()
    pictures = phantom_films.pictures()
    kill_at = {(row + 1) * options.pairs // (options.kills + 1) for row in range(options.kills)}
    usage: list[Usage] = []
    lost = kills = kept = number = 0
    with tempfile.TemporaryDirectory() as folder, RunningService(Path(folder)) as service:
        start = time.monotonic()
        while number < options.pairs:
            if number % options.every == 0:
                usage.append(usage_of(service))
                print(
                    f"{number:5d} pairs, {time.monotonic() - start:6.0f} s: {usage[-1]}", flush=True
                )
            shown = pictures[: 1 if number % options.different else 2]
            films = [marked(shown[row % len(shown)], 2 * number + row) for row in range(2)]
            lost += not is_answered(service, films)
            if number in kill_at:
                kills += 1
                kept += costs_one_request(service, films)
            number += 1
            if options.seconds is not None and time.monotonic() - start > options.seconds:
                break
        usage.append(usage_of(service))
        print(f"{number:5d} pairs, {time.monotonic() - start:6.0f} s: {usage[-1]}")
    growth = largest_growth(usage[WARM_UP // options.every :])
    print(f"{number} pairs, {lost} without an answer; {kept}/{kills} kills cost one request each")
    print(f"largest growth from pair {WARM_UP} on: {growth}")
    is_flat = max(growth.server, growth.model) <= MAX_GROWTH and growth.files <= MAX_FILES
    raise SystemExit(lost > 0 or kept < kills or not is_flat)


def is_answered(service: RunningService, films: list[bytes]) -> bool:
    """Whether a pair gets its answer; its films are removed."""
    names = [service.send(film) for film in films]
    is_complete = service.compare(*names).status == 200
    for name in names:
        service.request("DELETE", f"/api/films/{name}")
    return is_complete


def costs_one_request(service: RunningService, films: list[bytes]) -> bool:
    """Kill a decoder that has one of two films; whether that film alone is lost."""
    service.request("DELETE", f"/api/films/{service.send(films[0])}")  # a decoder runs
    decoders = service.children()["decoder"]
    with ThreadPoolExecutor(len(films)) as pool:
        for pid in decoders:
            os.kill(pid, signal.SIGSTOP)
        sent = [pool.submit(service.request, "POST", "/api/films", film) for film in films]
        time.sleep(0.3)
        os.kill(decoders[0], signal.SIGKILL)
        for pid in decoders[1:]:
            os.kill(pid, signal.SIGCONT)
        replies = [future.result() for future in sent]
    for reply in replies:
        if reply.status == 201:
            service.request("DELETE", f"/api/films/{reply.json['id']}")
    return sorted(reply.code for reply in replies) == ["", "decoder-failed"]


def usage_of(service: RunningService) -> Usage:
    children = service.children()
    pid = service.process.pid
    decoders = [megabytes(child) for child in children["decoder"]]
    num_files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    (model,) = children["model_process"]
    return Usage(megabytes(pid), megabytes(model), max(decoders, default=0.0), num_files)


def largest_growth(usage: list[Usage]) -> Usage:
    """The largest differences to the first values."""
    first, *others = usage or [Usage(0.0, 0.0, 0.0, 0)]
    return Usage(
        *(
            max((getattr(item, name) - getattr(first, name) for item in others), default=0)
            for name in ("server", "model", "decoders", "files")
        )
    )


def marked(picture: bytes, number: int) -> bytes:
    """The same PNG with another hash."""
    end = picture.rindex(b"\0\0\0\0IEND")
    return picture[:end] + small.chunk(b"tEXt", b"n\0%d" % number) + picture[end:]


def megabytes(pid: int) -> float:
    """Memory of a process that no other process has."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
