"""`simulate`: a whole raw tree on disk in the layouts of the real data sets.

    OUT/mimic-cxr-jpg     images and .csv.gz tables      OUT/mimic-cxr        reports, DICOMs
    OUT/chest-imagenome   scene_graph.zip, splits, gold  OUT/medical-diff-vqa questions
    OUT/ms-cxr-t          progressions of test patients
    OUT/phantom           the truth behind them (lapse.phantom.dataset.truth); no loader reads it
    OUT/SIMULATED.txt     what this is; written last, so it marks a complete tree

Patients are independent, so they are spread over processes, block by block
(lapse.phantom.dataset.resume_blocks);
the tables are merged from the blocks by one process, in the order of patients. Time stamps inside
gzip and zip are fixed. The bytes depend on the seed and the options, not on the number of
processes nor on how often the run was cut. Memory stays constant in the number of patients.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from lapse.core.grammar import QUESTION_CHANGED, UNCHANGED
from lapse.core.version import __version__
from lapse.phantom.dataset.gold import GoldWriter
from lapse.phantom.dataset.ms_cxr_t import ProgressionWriter
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.patient_files import LABELS, SPLIT_FILE, PatientFiles, Row
from lapse.phantom.dataset.resume_blocks import drop_blocks, make_blocks, open_blocks, read_blocks
from lapse.phantom.dataset.roles import written_patients
from lapse.phantom.dataset.truth import FOLDER, PAIR_COLUMNS, PAIRS, STATES
from lapse.phantom.patients.identity import PARTS

__all__ = ["SimulateConfig", "SimulateReport", "simulate"]

METADATA = (
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)
SPLIT = ("dicom_id", "study_id", "subject_id", "split")
IMAGENOME = ("", "subject_id", "study_id", "dicom_id", "path", "ViewPosition")
QUESTIONS = ("study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split")
OVERVIEW = (
    "subject_id",
    "study_id",
    *LABELS,
    "dicom_id",
    "view",
    "split",
    "study_date",
    "study_order",
)
MARK = "SIMULATED.txt"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time stamp that a zip can hold


@dataclass(slots=True)
class SimulateReport:
    """What was written: counts over the whole tree.

    `num_boxes` counts boxes of the 29 used regions, `num_described` those with a phrase,
    `num_unchanged` the answers "nothing has changed." to the main difference question.
    """

    out: Path
    num_patients: int = 0
    num_studies: int = 0
    num_boxes: int = 0
    num_described: int = 0
    num_words: int = 0
    num_pairs: int = 0
    num_unchanged: int = 0
    studies_per_part: Counter[str] = field(default_factory=Counter)
    questions: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """What was written, for a person at a terminal."""
        parts = ", ".join(f"{count} {part}" for part, count in self.studies_per_part.items())
        return [
            f"simulated {self.num_patients} patients, {self.num_studies} studies ({parts}) "
            f"in {self.out}",
            f"{self.described_per_image:.1f} described regions per image; {self.num_pairs} pairs, "
            f"{self.share_unchanged:.0%} unchanged; {self.questions.total()} questions",
        ]

    @property
    def described_per_image(self) -> float:
        """Regions with a box and a phrase, per image."""
        return self.num_described / max(1, self.num_studies)

    @property
    def share_unchanged(self) -> float:
        """Share of pairs in which nothing has changed."""
        return self.num_unchanged / max(1, self.num_pairs)

    def add(self, files: PatientFiles) -> None:
        """Count one patient."""
        self.num_patients += 1
        self.num_studies += len(files.metadata)
        self.num_boxes += files.num_boxes
        self.num_described += files.num_described
        self.num_words += files.num_words
        self.studies_per_part[files.part] += len(files.metadata)
        for row in files.questions:
            self.questions[str(row[3])] += 1
            if row[4] == QUESTION_CHANGED:
                self.num_pairs += 1
                self.num_unchanged += row[5] == UNCHANGED


def simulate(
    out: Path, config: SimulateConfig, progress: Callable[[int, int], None] | None = None
) -> SimulateReport:
    """Write the trees of `config.patients` simulated patients, or of one part, below `out`.

    A run that was cut goes on where it stopped when it is started again with the same options;
    patients whose block was finished are not drawn again.

    Args:
        out: a folder that is empty, does not exist yet, or holds such a run.
        config: what to simulate.
        progress: called with (patients done, patients in all) after each block.

    Raises:
        ValueError: `out` holds something else already, or a run with other options; it is a
            file; or nobody is in the part that `config.only` names.
    """
    people = written_patients(config)
    open_blocks(out, config)
    make_blocks(out, config, people, progress)
    report = SimulateReport(out)
    with ExitStack() as stack:
        tables = _Tables(out, stack)
        for files in read_blocks(out, len(people)):
            tables.write(files)
            report.add(files)
        tables.finish()
    (out / MARK).write_text(_notice(config), encoding="utf-8", newline="\n")
    drop_blocks(out)
    return report


class _Writer(Protocol):
    """What csv.writer returns."""

    def writerow(self, row: Iterable[Any], /) -> object: ...


class _Tables:
    """The files that all patients share, open until the last patient is written."""

    def __init__(self, out: Path, stack: ExitStack) -> None:
        self._stack = stack
        jpg, vqa = out / "mimic-cxr-jpg", out / "medical-diff-vqa"
        silver = out / "chest-imagenome" / "silver_dataset"
        for folder in (jpg, out / "mimic-cxr", vqa, silver / "splits", out / FOLDER):
            folder.mkdir(parents=True, exist_ok=True)
        labels = ("subject_id", "study_id", *LABELS)
        name = "mimic-cxr-2.0.0"
        self._metadata = self._table(jpg / f"{name}-metadata.csv.gz", METADATA)
        self._split = self._table(jpg / f"{name}-split.csv.gz", SPLIT)
        self._labels = [
            self._table(jpg / f"{name}-{kind}.csv.gz", labels) for kind in ("chexpert", "negbio")
        ]
        self._imagenome = {
            part: self._table(silver / "splits" / f"{SPLIT_FILE[part]}.csv", IMAGENOME)
            for part in PARTS
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
        _rows(self._metadata, files.metadata)
        _rows(self._split, files.split)
        for table in self._labels:
            _rows(table, files.labels)
        for row in files.imagenome:
            self._imagenome[files.part].writerow((self._num_imagenome[files.part], *row))
            self._num_imagenome[files.part] += 1
        _rows(self._questions, files.questions)
        _rows(self._overview, files.overview)
        self._progressions.write(files.progressions)
        for item in files.diseases:
            self._diseases.write(f"{self._separator}\n{json.dumps(item)}")
            self._separator = ","
        for dicom, graph in files.graphs:
            entry = zipfile.ZipInfo(f"scene_graph/{dicom}_SceneGraph.json", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # the same bytes on every operating system
            entry.external_attr = 0o644 << 16
            self._graphs.writestr(entry, graph)
        if files.part == "test":
            sizes = {row[METADATA.index("dicom_id")]: row for row in files.metadata}
            rows, columns = METADATA.index("Rows"), METADATA.index("Columns")
            for dicom, graph in files.graphs:
                row = sizes[dicom]
                self._gold.write(json.loads(graph), int(row[rows]), int(row[columns]))
        for state in files.states:
            self._states.write(f"{json.dumps(state)}\n")
        _rows(self._pairs, files.pairs)

    def finish(self) -> None:
        """Close the JSON list; the files themselves are closed by the stack."""
        self._diseases.write("\n]\n")

    def _table(self, path: Path, header: Row) -> _Writer:
        writer = csv.writer(self._text(path), lineterminator="\n")
        writer.writerow(header)
        return writer

    def _text(self, path: Path) -> IO[str]:
        if path.suffix != ".gz":
            return self._stack.enter_context(path.open("w", encoding="utf-8", newline=""))
        raw = self._stack.enter_context(path.open("wb"))
        packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)
        return self._stack.enter_context(io.TextIOWrapper(packed, encoding="utf-8", newline=""))


def _rows(table: _Writer, rows: Iterable[Row]) -> None:
    for row in rows:
        table.writerow(row)


def _notice(config: SimulateConfig) -> str:
    options = config.told
    if config.images == "jpeg":  # the usual; its notice says what it always said
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
