"""`lapse serve` as a process on a free loopback port, and requests to it byte by byte."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_SECONDS = 120
FILM = "application/octet-stream"


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error, "" for an answer."""
        return self.json["error"]["code"] if self.status >= 400 else ""


@dataclass
class RunningService:
    """A context manager: the service runs inside it."""

    folder: Path  # for its log, home and temporary files
    options: list[str] = field(default_factory=list)
    python: list[str] = field(default_factory=lambda: ["-m", "lapse"])
    port: int = 0

    def __enter__(self) -> RunningService:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "tmp").mkdir(exist_ok=True)
        self.log_path = self.folder / "log.txt"
        home = {name: str(self.folder / "tmp") for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.python, "serve", "--port", "0", *self.options],
                stdout=log,
                stderr=log,
                cwd=self.folder / "tmp",
                env={**os.environ, **home, "OMP_NUM_THREADS": "1"},
            )
        deadline = time.monotonic() + START_SECONDS
        while not (match := re.search(r"page http://\S+:(\d+)", self.log)):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, "the service does not start"
            time.sleep(0.05)
        self.port = int(match.group(1))
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self,
        method: str,
        path: str,
        body: bytes | dict[str, Any] | None = None,
        **headers: str,
    ) -> Reply:
        """One request on a new connection; a name_with_underscores is a header-with-hyphens."""
        kind = FILM
        if isinstance(body, dict):
            body, kind = json.dumps(body).encode(), "application/json"
        values = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            values.setdefault("content-type", kind)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, values)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, named, response.read())
        finally:
            connection.close()

    def raw(self, data: bytes, *, seconds: float = 30.0) -> bytes:
        """Everything that comes back for these bytes, until the service closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as client:
            client.sendall(data)
            received = b""
            while True:
                try:
                    part = client.recv(1 << 16)
                except ConnectionResetError:
                    return received
                if not part:
                    return received
                received += part

    def send(self, film: bytes) -> str:
        """Send a film; returns its id."""
        reply = self.request("POST", "/api/films", film)
        assert reply.status == 201, reply.body
        return str(reply.json["id"])

    def compare(self, reference: str, main: str, **values: Any) -> Reply:
        """Compare two films that were sent."""
        return self.request(
            "POST", "/api/comparisons", {"reference": reference, "main": main, **values}
        )

    def children(self) -> dict[str, list[int]]:
        """Module -> ids of the processes of the service."""
        by_name: dict[str, list[int]] = {"decoder": [], "model_process": []}
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in path.read_text().split():
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
            for name, ids in by_name.items():
                if command.rstrip("\0").endswith(f"lapse.serve.{name}"):
                    ids.append(int(pid))
        return by_name


def parsed(data: bytes) -> tuple[int, bytes]:
    """Status and body of the first response in raw bytes; status 0 for none."""
    head, _, body = data.partition(b"\r\n\r\n")
    match = re.match(rb"HTTP/1\.[01] (\d+)", head)
    return (int(match.group(1)), body) if match else (0, data)
