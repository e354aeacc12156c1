"""The split tables: their rows against the metadata, their patients against each other."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lapse.data.datasets.release_counts import DIFF_VQA, IMAGENOME, MIMIC_CXR
from lapse.data.io.compact_maps import key_of
from lapse.data.io.csv_tables import SPLIT_WORDS, find_table
from lapse.data.verify.context import DATA_SETS, PARTS, VerifyContext
from lapse.data.verify.image_index import UNKNOWN
from lapse.data.verify.results import Findings
from lapse.data.verify.tables import RawTable, id_number

COLUMNS = ("dicom_id", "study_id", "subject_id", "split")
IMAGENOME_COLUMNS = ("subject_id", "study_id", "dicom_id", "path", "ViewPosition")
# Chest ImaGenome's file -> the part that its images are in; those to avoid are not trained on.
IMAGENOME_FILES = {
    "train": "train",
    "valid": "validate",
    "test": "test",
    "images_to_avoid": "test",
}


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One row of a split table; `word` is "" where the table is the split."""

    dicom: str
    patient: int
    study: int
    word: str


def check_mimic_splits(case: VerifyContext) -> None:
    """The split table of MIMIC-CXR: one row for each image of the metadata."""
    path = find_table(case.roots.mimic_cxr_jpg, "mimic-cxr-2.*-split")
    if path is None:
        case.findings.add("missing-table", "mimic-cxr-2.0.0-split")
        return
    table = RawTable(path, case.findings, COLUMNS)
    has_split = np.zeros(len(case.images), np.bool_)
    for row in _rows(table, case.findings, ("dicom_id", "subject_id", "study_id", "split")):
        part = SPLIT_WORDS.get(row.word.strip().lower())
        if part is None:
            case.findings.add("unknown-split", row.dicom)
        else:
            case.parts[MIMIC_CXR].add(row.patient, part)
        found = _check_row(case, row, "split")
        if found != UNKNOWN:
            has_split[found] = True
    case.counts[MIMIC_CXR, "split"] = table.num_rows
    _check_repeated(case, table, "split")
    if table.is_whole:
        repeated_rows = set(case.images.repeated_rows)
        for place in np.flatnonzero(~has_split):
            if int(place) not in repeated_rows:
                case.findings.add("image-without-split", case.images.name(int(place)))


def check_imagenome_splits(case: VerifyContext) -> Iterator[tuple[str, str]]:
    """The split tables of Chest ImaGenome; yields (table, dicom_id) of every image they name."""
    for name, part in IMAGENOME_FILES.items():
        path = find_table(case.splits, name)
        if path is None:
            is_list = name == "images_to_avoid"
            code = "avoid-list-missing" if is_list else "missing-table"
            case.findings.add(code, name)
            continue
        table = RawTable(path, case.findings, IMAGENOME_COLUMNS)
        for row in _rows(table, case.findings, ("dicom_id", "subject_id", "study_id")):
            case.parts[IMAGENOME].add(row.patient, part)
            _check_row(case, row, name)
            yield name, row.dicom
        case.counts[IMAGENOME, name] = table.num_rows
        _check_repeated(case, table, name)


def check_patients(case: VerifyContext) -> None:
    """No patient in two splits of one data set; the overlap between data sets is counted."""
    for name in DATA_SETS:
        for patient in case.parts[name].in_several():
            if name == DIFF_VQA:
                case.findings.add("questions-two-splits", f"p{patient}")
            else:
                case.findings.add("patient-two-splits", f"{name}: p{patient}")
    trained = [case.parts[name].patients(PARTS[0]) for name in DATA_SETS]
    evaluated = [case.parts[name].patients(*PARTS[1:]) for name in DATA_SETS]
    overlap = [
        np.intersect1d(trained[first], evaluated[second])
        for first in range(len(DATA_SETS))
        for second in range(len(DATA_SETS))
        if first != second
    ]
    for patient in np.unique(np.concatenate(overlap)):
        case.findings.add("cross-stage-overlap", f"p{patient}")


def _rows(table: RawTable, findings: Findings, columns: tuple[str, ...]) -> Iterator[SplitRow]:
    for line, fields in table.rows(columns):
        patient, study = id_number(fields[1]), id_number(fields[2])
        if patient is None or study is None:
            findings.add("unreadable-id", table.line(line))
        else:
            word = fields[3] if len(fields) > 3 else ""
            yield SplitRow(fields[0].strip(), patient, study, word)


def _check_row(case: VerifyContext, row: SplitRow, name: str) -> int:
    """The metadata's row of the image of a split row, compared with it."""
    found = case.images.find(row.dicom)
    if found == UNKNOWN:
        if case.images.is_whole:
            case.findings.add("split-without-image", f"{name}: {row.dicom}")
        return UNKNOWN
    ids = int(case.images.patients[found]), int(case.images.studies[found])
    if ids != (row.patient, row.study):
        case.findings.add("ids-disagree", f"{name}: {row.dicom}")
    return found


def _check_repeated(case: VerifyContext, table: RawTable, name: str) -> None:
    """Images that one split table names twice; the table is read again only where there are."""
    keys: array[int] = array("Q")
    for _, (dicom,) in table.again(("dicom_id",)):
        keys.append(key_of(dicom.strip()))
    ordered = np.sort(np.frombuffer(keys, np.uint64)) if len(keys) else np.zeros(0, np.uint64)
    if not (ordered[1:] == ordered[:-1]).any():
        return
    seen: set[str] = set()
    for _, (dicom,) in table.again(("dicom_id",)):
        if dicom.strip() in seen:
            case.findings.add("duplicate-image", f"{name}: {dicom.strip()}")
        seen.add(dicom.strip())
