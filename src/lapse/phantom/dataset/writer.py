"""`simulate`: write simulated patients to disk in the layouts of the real data sets.

    OUT/mimic-cxr-jpg     images and .csv.gz tables      OUT/mimic-cxr        reports, DICOMs
    OUT/chest-imagenome   scene_graph.zip, splits, gold  OUT/medical-diff-vqa questions
    OUT/ms-cxr-t          progressions of test patients
    OUT/phantom           ground truth (lapse.phantom.dataset.truth); no loader reads it
    OUT/SIMULATED.txt     description and options; written last, so it marks a complete tree

Patients are independent and are distributed over processes in blocks
(lapse.phantom.dataset.resume_blocks). One process merges the tables from the blocks in the order of
patients. Time stamps in gzip and zip files are fixed. The bytes depend on the seed and the options,
not on the number of processes or interruptions. Memory does not grow with the number of patients.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lapse.core.changes import QUESTION_CHANGED, UNCHANGED
from lapse.core.progress import Progress, no_progress
from lapse.core.version import __version__
from lapse.phantom.dataset.cohort import selected_patients
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.patient_files import PatientFiles, Row
from lapse.phantom.dataset.resume_blocks import drop_blocks, make_blocks, open_blocks, read_blocks
from lapse.phantom.dataset.scene_graph import graph_entry
from lapse.phantom.dataset.tables import SPLIT_TABLES, TABLES
from lapse.phantom.dataset.truth import FOLDER, STATES

__all__ = ["SimulateConfig", "SimulateReport", "simulate"]

logger = logging.getLogger(__name__)

MARK = "SIMULATED.txt"


@dataclass(slots=True)
class SimulateReport:
    """Counts over a simulation.

    `num_described` counts the regions with a box and a phrase, `num_unchanged` the answers
    "nothing has changed." to the main difference question.
    """

    out: Path
    num_patients: int = 0
    num_studies: int = 0
    num_described: int = 0
    num_pairs: int = 0
    num_unchanged: int = 0
    studies_per_split: Counter[str] = field(default_factory=Counter)
    questions: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """A summary in two lines."""
        splits = ", ".join(f"{count} {split}" for split, count in self.studies_per_split.items())
        return [
            f"simulated {self.num_patients} patients, {self.num_studies} studies ({splits}) "
            f"in {self.out}",
            f"{self.described_per_image:.1f} described regions per image; {self.num_pairs} pairs, "
            f"{self.num_unchanged / max(1, self.num_pairs):.0%} unchanged; "
            f"{self.questions.total()} questions",
        ]

    @property
    def described_per_image(self) -> float:
        """Regions with a box and a phrase, per image."""
        return self.num_described / max(1, self.num_studies)

    def add(self, files: PatientFiles) -> None:
        """Count one patient."""
        self.num_patients += 1
        self.num_studies += len(files.graphs)
        self.num_described += files.num_described
        self.studies_per_split[files.split] += len(files.graphs)
        for row in files.tables["questions"]:
            self.questions[str(row[3])] += 1
            if row[4] == QUESTION_CHANGED:
                self.num_pairs += 1
                self.num_unchanged += row[5] == UNCHANGED


def simulate(out: Path, config: SimulateConfig, progress: Progress = no_progress) -> SimulateReport:
    """Write `config.patients` simulated patients, or those of one split, below `out`.

    An interrupted run continues when it is started again with the same options. Patients of
    completed blocks are not simulated again.

    Args:
        out: a folder that is empty, does not exist, or contains an interrupted run.
        config: the options of the simulation.
        progress: called with (patients done, total patients) after each block.

    Raises:
        ValueError: `out` is a file, contains other files or a run with other options; or the
            split `config.split` has no patient.
    """
    members = selected_patients(config)
    open_blocks(out, config)
    make_blocks(out, config, members, progress)
    report = SimulateReport(out)
    with ExitStack() as stack:
        shared = _SharedFiles(out, stack)
        for files in read_blocks(out, len(members)):
            shared.write(files)
            report.add(files)
        shared.finish()
    write_notice(out, config)
    drop_blocks(out)
    for line in report.lines():
        logger.info(line)
    return report


class _SharedFiles:
    """The files that all patients share, open until the stack is closed."""

    def __init__(self, out: Path, stack: ExitStack) -> None:
        self._stack = stack
        self._tables = {name: self._text(out / table.path) for name, table in TABLES.items()}
        for name, table in TABLES.items():
            self._write_rows(name, [table.columns])
        self._num_images = Counter[str]()
        self._diseases = self._text(out / "medical-diff-vqa" / "all_diseases.json")
        self._separator = "["
        archive = out / "chest-imagenome" / "silver_dataset" / "scene_graph.zip"
        self._graphs = stack.enter_context(zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED))
        self._states = self._text(out / FOLDER / STATES)

    def write(self, files: PatientFiles) -> None:
        """Append one patient to every shared file."""
        split = SPLIT_TABLES[files.split]
        images = enumerate(files.tables[split], self._num_images[split])
        numbered: list[Row] = [(number, *row) for number, row in images]
        self._num_images[split] += len(numbered)
        for name, rows in {**files.tables, split: numbered}.items():
            self._write_rows(name, rows)
        for item in files.diseases:
            self._diseases.write(f"{self._separator}\n{json.dumps(item)}")
            self._separator = ","
        for dicom, graph in files.graphs:
            self._graphs.writestr(graph_entry(dicom), graph)
        for state in files.states:
            self._states.write(f"{json.dumps(state)}\n")

    def finish(self) -> None:
        """Close the JSON list; the stack closes the files."""
        self._diseases.write("\n]\n")

    def _write_rows(self, name: str, rows: Sequence[Row]) -> None:
        delimiter = TABLES[name].delimiter
        csv.writer(self._tables[name], delimiter=delimiter, lineterminator="\n").writerows(rows)

    def _text(self, path: Path) -> IO[str]:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".gz":
            return self._stack.enter_context(path.open("w", encoding="utf-8", newline=""))
        raw = self._stack.enter_context(path.open("wb"))
        packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)
        return self._stack.enter_context(io.TextIOWrapper(packed, encoding="utf-8", newline=""))


def write_notice(out: Path, config: SimulateConfig) -> None:
    """Mark a complete tree as simulated; loaders and `verify` state the mark."""
    (out / MARK).write_text(_notice(config), encoding="utf-8", newline="\n")


def _notice(config: SimulateConfig) -> str:
    options = config.recorded
    if config.images == "jpeg":  # the default is not mentioned
        del options["images"]
    lines = [
        "SIMULATED DATA: a research phantom, not patients.",
        "",
        "Every image, report, box and question below this folder was computed by the phantom of",
        f"the Python package lapse {__version__}. Research use only; no clinical meaning.",
        "",
        *(f"{name}: {value}" for name, value in options.items()),
    ]
    return "\n".join(lines) + "\n"
