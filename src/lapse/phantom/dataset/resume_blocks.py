"""Restartable simulation: blocks of patients, each with its table rows in one file when done.

    OUT/.simulate/options.json    the options; a run with other options is refused
    OUT/.simulate/000000.jsonl    one line per patient; written atomically

Images and reports are written to their final location. A block with a file is never simulated
again; an interrupted block is simulated again over its partial files, with the same bytes. The
folder is removed when the tables are merged and the tree is marked as complete.
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
from lapse.core.progress import Progress
from lapse.core.version import __version__
from lapse.phantom.dataset.cohort import CohortRole
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.patient_files import PatientFiles, write_patient

FOLDER = ".simulate"
_REMOVED = ".simulate-done"
_OPTIONS = "options.json"
_MAX_BLOCK = 16
Member = tuple[int, CohortRole]  # index and role of a patient
Block = tuple[int, tuple[Member, ...]]  # index of the block, its patients


def open_blocks(out: Path, config: SimulateConfig) -> None:
    """Create the folder of blocks, or continue that of an interrupted run with equal options.

    Raises:
        ValueError: `out` is a file, contains other files, or a run with other options.
    """
    folder = out / FOLDER
    options = json.loads(json.dumps(config.recorded | {"version": __version__}))  # lists, no tuples
    shutil.rmtree(out / _REMOVED, ignore_errors=True)  # left by a run interrupted at its last step
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
                f"{out} contains an interrupted simulation with {name} {before.get(name)!r}, not "
                f"{options.get(name)!r}: continue with the same options, or delete this folder"
            )
    _write(path, [options])


def make_blocks(
    out: Path, config: SimulateConfig, members: tuple[Member, ...], progress: Progress
) -> None:
    """Simulate every missing block, in this process or in several.

    Raises:
        ValueError: a worker process died.
    """
    size = block_size(len(members))
    blocks = [
        (first // size, members[first : first + size]) for first in range(0, len(members), size)
    ]
    missing = [block for block in blocks if not _path(out, block[0]).exists()]
    num_done = len(members) - sum(len(block[1]) for block in missing)
    with ExitStack() as stack:
        for count in _map(partial(_make, out, config), missing, config.processes, stack):
            num_done += count
            progress(num_done, len(members))


def read_blocks(out: Path, num_patients: int) -> Iterator[PatientFiles]:
    """The rows of all patients in order, reading one line at a time."""
    for index in range(-(-num_patients // block_size(num_patients))):
        with _path(out, index).open(encoding="utf-8") as lines:
            for line in lines:
                yield PatientFiles(**json.loads(line))


def drop_blocks(out: Path) -> None:
    """Remove the folder; it is renamed first, so an interrupted removal looks incomplete."""
    (out / FOLDER).rename(out / _REMOVED)
    shutil.rmtree(out / _REMOVED)


def block_size(num_patients: int) -> int:
    """Patients per block; small simulations have small blocks, for visible progress."""
    return max(1, min(_MAX_BLOCK, num_patients // 64))


def _map(
    make: Callable[[Block], int], blocks: list[Block], processes: int, stack: ExitStack
) -> Iterator[int]:
    if processes == 1 or len(blocks) < 2:
        yield from map(make, blocks)
        return
    # ProcessPoolExecutor raises if a worker cannot start; multiprocessing.Pool restarts it forever.
    context = multiprocessing.get_context("spawn")
    pool = stack.enter_context(ProcessPoolExecutor(min(processes, len(blocks)), mp_context=context))
    try:
        yield from pool.map(make, blocks)
    except BrokenProcessPool:
        raise ValueError(
            "a worker process of simulate died: out of memory, or simulate was called outside an "
            '`if __name__ == "__main__":` block; use processes=1'
        ) from None


def _make(out: Path, config: SimulateConfig, block: Block) -> int:
    index, members = block
    patients = [asdict(write_patient(out, config, patient, role)) for patient, role in members]
    _write(_path(out, index), patients)
    return len(members)


def _write(path: Path, items: Iterable[dict[str, Any]]) -> None:
    """Write one JSON line per item, atomically."""
    write_text(path, "".join(f"{json.dumps(item)}\n" for item in items))


def _path(out: Path, index: int) -> Path:
    return out / FOLDER / f"{index:06d}.jsonl"
