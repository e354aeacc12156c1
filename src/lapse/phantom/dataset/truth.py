"""The ground truth of a simulation, in a separate folder that no loader reads.

    OUT/phantom/states.jsonl   one line per study: ids, findings, devices, mimics, acquisition
    OUT/phantom/pairs.csv      one line per pair: tier, counterfactual pair kind, OOD group, changes

`read_states` reads the studies and `rerender` renders one again: the same image, or the same
patient in the same state with another acquisition, which must not change any answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapse.phantom.dataset.history import History, draw_person, patient_anatomy
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.patients.acquisition import Acquisition, Portable, draw_acquisition
from lapse.phantom.patients.counterfactuals import pair_kind
from lapse.phantom.patients.findings import difference
from lapse.phantom.patients.identity import dicom_name, study_number, subject_number
from lapse.phantom.patients.portable import make_portable
from lapse.phantom.patients.state import Device, Finding, Mimic, Visit
from lapse.phantom.rendering.render import render

FOLDER = "phantom"
STATES = "states.jsonl"
PAIR_COLUMNS = (
    "study_id",
    "ref_id",
    "subject_id",
    "split",
    "tier",
    "quad",  # what differs in a pair of a counterfactual quadruplet, one of PAIR_KINDS
    "tail",  # the OOD group, one of OOD_KINDS or ""
    "num_changes",
    "num_fine_changes",  # of findings that are drawn only by their fine cue
)


@dataclass(frozen=True, slots=True)
class StudyState:
    """The ground truth of one study. The names of the fields are the keys in states.jsonl.

    Attributes:
        subject_id, study_id, dicom_id: as in the tables.
        seed, size, nuisance: options of the simulation that `rerender` needs.
        split: "train", "validate" or "test".
        tier: "coarse" or "fine".
        quad: cell in a counterfactual quadruplet, "A1", "A2", "B1" or "B2", else "".
        tail: the OOD group, one of OOD_KINDS, else "".
        visit: patient, index, time, findings, devices and mimics.
        anatomy: "plain" or "detailed"; a line without it is plain.
    """

    subject_id: int
    study_id: int
    dicom_id: str
    seed: int
    size: int
    nuisance: float
    split: str
    tier: str
    quad: str
    tail: str
    visit: Visit
    acquisition: Acquisition
    anatomy: str = "plain"


def study_states(config: SimulateConfig, history: History) -> list[StudyState]:
    """The ground truth of every study of a patient, in chronological order."""
    seed, patient, role = config.seed, history.patient, history.role
    return [
        StudyState(
            subject_id=subject_number(seed, patient),
            study_id=study_number(seed, patient, item.visit.index),
            dicom_id=dicom_name(seed, patient, item.visit.index),
            seed=seed,
            size=config.size,
            nuisance=config.nuisance,
            split=role.split,
            tier=role.tier,
            quad=item.cell,
            tail=role.ood,
            visit=item.visit,
            acquisition=item.acquisition,
            anatomy=patient_anatomy(config, patient),
        )
        for item in history.exposures
    ]


def pair_rows(config: SimulateConfig, history: History) -> list[tuple[str | int | float, ...]]:
    """One row of pairs.csv per pair."""
    rows: list[tuple[str | int | float, ...]] = []
    role = history.role
    for reference, main in history.pairs:
        old, new = reference.visit, main.visit
        changes = difference(old, new)
        fine = {item.name for item in (*old.findings, *new.findings) if item.is_fine}
        numbers = (study_number(config.seed, new.patient, item.index) for item in (new, old))
        ids = (*numbers, subject_number(config.seed, new.patient))
        kinds = (role.split, role.tier, pair_kind(reference.cell, main.cell), role.ood)
        num_fine = sum(change.finding in fine for change in changes)
        rows.append((*ids, *kinds, len(changes), num_fine))
    return rows


def state_record(state: StudyState) -> dict[str, Any]:
    """A state as one JSON-ready dict."""
    record = asdict(state)
    if state.acquisition.portable is None:
        del record["acquisition"]["portable"]
    if state.anatomy == "plain":
        del record["anatomy"]
    record["visit"]["taken_at"] = state.visit.taken_at.isoformat(timespec="milliseconds")
    return record


def read_states(root: Path) -> Iterator[StudyState]:
    """Read the ground truth of every study of a simulation, in order, one line at a time.

    Args:
        root: a folder that `lapse simulate` wrote, or its subfolder `phantom`.

    Raises:
        ValueError: the folder has no ground truth, or a line is invalid.
    """
    candidates = (root / FOLDER / STATES, root / STATES)
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise ValueError(
            f"{root} has no {FOLDER}/{STATES}: pass a folder that `lapse simulate` wrote"
        )
    return _lines(path)


def _lines(path: Path) -> Iterator[StudyState]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield _state(json.loads(line))
            except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{path} line {number} is not the state of a study ({error}): simulate it again"
                ) from None


def _state(record: Mapping[str, Any]) -> StudyState:
    visit, exposure = dict(record["visit"]), dict(record["acquisition"])
    visit["taken_at"] = datetime.fromisoformat(visit["taken_at"])
    for key, kind in (("findings", Finding), ("devices", Device), ("mimics", Mimic)):
        visit[key] = tuple(kind(**item) for item in visit[key])
    for key in ("shift", "warp", "marker_at", "collimation"):
        exposure[key] = tuple(exposure[key])
    if "portable" in exposure:
        portable = dict(exposure["portable"])
        portable |= {key: tuple(portable[key]) for key in ("curve", "shading")}
        exposure["portable"] = Portable(**portable)
    values = {**record, "visit": Visit(**visit), "acquisition": Acquisition(**exposure)}
    return StudyState(**values)


def rerender(
    state: StudyState, acquisition_seed: int | None = None, size: int | None = None
) -> NDArray[np.uint8]:
    """Render the image of a study again, without JPEG compression. # [H, W]

    Args:
        state: as read by `read_states`.
        acquisition_seed: seed of another exposure of the same patient in the same state; None for
            the exposure of the file. View and posture may differ; a portable film has another
            portable exposure.
        size: longest side in pixels; None for that of the file.
    """
    if acquisition_seed is not None:
        visit = state.visit
        acquisition = draw_acquisition(
            acquisition_seed, visit.patient, visit.index, 1, nuisance=state.nuisance
        )
        if state.acquisition.portable is not None:
            key = (acquisition_seed, visit.patient, visit.index, 1)
            acquisition = make_portable(acquisition, state.nuisance, key)
        state = replace(state, acquisition=acquisition)
    person = draw_person(state.seed, state.visit.patient, state.tail, state.anatomy)
    return render(person, state.visit, state.acquisition, size or state.size).image
