"""The truth behind a simulated tree, in a folder of its own that no loader reads.

    OUT/phantom/states.jsonl   a line a study: ids, findings, devices, mimics, acquisition
    OUT/phantom/pairs.csv      a line a pair: tier, what a quad's pair varies, tail, changes

`read_states` gives the lines back and `rerender` draws one again: the same image, or the same
patient in the same state under another acquisition, which must not change any answer.
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

from lapse.phantom.dataset.history import History, draw_person
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.patients.acquisition import Acquisition, draw_acquisition
from lapse.phantom.patients.findings import difference
from lapse.phantom.patients.identity import dicom_name, study_number, subject_number
from lapse.phantom.patients.quads import pair_kind
from lapse.phantom.patients.state import Device, Finding, Mimic, Visit
from lapse.phantom.rendering.render import render

FOLDER = "phantom"
STATES, PAIRS = "states.jsonl", "pairs.csv"
PAIR_COLUMNS = (
    "study_id",
    "ref_id",
    "subject_id",
    "split",
    "tier",
    "quad",  # "", "nuisance", "state" or "both": what differs
    "tail",
    "num_changes",
    "num_fine_changes",  # of findings drawn by their fine cue alone
)


@dataclass(frozen=True, slots=True)
class StudyState:
    """Everything that is true of one simulated study.

    Attributes:
        subject_id, study_id, dicom_id: as in the tables.
        seed, size, nuisance: of the simulation; needed to draw it again.
        split: "train", "validate" or "test".
        tier: "coarse" or "fine".
        quad: place in a counterfactual quad, "A1", "A2", "B1" or "B2", else "".
        tail: the held-out tail, "anatomy", "acquisition", "combination" or "paraphrase", else "".
        visit: patient, index, time, findings, devices and mimics.
        acquisition: how the image was taken.
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


def states_of(config: SimulateConfig, history: History) -> list[StudyState]:
    """The truth of every study of a patient, in order of time."""
    seed, patient, role = config.seed, history.patient, history.role
    return [
        StudyState(
            subject_id=subject_number(seed, patient),
            study_id=study_number(seed, patient, item.visit.index),
            dicom_id=dicom_name(seed, patient, item.visit.index),
            seed=seed,
            size=config.size,
            nuisance=config.nuisance,
            split=role.part,
            tier=role.tier,
            quad=item.place,
            tail=role.tail,
            visit=item.visit,
            acquisition=item.acquisition,
        )
        for item in history.exposures
    ]


def pair_rows(config: SimulateConfig, history: History) -> list[tuple[str | int | float, ...]]:
    """One row of pairs.csv for every pair that is asked about."""
    rows: list[tuple[str | int | float, ...]] = []
    for reference, main in history.pairs:
        old, new = reference.visit, main.visit
        changes = difference(old, new)
        fine = {item.name for item in (*old.findings, *new.findings) if item.is_fine}
        rows.append(
            (
                study_number(config.seed, history.patient, new.index),
                study_number(config.seed, history.patient, old.index),
                subject_number(config.seed, history.patient),
                history.role.part,
                history.role.tier,
                pair_kind(reference.place, main.place),
                history.role.tail,
                len(changes),
                sum(change.finding in fine for change in changes),
            )
        )
    return rows


def state_line(state: StudyState) -> dict[str, Any]:
    """A state as one JSON-ready dict."""
    line = asdict(state)
    line["visit"]["taken_at"] = state.visit.taken_at.isoformat(timespec="milliseconds")
    return line


def read_states(root: Path) -> Iterator[StudyState]:
    """The truth of every study of a simulated tree, in its order, a line at a time.

    Args:
        root: the folder that `lapse simulate` wrote, or its folder `phantom`.

    Raises:
        ValueError: there is no truth in this folder, or a line is not one.
    """
    path = next(
        (found for found in (root / FOLDER / STATES, root / STATES) if found.is_file()), None
    )
    if path is None:
        raise ValueError(
            f"{root} has no {FOLDER}/{STATES}: only a tree of this version's `lapse simulate` has"
        )
    return _lines(path)


def _lines(path: Path) -> Iterator[StudyState]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield _state(json.loads(line))
            except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{path} line {number} is not a study's state ({error}): simulate it again"
                ) from None


def _state(line: Mapping[str, Any]) -> StudyState:
    visit, shot = dict(line["visit"]), dict(line["acquisition"])
    visit["taken_at"] = datetime.fromisoformat(visit["taken_at"])
    for key, kind in (("findings", Finding), ("devices", Device), ("mimics", Mimic)):
        visit[key] = tuple(kind(**item) for item in visit[key])
    for key in ("shift", "warp", "marker_at", "collimation"):
        shot[key] = tuple(shot[key])
    return StudyState(**{**line, "visit": Visit(**visit), "acquisition": Acquisition(**shot)})


def rerender(
    state: StudyState, acquisition_seed: int | None = None, size: int | None = None
) -> NDArray[np.uint8]:
    """The image of a study again, as it was before it became a file. # [H, W]

    Args:
        state: as read from the truth.
        acquisition_seed: of another exposure of the same patient in the same state; None for
            the exposure of the file. View and posture may change with it.
        size: longest side in pixels; None for that of the file.
    """
    if acquisition_seed is not None:
        visit = state.visit
        shot = draw_acquisition(
            acquisition_seed, visit.patient, visit.index, 1, nuisance=state.nuisance
        )
        state = replace(state, acquisition=shot)
    person = draw_person(state.seed, state.visit.patient, state.tail)
    return render(person, state.visit, state.acquisition, size or state.size).image
