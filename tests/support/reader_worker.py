"""A process that reads files one by one, and a runner that survives its crashes.

    python reader_worker.py FOLDER      stdin: reader names, stdout: JSON objects, one per line

The runner writes a file, names its reader and waits. A child that dies or exceeds the time limit
is counted as the outcome of its file, and the next file gets a new child.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 10.0
MEMORY = 700_000_000  # bytes of address space
FILE_NAMES = {
    "image": "image",
    "table": "table.csv",
    "packed table": "packed.csv.gz",
    "graph": "plain/silver_dataset/scene_graph/image_SceneGraph.json",
    "archive": "packed/silver_dataset/scene_graph.zip",
    "report": "reports/files/p19/p19000001/s50000001.txt",
    "answer": "answer.txt",
}


@dataclass(frozen=True)
class Outcome:
    """The outcome of reading one file.

    Attributes:
        word: "value", "refused CODE", "counted"; or "escaped ERROR", "nonsense", "memory",
            "died CODE", "hung".
        detail: the error message.
        seconds: how long reading took.
        megabytes: the peak memory of the process.
    """

    word: str
    detail: str
    seconds: float
    megabytes: float

    @property
    def is_allowed(self) -> bool:
        """Whether the outcome is allowed for every reader and file."""
        return self.word.partition(" ")[0] in {"value", "refused", "counted"}


class Runner:
    """Reads files in a child process; use it as a context manager."""

    def __init__(self, folder: Path, seconds: float = SECONDS) -> None:
        self.folder = folder
        self.seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None
        for name in FILE_NAMES.values():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def read(self, reader: str, data: bytes) -> Outcome:
        """The outcome of a reader with these bytes."""
        (self.folder / FILE_NAMES[reader]).write_bytes(data)
        child = self._child or self._start()
        assert child.stdin is not None and child.stdout is not None
        started = time.perf_counter()
        child.stdin.write(reader.encode() + b"\n")
        child.stdin.flush()
        ready, _, _ = select.select([child.stdout], [], [], self.seconds)
        line = child.stdout.readline() if ready else b""
        if line:
            return Outcome(**json.loads(line))
        taken = time.perf_counter() - started
        word = f"died {child.wait()}" if ready else "hung"
        self._stop()
        return Outcome(word, "", taken, 0.0)

    def _start(self) -> subprocess.Popen[bytes]:
        self._child = subprocess.Popen(
            [sys.executable, __file__, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._child.stdout is not None
        ready, _, _ = select.select([self._child.stdout], [], [], 60)
        assert ready and self._child.stdout.readline() == b"ready\n", "the child did not start"
        return self._child

    def _stop(self) -> None:
        if self._child is not None:
            child, self._child = self._child, None
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    stream.close()


def serve(folder: Path) -> None:
    """Run the readers named on stdin until it ends."""
    readers = _readers(folder)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        Path("/proc/self/clear_refs").write_text("5")  # reset the peak memory
        started = time.perf_counter()
        word, detail = _outcome(readers[line.strip()])
        outcome = {
            "word": word,
            "detail": detail[:300],
            "seconds": time.perf_counter() - started,
            "megabytes": _peak_megabytes(),
        }
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


def _outcome(read: Callable[[], str]) -> tuple[str, str]:
    from lapse.images import ImageError

    try:
        return read(), ""
    except ImageError as error:
        word = "memory" if _is_memory(error) else f"refused {error.code}"
        return word, str(error)
    except ValueError as error:
        return "memory" if _is_memory(error) else "refused ValueError", str(error)
    except Exception as error:
        return f"escaped {type(error).__name__}", str(error)


def _is_memory(error: BaseException | None) -> bool:
    """Whether an error was caused by a MemoryError."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _peak_megabytes() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _readers(folder: Path) -> dict[str, Callable[[], str]]:
    from lapse.core.grammar import parse
    from lapse.data.datasets.chest_imagenome import ChestImaGenome
    from lapse.data.datasets.report_files import ReportFiles
    from lapse.data.io.csv_tables import read_rows
    from lapse.data.io.skip_log import SkipLog
    from lapse.images import ImageProcessing, read_at, read_image

    def path(reader: str) -> Path:
        return folder / FILE_NAMES[reader]

    def image() -> str:
        image_values = read_image(path("image"))
        stored = read_at(path("image"), 32, ImageProcessing("letterbox"))
        is_valid = (
            image_values.ndim == 2
            and image_values.size > 0
            and 0 <= image_values.min() <= image_values.max() <= 1
        )
        has_size = image_values.shape == (stored.height, stored.width) and stored.pixels.shape == (
            32,
            32,
        )
        return "value" if is_valid and has_size else "nonsense"

    def table(reader: str) -> Callable[[], str]:
        def read() -> str:
            skipped = SkipLog()
            columns = ("dicom_id", "subject_id", "study_id")
            widths = {len(row) for row in read_rows(path(reader), columns, skipped)}
            if not widths <= {3}:
                return "nonsense"
            return "counted" if skipped.total else "value"

        return read

    def graph(root: str) -> Callable[[], str]:
        def read() -> str:
            names = ("right lung", "left lung", "cardiac silhouette")
            data = ChestImaGenome(folder / root, names)
            regions = data.regions("image", (448, 448))
            if any(region.box is not None and region.name not in names for region in regions):
                return "nonsense"
            return "counted" if data.skipped.total or data.noted.total else "value"

        return read

    def report() -> str:
        report = ReportFiles(folder / "reports").read("19000001", "50000001")
        return "nonsense" if report is None else "value"

    def answer() -> str:
        parsed = parse(path("answer").read_bytes().decode("utf-8", "replace"))
        return "value" if parsed.is_parsed else "counted"

    return {
        "image": image,
        "table": table("table"),
        "packed table": table("packed table"),
        "graph": graph("plain"),
        "archive": graph("packed"),
        "report": report,
        "answer": answer,
        **_faults(),
    }


def _faults() -> dict[str, Callable[[], Any]]:
    """Readers with every fault that the runner must distinguish."""

    def wrapped() -> str:
        try:
            raise MemoryError
        except MemoryError as error:
            raise ValueError("damaged") from error

    return {
        "fault: dies": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "fault: hangs": lambda: time.sleep(60),
        "fault: escapes": lambda: {}["key"],
        "fault: hides that memory ran out": wrapped,
        "fault: takes too much memory": lambda: str(len(bytearray(MEMORY))),
    }


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
