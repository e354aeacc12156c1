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
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from lapse.core.annotation_names import CHEXPERT_LABELS
from lapse.core.changes import QUESTION_CHANGED, UNCHANGED
from lapse.core.progress import Progress, no_progress
from lapse.core.version import __version__
from lapse.phantom.dataset.cohort import selected_patients
from lapse.phantom.dataset.gold import GoldWriter
from lapse.phantom.dataset.ms_cxr_t import ProgressionWriter
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.patient_files import SPLIT_FILE, PatientFiles, Row
from lapse.phantom.dataset.resume_blocks import drop_blocks, make_blocks, open_blocks, read_blocks
from lapse.phantom.dataset.scene_graph import graph_entry
from lapse.phantom.dataset.truth import FOLDER, PAIR_COLUMNS, PAIRS, STATES
from lapse.phantom.patients.identity import SPLITS

__all__ = ["SimulateConfig", "SimulateReport", "simulate"]

logger = logging.getLogger(__name__)

METADATA = (
    "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition",
    "Rows", "Columns", "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning", "PatientOrientationCodeSequence_CodeMeaning",
)  # fmt: skip
SPLIT = ("dicom_id", "study_id", "subject_id", "split")
IMAGENOME = ("", "subject_id", "study_id", "dicom_id", "path", "ViewPosition")
QUESTIONS = ("study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split")
OVERVIEW = (
    "subject_id", "study_id", *CHEXPERT_LABELS, "dicom_id", "view", "split", "study_date",
    "study_order",
)  # fmt: skip
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
            f"{self.unchanged_fraction:.0%} unchanged; {self.questions.total()} questions",
        ]

    @property
    def described_per_image(self) -> float:
        """Regions with a box and a phrase, per image."""
        return self.num_described / max(1, self.num_studies)

    @property
    def unchanged_fraction(self) -> float:
        """Fraction of pairs in which nothing has changed."""
        return self.num_unchanged / max(1, self.num_pairs)

    def add(self, files: PatientFiles) -> None:
        """Count one patient."""
        self.num_patients += 1
        self.num_studies += len(files.metadata)
        self.num_described += files.num_described
        self.studies_per_split[files.split] += len(files.metadata)
        for row in files.questions:
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
        tables = _Tables(out, stack)
        for files in read_blocks(out, len(members)):
            tables.write(files)
            report.add(files)
        tables.finish()
    write_notice(out, config)
    drop_blocks(out)
    for line in report.lines():
        logger.info(line)
    return report


class _CsvWriter(Protocol):
    """The type of csv.writer(...)."""

    def writerow(self, row: Iterable[Any], /) -> object: ...

    def writerows(self, rows: Iterable[Iterable[Any]], /) -> object: ...


class _Tables:
    """The files that all patients share, open until the stack is closed."""

    def __init__(self, out: Path, stack: ExitStack) -> None:
        self._stack = stack
        jpg, vqa = out / "mimic-cxr-jpg", out / "medical-diff-vqa"
        silver = out / "chest-imagenome" / "silver_dataset"
        for folder in (jpg, out / "mimic-cxr", vqa, silver / "splits", out / FOLDER):
            folder.mkdir(parents=True, exist_ok=True)
        labels = ("subject_id", "study_id", *CHEXPERT_LABELS)
        name = "mimic-cxr-2.0.0"
        self._metadata = self._table(jpg / f"{name}-metadata.csv.gz", METADATA)
        self._split = self._table(jpg / f"{name}-split.csv.gz", SPLIT)
        self._labels = [
            self._table(jpg / f"{name}-{kind}.csv.gz", labels) for kind in ("chexpert", "negbio")
        ]
        self._imagenome = {
            split: self._table(silver / "splits" / f"{SPLIT_FILE[split]}.csv", IMAGENOME)
            for split in SPLITS
        }
        self._num_imagenome = Counter[str]()
        self._table(silver / "splits" / "images_to_avoid.csv", IMAGENOME)
        self._questions = self._table(vqa / "mimic_pair_questions.csv", QUESTIONS)
        self._overview = self._table(vqa / "mimic_all.csv", OVERVIEW)
        self._diseases = self._text(vqa / "all_diseases.json")
        self._separator = "["
        self._graphs = stack.enter_context(
            zipfile.ZipFile(silver / "scene_graph.zip", "w", zipfile.ZIP_DEFLATED)
        )
        self._gold = GoldWriter(out / "chest-imagenome" / "gold_dataset", stack)
        self._progressions = ProgressionWriter(out, stack)
        self._states = self._text(out / FOLDER / STATES)
        self._pairs = self._table(out / FOLDER / PAIRS, PAIR_COLUMNS)

    def write(self, files: PatientFiles) -> None:
        """Append one patient to every shared file."""
        self._metadata.writerows(files.metadata)
        self._split.writerows(files.split_rows)
        for table in self._labels:
            table.writerows(files.labels)
        for row in files.imagenome:
            self._imagenome[files.split].writerow((self._num_imagenome[files.split], *row))
            self._num_imagenome[files.split] += 1
        self._questions.writerows(files.questions)
        self._overview.writerows(files.overview)
        self._progressions.write(files.progressions)
        for item in files.diseases:
            self._diseases.write(f"{self._separator}\n{json.dumps(item)}")
            self._separator = ","
        for dicom, graph in files.graphs:
            self._graphs.writestr(graph_entry(dicom), graph)
        if files.split == "test":
            rows, columns = METADATA.index("Rows"), METADATA.index("Columns")
            for row, (_, graph) in zip(files.metadata, files.graphs, strict=True):
                self._gold.write(json.loads(graph), int(row[rows]), int(row[columns]))
        for state in files.states:
            self._states.write(f"{json.dumps(state)}\n")
        self._pairs.writerows(files.pairs)

    def finish(self) -> None:
        """Close the JSON list; the stack closes the files."""
        self._diseases.write("\n]\n")

    def _table(self, path: Path, header: Row) -> _CsvWriter:
        writer = csv.writer(self._text(path), lineterminator="\n")
        writer.writerow(header)
        return writer

    def _text(self, path: Path) -> IO[str]:
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
