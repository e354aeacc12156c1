"""Checkpoints: complete and verified, or not used.

    RUN/checkpoints/step-00000040.tmp/   written and synced file by file
        model.safetensors  optimizer.safetensors  state.json  MANIFEST.json (SHA-256 of each)
    RUN/checkpoints/step-00000040/       the same folder, renamed when all files are on the disk

    RUN/best/checkpoints/step-00000040/  with `train.keep: best`, the weights with the lowest
                                         validation loss so far, without the optimizer

A kill can only create a `.tmp` folder, which is never read; a flipped bit does not match the
manifest. Weights are safetensors and everything else is JSON: reading them runs no code.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor

from lapse.core.files import TEMPORARY, rename_folder, sha256_of
from lapse.training.optim import Module, trained_parameters
from lapse.training.weight_files import (
    distinct_tensors,
    num_bytes,
    read_tensors,
    save_weights,
    write_tensors,
)

MODEL, OPTIMIZER = "model.safetensors", "optimizer.safetensors"
STATE, MANIFEST = "state.json", "MANIFEST.json"
BEST = "best"
FORMAT = 1
MARGIN = 1 << 20  # bytes of a checkpoint besides its tensors
NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One verified folder. `state` is the JSON that `save_checkpoint` got."""

    folder: Path
    step: int
    state: dict[str, Any]

    def optimizer(self) -> dict[str, Tensor]:
        """The named optimizer tensors, on the CPU."""
        return read_tensors(self.folder / OPTIMIZER)


@dataclass(frozen=True, slots=True)
class CheckpointSearch:
    """The newest valid checkpoint (None: there is none), and why newer ones were skipped."""

    checkpoint: Checkpoint | None
    skipped: tuple[str, ...]


def save_checkpoint(
    run: Path,
    step: int,
    model: Module,
    optimizer: Mapping[str, Tensor],
    state: Mapping[str, Any],
) -> Path:
    """Write one checkpoint; returns its folder.

    `state` must be JSON. If the disk is full, the checkpoint before it is not touched.

    Raises:
        ValueError: the disk cannot hold the checkpoint; says how many bytes it needs.
    """
    parent = run / "checkpoints"
    parent.mkdir(parents=True, exist_ok=True)
    final = parent / f"step-{step:08d}"
    temporary = final.with_name(final.name + TEMPORARY)
    shutil.rmtree(temporary, ignore_errors=True)
    needed = num_bytes(distinct_tensors(model)) + num_bytes(optimizer) + MARGIN
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise ValueError(_disk_message(step, needed, f"{free} are free", parent))
    try:
        temporary.mkdir()
        save_weights(temporary / MODEL, model)
        write_tensors(temporary / OPTIMIZER, optimizer)
        (temporary / STATE).write_bytes(_json_bytes({**state, "step": step}))
        (temporary / MANIFEST).write_bytes(_json_bytes(_manifest(temporary, step)))
        if final.exists():
            shutil.rmtree(final)
        rename_folder(temporary, final)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise ValueError(_disk_message(step, needed, str(error), parent)) from error
    return final


def check_finite(step: int, model: Module, optimizer: Mapping[str, Tensor]) -> None:
    """Refuse to save weights or optimizer state that are not finite.

    A finite gradient can still give weights that overflow, inside the optimizer.

    Raises:
        ValueError: names the first such tensor.
    """
    for kind, tensors in (("weight", distinct_tensors(model)), ("optimizer state", optimizer)):
        for name, value in tensors.items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise ValueError(
                    f"step {step}: {kind} {name} is not finite; nothing was saved, and the "
                    "checkpoint before it is intact: lower optim.learning_rate and run the same "
                    "command in another folder"
                )


def check_disk(run: Path, model: Module) -> None:
    """Refuse a run whose first checkpoint does not fit on the disk.

    The optimizer of a checkpoint holds two tensors per trained parameter. The folder may not
    exist yet.

    Raises:
        ValueError: says how many bytes are needed and how many are free.
    """
    trained = dict(trained_parameters(model))
    needed = num_bytes(distinct_tensors(model)) + 2 * num_bytes(trained) + MARGIN
    existing = next(path for path in (run.absolute(), *run.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise ValueError(
            f"a checkpoint of this run needs {needed} bytes in {run} and {free} are free: free "
            "some space or choose another folder"
        )


def latest_valid_checkpoint(run: Path) -> CheckpointSearch:
    """The newest checkpoint of a run that matches its manifest."""
    skipped: list[str] = []
    for folder in _folders(run):
        problem = verify(folder)
        if problem is None:
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
            return CheckpointSearch(Checkpoint(folder, int(state["step"]), state), tuple(skipped))
        skipped.append(f"{folder.name}: {problem}")
    return CheckpointSearch(None, tuple(skipped))


def result_checkpoint(run: Path, keep: Literal["last", "best"]) -> CheckpointSearch:
    """The checkpoint whose weights are the result of a run (`train.keep`).

    A run that keeps its best weights and was not evaluated yet has only its newest ones.
    """
    if keep == "last":
        return latest_valid_checkpoint(run)
    best = latest_valid_checkpoint(run / BEST)
    if best.checkpoint is not None:
        return best
    newest = latest_valid_checkpoint(run)
    skipped = tuple(f"{BEST}/{line}" for line in best.skipped)
    return CheckpointSearch(newest.checkpoint, (*skipped, *newest.skipped))


def verify(folder: Path) -> str | None:
    """What is wrong with a checkpoint folder; None if every byte matches its manifest."""
    try:
        raw = (folder / MANIFEST).read_bytes()
        manifest = json.loads(raw)
        if _json_bytes(manifest) != raw or manifest["format"] != FORMAT:
            return f"{MANIFEST} is not as written"
        files = manifest["files"]
        names = {path.name for path in folder.iterdir()} - {MANIFEST}
        if names != files.keys():
            return f"holds {sorted(names)}, its manifest names {sorted(files)}"
        if f"step-{manifest['step']:08d}" != folder.name:
            return f"is of step {manifest['step']}"
        for name, entry in files.items():
            if (folder / name).stat().st_size != entry["bytes"]:
                return f"{name} has the wrong size"
            if sha256_of(folder / name) != entry["sha256"]:
                return f"{name} does not match its SHA-256"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"cannot be read ({type(error).__name__})"
    return None


def _folders(run: Path) -> list[Path]:
    """Checkpoint folders, newest first, without temporary ones."""
    parent = run / "checkpoints"
    if not parent.is_dir():
        return []
    named = [path for path in parent.iterdir() if NAME.fullmatch(path.name)]
    return sorted(named, key=lambda path: int(path.name[5:]), reverse=True)


def prune_checkpoints(run: Path, step: int, keep: int) -> None:
    """Delete all checkpoints but the newest `keep` up to `step`.

    A later one is deleted too: it was skipped as damaged when the run was resumed.
    """
    folders = _folders(run)
    later = [folder for folder in folders if int(folder.name[5:]) > step]
    for folder in [*later, *folders[len(later) + keep :]]:
        shutil.rmtree(folder)


def _manifest(folder: Path, step: int) -> dict[str, Any]:
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.iterdir())
    }
    return {"format": FORMAT, "step": step, "files": files}


def _json_bytes(value: object) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=1) + "\n").encode()


def _disk_message(step: int, needed: int, reason: str, parent: Path) -> str:
    return (
        f"the checkpoint of step {step} needs {needed} bytes in {parent} and was not written "
        f"({reason}); the checkpoint before it is intact: free some space and run the same "
        "command again"
    )
