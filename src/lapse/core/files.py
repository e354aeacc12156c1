"""Atomic writes, file modes, SHA-256 of files, and a lock between processes.

A reader sees the old file or the new file, never a part of one: the data goes to a temporary name
in the same folder, is synced to the disk, and is renamed; then the folder is synced.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

CHUNK = 1 << 22  # bytes
TEMPORARY = ".tmp"  # suffix of an unfinished file or folder


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path to write to; it becomes `path` when the block ends without an error.

    The folder of `path` is created if needed. After an error the temporary file is deleted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with writing(path):
            yield temporary
            sync(temporary)
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file in an operating system error, such as a full disk, that has no file name."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically, with the line ends of `text`."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


@contextmanager
def usual_mode(path: Path) -> Iterator[None]:
    """Give a file that is written within the block the mode of any new file.

    safetensors lets only the owner read its files, so that a group could not share a model.
    """
    path.touch()
    mode = path.stat().st_mode
    yield
    path.chmod(mode)


def check_output_file(path: Path) -> None:
    """Refuse a path that cannot become a file, before the work whose result it gets.

    Raises:
        ValueError: it is a folder, its folder is a file, or neither may be written.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the path of a file")
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    if not existing.is_dir():
        raise ValueError(f"{existing} is a file: {path} cannot be written below it")
    if not os.access(existing, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise ValueError(f"{path} cannot be written: no permission, or a read-only file system")


def rename_folder(temporary: Path, folder: Path) -> None:
    """Give a finished folder its final name, after all its files are synced to the disk."""
    for path in sorted(temporary.iterdir()):
        sync(path)
    sync(temporary)
    temporary.rename(folder)
    sync(folder.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(*paths: Path) -> str:
    """SHA-256 of a file, or of several files one after the other, in hexadecimal digits."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def check_inside(path: Path, folder: Path) -> None:
    """Refuse a file that a symbolic link takes out of its folder.

    The hub's cache keeps its files as links, MODEL/snapshots/REVISION/file -> MODEL/blobs/hash,
    which are accepted.

    Raises:
        ValueError: names the file and its target.
    """
    target, root = path.resolve(), folder.resolve()
    if root.parent.name == "snapshots":
        root = root.parents[1]
    if not target.is_relative_to(root):
        raise ValueError(
            f"{path} is a link to {target}, outside of its folder: copy the file into the folder "
            "if you trust it"
        )


@contextmanager
def file_lock(path: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold an exclusive advisory lock (flock) on a file, which is created if needed.

    The operating system releases the lock when the process ends, however it ends. Forked children
    do not hold it.

    Args:
        path: the lock file; it holds the id of the process and stays on the disk.
        on_wait: called with the id of the process that holds the lock, before waiting for it. An
            exception that it raises ends the attempt.
    """
    try:
        import fcntl  # POSIX only
    except ImportError:
        raise ValueError(
            "this platform has no flock, which keeps two processes from writing to one folder: "
            "use Linux, macOS or WSL to train, predict and prepare"
        ) from None

    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait(path.read_text(encoding="utf-8").strip() or "unknown")
                fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_open_at(file, path):  # the holder deleted it
                continue
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            _locked.add(file)
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)  # also for a child that is just being forked
            return
        finally:
            _locked.discard(file)
            file.close()


@contextmanager
def writer_lock(lock: Path, target: Path) -> Iterator[None]:
    """Hold the lock file of something that one process at a time may write.

    The lock file, and a new folder of it in which nothing else was written, are deleted at the
    end.

    Args:
        target: what is written, for the error.

    Raises:
        ValueError: another process holds the lock; names its id.
    """
    is_new = not lock.parent.exists()
    with file_lock(lock, refuse_second_writer(target)):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
            if is_new and lock.parent.is_dir() and not any(lock.parent.iterdir()):
                lock.parent.rmdir()


def refuse_second_writer(target: Path) -> Callable[[str], None]:
    """An `on_wait` of `file_lock` that refuses to wait.

    Args:
        target: what is written, for the error.
    """

    def refuse(holder: str) -> None:
        raise ValueError(
            f"process {holder} writes to {target}: wait until it ends, or choose another output"
        )

    return refuse


def _is_open_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _close_locked() -> None:
    """In a forked child: close the inherited lock files, so that only the parent holds them."""
    for file in _locked:
        file.close()
    _locked.clear()


_locked: set[TextIO] = set()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_locked)
