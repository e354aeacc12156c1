"""Simulated patients in the layout of a public release: what all of those layouts share.

    config -> patients one by one, rendered -> the files of a layout
                                          '--> phantom/states.jsonl, SIMULATED.txt

A layout is one function, registered under "layouts": `write_nih_tree(out, config, progress)`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lapse.core.files import write_text
from lapse.core.progress import Progress, no_progress
from lapse.phantom.dataset.cohort import selected_patients
from lapse.phantom.dataset.history import Exposure, History, draw_history
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.truth import FOLDER, STATES, StudyState, state_record, study_states
from lapse.phantom.dataset.writer import write_notice
from lapse.phantom.patients.findings import levels
from lapse.phantom.rendering.render import Rendered, render

Cell = str | int | float


class LayoutWriter(Protocol):
    """Writes one layout."""

    def __call__(self, out: Path, config: SimulateConfig, progress: Progress, /) -> None:
        """Write the files of a new or empty folder; `progress` counts patients."""


@dataclass(frozen=True, slots=True)
class SimulatedFilm:
    """One film of a patient."""

    history: History
    exposure: Exposure
    rendered: Rendered

    @property
    def number(self) -> int:
        """Counts the films of a patient from 0 in time."""
        return self.exposure.visit.index

    @property
    def levels(self) -> dict[str, str]:
        """Finding -> level, of the findings of `lapse.core.grammar`."""
        return levels(self.exposure.visit)

    @property
    def age(self) -> int:
        """Years at the examination."""
        first = self.history.exposures[0].visit.taken_at
        return self.history.person.age + (self.exposure.visit.taken_at - first).days // 365


def simulated_patients(
    out: Path, config: SimulateConfig, progress: Progress = no_progress
) -> Iterator[list[SimulatedFilm]]:
    """The films of each patient in time; the truth and the notice are written at the end.

    Args:
        config: the options of the simulation; `processes` and `images` have no effect.
        progress: called with (patients done, all patients).

    Raises:
        ValueError: the folder has files in it.
    """
    require_new_folder(out)
    members = selected_patients(config)
    states: list[StudyState] = []
    for done, (patient, role) in enumerate(members, start=1):
        history = draw_history(config, patient, role)
        states += study_states(config, history)
        yield [_film(history, exposure, config.size) for exposure in history.exposures]
        progress(done, len(members))
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(state_record(state)) for state in states)
    write_text(out / FOLDER / STATES, "".join(f"{line}\n" for line in lines))
    write_notice(out, config)


def _film(history: History, exposure: Exposure, size: int) -> SimulatedFilm:
    rendered = render(history.person, exposure.visit, exposure.acquisition, size)
    return SimulatedFilm(history, exposure, rendered)


def require_new_folder(out: Path) -> None:
    """Check that nothing is overwritten.

    Raises:
        ValueError: `out` is a file, or a folder with files in it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not empty: give a new folder")


def write_csv(path: Path, header: str, rows: Iterable[Iterable[Cell]]) -> None:
    """Write a table whose header line is given as it is in the release."""
    text = io.StringIO()
    text.write(f"{header}\n")
    csv.writer(text, lineterminator="\n").writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())
