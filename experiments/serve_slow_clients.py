"""How long a good client of `lapse serve` waits while others are slow (docs/how-to/serve.md).

    PYTHONPATH=src:tests/support python experiments/serve_slow_clients.py

Two services run. A good client takes its turns at both in alternation, so that other programs on
the machine slow down both alike; one service has slow clients as well. These run in another
process: half of them are in their headers, half in the body of a film; each sends a byte every
`--seconds`, and connects again when the service closes its connection. A turn of the good client
sends a film, fetches its picture and removes it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import socket
import tempfile
import time
from contextlib import suppress
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median, quantiles

import small_files as small
from running_service import RunningService

SETTLE_SECONDS = 2.0  # after the first connections


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=1.0, help="between two bytes of a client")
    parser.add_argument("--turns", type=int, default=400, help="at each service")
    options = parser.parse_args()
    stop = multiprocessing.Event()
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningService(Path(folder) / "quiet") as quiet,
        RunningService(Path(folder) / "crowded") as crowded,
    ):
        for service in (quiet, crowded):
            for _ in range(10):
                turn(service)
        values = (crowded.port, options.clients, options.seconds, stop)
        slow = multiprocessing.Process(target=slow_clients, args=values)
        slow.start()
        first = turn(crowded)
        time.sleep(SETTLE_SECONDS)
        times = [(turn(quiet), turn(crowded)) for _ in range(options.turns)]
        stop.set()
        slow.join()
    print(f"turn while the clients connect: {1000 * first:.0f} ms")
    alone, together = (summary([pair[column] for pair in times]) for column in (0, 1))
    print("without slow clients: median {:.1f}, p99 {:.1f}, slowest {:.1f} ms".format(*alone))
    print("with slow clients:    median {:.1f}, p99 {:.1f}, slowest {:.1f} ms".format(*together))
    ratios = [b / a for a, b in zip(alone, together, strict=True)]
    print("times as long:        median {:.2f}, p99 {:.2f}, slowest {:.2f}".format(*ratios))
    print(
        f"{options.clients} slow clients, {options.turns} turns, load {os.getloadavg()[0]:.1f} on "
        f"{os.cpu_count()} cores"
    )


def summary(seconds: list[float]) -> tuple[float, float, float]:
    """Median, p99 and maximum, in milliseconds."""
    return 1000 * median(seconds), 1000 * quantiles(seconds, n=100)[98], 1000 * max(seconds)


def turn(service: RunningService) -> float:
    """The seconds of a turn of the good client."""
    start = time.monotonic()
    name = service.send(small.png())
    service.request("GET", f"/api/films/{name}/picture")
    service.request("DELETE", f"/api/films/{name}")
    return time.monotonic() - start


def slow_clients(port: int, number: int, seconds: float, stop: Event) -> None:
    """Send bytes at even distances until `stop` is set."""
    generator = random.Random(0)
    clients = [connect(port, row) for row in range(number)]
    while not stop.is_set():
        row = generator.randrange(number)
        try:
            clients[row].sendall(b"a")
        except OSError:
            clients[row].close()
            clients[row] = connect(port, row)
        time.sleep(seconds / number)
    for client in clients:
        client.close()


def connect(port: int, row: int) -> socket.socket:
    """A connection with the first bytes of a request."""
    client = socket.create_connection(("127.0.0.1", port))
    head = f"POST /api/films HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode()
    body = b"Content-Type: image/png\r\nContent-Length: 1000000\r\n\r\n\x89PNG"
    with suppress(OSError):
        client.sendall(head + body if row % 2 else head + b"X-A: ")
    return client


if __name__ == "__main__":
    main()
