"""The unit of restarting a simulation: a few patients whose rows lie in one file once done.

    OUT/.simulate/options.json    what is being simulated; another setting is refused
    OUT/.simulate/000000.jsonl    a line a patient; written beside, synced, renamed

Images and reports go to their final places at once. A block whose file is there is never drawn
again; one that was cut is drawn again over what it left, with the same bytes. When the tables are
merged and the mark of the tree is written, the folder goes.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from lapse.core.files import write_text
from lapse.core.version import __version__
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.patient_files import PatientFiles, write_patient
from lapse.phantom.dataset.roles import Role

FOLDER = ".simulate"
_DONE = ".simulate-done"
_OPTIONS = "options.json"
_MAX_BLOCK = 16
Person = tuple[int, Role]  # number of a patient, and its role
Block = tuple[int, tuple[Person, ...]]  # place of the block, its patients


def open_blocks(out: Path, config: SimulateConfig) -> None:
    """Make the folder of blocks, or take up the one that a run with the same options left.

    Raises:
        ValueError: `out` is a file, holds something else, or a run with other options.
    """
    folder = out / FOLDER
    options = _options(config)
    shutil.rmtree(out / _DONE, ignore_errors=True)  # of a run that was cut at its last step
    if not folder.is_dir():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ValueError(f"{out} is not empty: name a new folder, or delete this one first")
        folder.mkdir(parents=True)
        _write(folder / _OPTIONS, [options])
        return
    path = folder / _OPTIONS
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else options
    for name in {**before, **options}:
        if before.get(name) != options.get(name):
            raise ValueError(
                f"{out} holds a simulation that was cut, with {name} {before.get(name)!r}, not "
                f"{options.get(name)!r}: go on with the same options, or delete this folder"
            )
    _write(path, [options])


def make_blocks(
    out: Path,
    config: SimulateConfig,
    people: tuple[Person, ...],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Draw every block that is not there yet, in this process or in several.

    Raises:
        ValueError: a process ended early.
    """
    size = block_size(len(people))
    blocks = [
        (first // size, people[first : first + size]) for first in range(0, len(people), size)
    ]
    todo = [block for block in blocks if not _path(out, block[0]).exists()]
    done = len(people) - sum(len(block[1]) for block in todo)
    with ExitStack() as stack:
        for count in _made(todo, partial(_make, out, config), config.processes, stack):
            done += count
            if progress is not None:
                progress(done, len(people))


def read_blocks(out: Path, num_patients: int) -> Iterator[PatientFiles]:
    """The rows of all patients of the blocks, in their order, one block in memory at a time."""
    for index in range(-(-num_patients // block_size(num_patients))):
        with _path(out, index).open(encoding="utf-8") as lines:
            for line in lines:
                yield PatientFiles(**json.loads(line))


def drop_blocks(out: Path) -> None:
    """Take the folder away: first its name, so that a kill leaves nothing that looks whole."""
    (out / FOLDER).rename(out / _DONE)
    shutil.rmtree(out / _DONE)


def block_size(num_patients: int) -> int:
    """Patients of a block: fewer in a small tree, so that its progress is seen."""
    return max(1, min(_MAX_BLOCK, num_patients // 64))


def _made(
    todo: list[Block], make: Callable[[Block], int], processes: int, stack: ExitStack
) -> Iterator[int]:
    if processes == 1 or len(todo) < 2:
        yield from map(make, todo)
        return
    # An executor, not a multiprocessing.Pool: a worker that cannot start ends the run with an
    # error, where a Pool would start it again for ever.
    context = multiprocessing.get_context("spawn")
    pool = stack.enter_context(ProcessPoolExecutor(min(processes, len(todo)), mp_context=context))
    try:
        yield from pool.map(make, todo)
    except BrokenProcessPool:
        raise ValueError(
            "a simulating process ended early: out of memory, or simulate was called outside "
            'an `if __name__ == "__main__":` block; use processes=1'
        ) from None


def _make(out: Path, config: SimulateConfig, block: Block) -> int:
    index, people = block
    patients = [asdict(write_patient(out, config, patient, role)) for patient, role in people]
    _write(_path(out, index), patients)
    return len(people)


def _write(path: Path, items: Iterable[dict[str, Any]]) -> None:
    """A JSON line each; whole under its name or not there at all."""
    text = "".join(f"{json.dumps(item)}\n" for item in items)
    write_text(path, text)


def _path(out: Path, index: int) -> Path:
    return out / FOLDER / f"{index:06d}.jsonl"


def _options(config: SimulateConfig) -> dict[str, Any]:
    options = json.loads(json.dumps(config.told))  # tuples as JSON has them
    return {**options, "version": __version__}
