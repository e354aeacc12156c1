"""A headless Chromium for tests of HTML reports: the DevTools protocol over two pipes.

The browser reads commands from its file descriptor 3 and writes answers to 4, as JSON that ends
with a zero byte. Console errors, exceptions and failed or foreign requests go to `errors`.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
TIMEOUT = 30.0  # seconds, for any one answer


def find_browser() -> str | None:
    """The path of a Chromium, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page in one browser; a context manager that ends the process of the browser."""

    def __init__(self, profile: Path) -> None:
        program = find_browser()
        assert program is not None, "call find_browser first"
        command_read, self._commands = os.pipe()
        self._answers, answer_write = os.pipe()
        # The shell moves the pipes to the descriptors that the browser uses.
        command = f'exec "$0" "$@" 3<&{command_read} 4>&{answer_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, program, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(command_read, answer_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_read)
        os.close(answer_write)
        self._buffer = b""
        self._count = 0
        self._session: str | None = None
        self.errors: list[str] = []
        self._events: list[str] = []

    def __enter__(self) -> Browser:
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=TIMEOUT)
        os.close(self._commands)
        os.close(self._answers)

    def open(self, path: Path, *, width: int = 1280, color_scheme: str = "light") -> None:
        """Load a file and wait until it is complete."""
        self.open_url(path.resolve().as_uri(), width=width, color_scheme=color_scheme)

    def open_url(self, url: str, *, width: int = 1280, color_scheme: str = "light") -> None:
        """Load a page and wait until it is complete."""
        scheme = {"name": "prefers-color-scheme", "value": color_scheme}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._resize(width, 900)
        self._events.clear()
        self._call("Page.navigate", url=url)
        deadline = time.monotonic() + TIMEOUT
        while "Page.loadEventFired" not in self._events:
            self._read(deadline)

    def screenshot(self, width: int, height: int) -> bytes:
        """What a window of this size shows, as PNG."""
        self._resize(width, height)
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def run(self, code: str) -> Any:
        """The value of an expression in the page."""
        answer = self._call("Runtime.evaluate", expression=code, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def _resize(self, width: int, height: int) -> None:
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            remaining = deadline - time.monotonic()
            assert remaining > 0, "the browser does not answer"
            if select.select([self._answers], [], [], remaining)[0]:
                part = os.read(self._answers, 1 << 16)
                assert part, "the browser has ended"
                self._buffer += part
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        self._record(message)
        return message

    def _record(self, message: dict[str, Any]) -> None:
        method, values = message.get("method", ""), message.get("params", {})
        self._events.append(method)
        if method == "Runtime.exceptionThrown":
            self.errors.append(f"thrown: {values['exceptionDetails']}")
        elif method == "Runtime.consoleAPICalled" and values["type"] in {"error", "warning"}:
            self.errors.append(f"console: {values['args']}")
        elif method == "Log.entryAdded" and values["entry"]["level"] in {"error", "warning"}:
            self.errors.append(f"log: {values['entry']['text']}")
        elif method == "Network.loadingFailed":
            self.errors.append(f"not loaded: {values}")
        elif method == "Network.requestWillBeSent":
            address = values["request"]["url"]
            if not address.startswith(("file:", "data:", "about:")):
                self.errors.append(f"request to {address}")
