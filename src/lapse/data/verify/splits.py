"""The split tables: their images against the metadata, their patients against each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from lapse.core.types import SPLITS
from lapse.data.datasets.release_counts import DIFF_VQA, IMAGENOME, MIMIC_CXR
from lapse.data.io.csv_tables import SPLIT_NAMES
from lapse.data.verify.context import DATASETS, VerifyContext
from lapse.data.verify.tables import RawTable, id_number

IDS = ("dicom_id", "subject_id", "study_id")
IMAGENOME_COLUMNS = ("subject_id", "study_id", "dicom_id", "path", "ViewPosition")
# Chest ImaGenome's table -> the split of its images; those to avoid are not trained on.
IMAGENOME_TABLES = {
    "train": "train",
    "valid": "validate",
    "test": "test",
    "images_to_avoid": "test",
}


def check_mimic_splits(context: VerifyContext) -> None:
    """The split table of MIMIC-CXR: one row for each image of the metadata."""
    columns = (*IDS, "split")
    table = context.table(context.roots.mimic_cxr_jpg, "mimic-cxr-2.*-split", columns)
    if table is None:
        context.findings.add("missing-table", "mimic-cxr-2.0.0-split")
        return
    listed: set[str] = set()
    for dicom, patient, (name,) in _rows(context, table, "split", columns):
        split = SPLIT_NAMES.get(name.strip().lower())
        if split is None:
            context.findings.add("unknown-split", dicom)
        else:
            context.patients[MIMIC_CXR, split].add(patient)
        listed.add(dicom)
    context.counts[MIMIC_CXR, "split"] = table.num_rows
    if table.is_complete:
        for dicom, row in context.images.by_dicom.items():
            if dicom not in listed and context.is_in_copy(row.study):
                context.findings.add("image-without-split", dicom)


def check_imagenome_splits(context: VerifyContext) -> Iterator[tuple[str, str]]:
    """The split tables of Chest ImaGenome; yields (table, dicom_id) of each of their images."""
    folder = context.roots.chest_imagenome / "silver_dataset" / "splits"
    for name, split in IMAGENOME_TABLES.items():
        table = context.table(folder, name, IMAGENOME_COLUMNS)
        if table is None:
            is_avoid_list = name == "images_to_avoid"
            code = "avoid-list-missing" if is_avoid_list else "missing-table"
            context.findings.add(code, name)
            continue
        for dicom, patient, _ in _rows(context, table, name, IDS):
            context.patients[IMAGENOME, split].add(patient)
            yield name, dicom
        context.counts[IMAGENOME, name] = table.num_rows


def check_patients(context: VerifyContext) -> None:
    """Patients in two splits of one dataset, and overlaps between datasets."""
    for dataset in DATASETS:
        train, validate, test = (context.patients[dataset, split] for split in SPLITS)
        for patient in sorted((train & validate) | (train & test) | (validate & test)):
            if dataset == DIFF_VQA:
                context.findings.add("questions-two-splits", f"p{patient}")
            else:
                context.findings.add("patient-two-splits", f"{dataset}: p{patient}")
    overlap: set[int] = set()
    for trained, evaluated in permutations(DATASETS, 2):
        held_out = context.patients[evaluated, "validate"] | context.patients[evaluated, "test"]
        overlap |= context.patients[trained, "train"] & held_out
    for patient in sorted(overlap):
        context.findings.add("cross-stage-overlap", f"p{patient}")


def _rows(
    context: VerifyContext, table: RawTable, name: str, columns: tuple[str, ...]
) -> Iterator[tuple[str, int, list[str]]]:
    """(dicom_id, patient, further fields) of the rows with readable ids.

    Rows are compared with the metadata, and repeated images are reported.
    """
    seen: set[str] = set()
    for row_id, (dicom, subject, number, *further) in table.rows(columns):
        dicom = dicom.strip()
        if dicom in seen:
            context.findings.add("duplicate-image", f"{name}: {dicom}")
        seen.add(dicom)
        patient, study = id_number(subject), id_number(number)
        if patient is None or study is None:
            context.findings.add("unreadable-id", row_id)
            continue
        image = context.images.by_dicom.get(dicom)
        if image is None:
            if context.has_all_images:
                context.findings.add("split-without-image", f"{name}: {dicom}")
        elif (image.patient, image.study) != (patient, study):
            context.findings.add("ids-disagree", f"{name}: {dicom}")
        yield dicom, patient, further
