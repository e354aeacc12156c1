"""The split tables: their images against the metadata, their patients against each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lapse.core.types import SPLITS
from lapse.data.datasets.release_counts import DIFF_VQA, IMAGENOME, MIMIC_CXR
from lapse.data.io.csv_tables import SPLIT_NAMES
from lapse.data.verify.context import DATASETS, VerifyContext
from lapse.data.verify.tables import RawTable, id_number

COLUMNS = ("dicom_id", "study_id", "subject_id", "split")
IMAGENOME_COLUMNS = ("subject_id", "study_id", "dicom_id", "path", "ViewPosition")
# Chest ImaGenome's table -> the split of its images; those to avoid are not trained on.
IMAGENOME_TABLES = {
    "train": "train",
    "valid": "validate",
    "test": "test",
    "images_to_avoid": "test",
}


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One row of a split table; `split` is "" where the table itself is the split."""

    dicom: str
    patient: int
    study: int
    split: str


def check_mimic_splits(context: VerifyContext) -> None:
    """The split table of MIMIC-CXR: one row for each image of the metadata."""
    path = context.table(context.roots.mimic_cxr_jpg, "mimic-cxr-2.*-split")
    if path is None:
        context.findings.add("missing-table", "mimic-cxr-2.0.0-split")
        return
    table = RawTable(path, context.findings, COLUMNS)
    listed: set[str] = set()
    for row in _rows(context, table, "split", ("dicom_id", "subject_id", "study_id", "split")):
        split = SPLIT_NAMES.get(row.split.strip().lower())
        if split is None:
            context.findings.add("unknown-split", row.dicom)
        else:
            context.patient_splits[MIMIC_CXR].add(row.patient, split)
        listed.add(row.dicom)
    context.counts[MIMIC_CXR, "split"] = table.num_rows
    if table.is_complete:
        for dicom, row_of_image in context.images.by_dicom.items():
            if dicom not in listed and context.is_in_copy(row_of_image.study):
                context.findings.add("image-without-split", dicom)


def check_imagenome_splits(context: VerifyContext) -> Iterator[tuple[str, str]]:
    """The split tables of Chest ImaGenome; yields (table, dicom_id) of each of their images."""
    for name, split in IMAGENOME_TABLES.items():
        path = context.table(context.split_folder, name)
        if path is None:
            is_avoid_list = name == "images_to_avoid"
            code = "avoid-list-missing" if is_avoid_list else "missing-table"
            context.findings.add(code, name)
            continue
        table = RawTable(path, context.findings, IMAGENOME_COLUMNS)
        for row in _rows(context, table, name, ("dicom_id", "subject_id", "study_id")):
            context.patient_splits[IMAGENOME].add(row.patient, split)
            yield name, row.dicom
        context.counts[IMAGENOME, name] = table.num_rows


def check_patients(context: VerifyContext) -> None:
    """Patients in two splits of one dataset, and overlaps between datasets."""
    for dataset in DATASETS:
        for patient in context.patient_splits[dataset].in_several():
            if dataset == DIFF_VQA:
                context.findings.add("questions-two-splits", f"p{patient}")
            else:
                context.findings.add("patient-two-splits", f"{dataset}: p{patient}")
    overlap: set[int] = set()
    for trained in DATASETS:
        for evaluated in DATASETS:
            if trained != evaluated:
                overlap |= context.patient_splits[trained].patients(
                    SPLITS[0]
                ) & context.patient_splits[evaluated].patients(*SPLITS[1:])
    for patient in sorted(overlap):
        context.findings.add("cross-stage-overlap", f"p{patient}")


def _rows(
    context: VerifyContext, table: RawTable, name: str, columns: tuple[str, ...]
) -> Iterator[SplitRow]:
    """The rows with readable ids, compared with the metadata; repeated images are reported."""
    seen: set[str] = set()
    for line, (dicom, subject, number, *split) in table.rows(columns):
        dicom = dicom.strip()
        if dicom in seen:
            context.findings.add("duplicate-image", f"{name}: {dicom}")
        seen.add(dicom)
        patient, study = id_number(subject), id_number(number)
        if patient is None or study is None:
            context.findings.add("unreadable-id", table.line(line))
            continue
        image = context.images.by_dicom.get(dicom)
        if image is None:
            if context.has_all_images:
                context.findings.add("split-without-image", f"{name}: {dicom}")
        elif (image.patient, image.study) != (patient, study):
            context.findings.add("ids-disagree", f"{name}: {dicom}")
        yield SplitRow(dicom, patient, study, split[0] if split else "")
