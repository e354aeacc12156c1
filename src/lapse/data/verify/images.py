"""The metadata table of MIMIC-CXR-JPG and the image files that it names."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

import numpy as np

from lapse.data.datasets.mimic_cxr import parse_time
from lapse.data.datasets.release_counts import MIMIC_CXR
from lapse.data.io.compact_maps import key_of
from lapse.data.io.csv_tables import find_table
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.image_index import NO_TIME, ImageRow
from lapse.data.verify.results import Findings
from lapse.data.verify.tables import RawTable, id_number

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
READ = (
    "dicom_id",
    "subject_id",
    "study_id",
    "ViewPosition",
    "ViewCodeSequence_CodeMeaning",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
)
LABELS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
SUFFIXES = (".jpg", ".dcm")
# One view in two vocabularies. Words outside both (swimmers, oblique views) are not compared.
VIEWS = {
    "PA": "PA",
    "AP": "AP",
    "LATERAL": "LATERAL",
    "LL": "LATERAL",
    "POSTERO-ANTERIOR": "PA",
    "ANTERO-POSTERIOR": "AP",
    "LEFT LATERAL": "LATERAL",
}
_EPOCH = datetime(1, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def check_metadata(case: VerifyContext) -> None:
    """Fill `case.images` from the metadata table, and check each row."""
    findings = case.findings
    path = find_table(case.roots.mimic_cxr_jpg, "mimic-cxr-2.*-metadata")
    if path is None:
        raise ValueError(f"{case.roots.mimic_cxr_jpg} has lost its metadata table: start again")
    table = RawTable(path, findings, METADATA)
    for line, fields in table.rows(READ):
        dicom, patient, study = fields[0].strip(), id_number(fields[1]), id_number(fields[2])
        if patient is None or study is None:
            findings.add("unreadable-id", table.line(line))
            continue
        position, meaning = fields[3].strip(), fields[4].strip()
        _check_view(dicom, position, meaning, findings)
        height, width = pixels(fields[5]), pixels(fields[6])
        if not height or not width:
            findings.add("unreadable-size", dicom)
        taken_at = parse_time(fields[7], fields[8])
        if taken_at is None:
            findings.add("unreadable-time", dicom)
        case.images.add(
            ImageRow(
                dicom=dicom,
                patient=patient,
                study=study,
                height=height,
                width=width,
                time=NO_TIME if taken_at is None else (taken_at - _EPOCH) // _MICROSECOND,
                is_frontal=VIEWS.get((position or meaning).upper()) in ("PA", "AP"),
            )
        )
    case.images.is_whole = table.is_whole
    if not table.is_whole:
        findings.note(f"what {table.name} lacks was not counted as missing: it is not whole")
    case.counts[MIMIC_CXR, "images"] = table.num_rows
    case.counts[MIMIC_CXR, "studies"] = case.images.study_numbers.size
    case.counts[MIMIC_CXR, "patients"] = np.unique(case.images.patients).size
    _check_identity(case)


def pixels(text: str) -> int:
    """A side in pixels, 0 where the text is no positive number below 2^31."""
    plain = text.strip().removesuffix(".0")
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) < 10 else 0


def _check_view(dicom: str, position: str, meaning: str, findings: Findings) -> None:
    if not position and not meaning:
        findings.add("view-empty", dicom)
        return
    first, second = VIEWS.get(position.upper()), VIEWS.get(meaning.upper())
    if first is not None and second is not None and first != second:
        findings.add("view-disagrees", dicom)


def _check_identity(case: VerifyContext) -> None:
    """Images named twice, studies under two patients."""
    images = case.images
    for row in images.repeated_rows:
        case.findings.add("duplicate-image", images.name(row))
    owners = np.unique(np.stack([images.studies, images.patients], axis=1), axis=0)
    studies, counts = np.unique(owners[:, 0], return_counts=True)
    for study in studies[counts > 1]:
        case.findings.add("study-two-patients", f"s{study}")


def image_stem(patient: int, study: int, dicom: str) -> str:
    """`files/p10/p10000032/s50414267/<dicom_id>`, below the root and without an ending."""
    return f"files/p{str(patient)[:2]}/p{patient}/s{study}/{dicom}"


def image_path(case: VerifyContext, row: int) -> Path | None:
    """The file of one row of the metadata, None where there is none.

    As the loader does: JPEG before DICOM, and the folder of the reports, where MIMIC-CXR has its
    DICOMs, after that of MIMIC-CXR-JPG.
    """
    images = case.images
    stem = image_stem(int(images.patients[row]), int(images.studies[row]), images.name(row))
    folders = (case.roots.mimic_cxr_jpg, case.roots.reports)
    paths = [folder / f"{stem}{suffix}" for folder in folders for suffix in SUFFIXES]
    return next((path for path in paths if path.is_file()), None)


def check_image_files(case: VerifyContext) -> None:
    """Every row has a file that is not empty, and every file has a row."""
    images, findings = case.images, case.findings
    case.meter.expect(len(images))
    stems = array("Q")
    patients, studies = images.patients, images.studies
    for row in range(len(images)):
        stems.append(key_of(image_stem(int(patients[row]), int(studies[row]), images.name(row))))
        path = image_path(case, row)
        if path is None:
            findings.add("missing-image", images.name(row))
        elif path.stat().st_size == 0:
            findings.add("empty-file", path.relative_to(path.parents[4]).as_posix())
        case.meter.step()
    if not images.is_whole:
        return
    listed = np.sort(np.frombuffer(stems, np.uint64)) if len(stems) else np.zeros(0, np.uint64)
    roots = dict.fromkeys((case.roots.mimic_cxr_jpg, case.roots.reports))
    for name in chain.from_iterable(map(_image_names, roots)):
        key = np.uint64(key_of(name.rpartition(".")[0]))
        place = int(np.searchsorted(listed, key))
        if place == listed.size or listed[place] != key:
            findings.add("unlisted-image", name)


def _image_names(root: Path) -> Iterator[str]:
    """Image files below the root, in order."""
    for group in sorted(root.glob("files/p[0-9][0-9]")):
        for patient in sorted(group.glob("p*")):
            for path in sorted(patient.glob("s*/*")):
                if path.suffix in SUFFIXES:
                    yield path.relative_to(root).as_posix()


def check_label_tables(case: VerifyContext) -> None:
    """The CheXpert and NegBio labels: the loaders do without them, but they are read here."""
    root = case.roots.mimic_cxr_jpg
    for kind in ("chexpert", "negbio"):
        path = find_table(root, f"mimic-cxr-2.*-{kind}")
        if path is None:
            case.findings.add("missing-side-table", f"mimic-cxr-2.0.0-{kind}")
            continue
        table = RawTable(path, case.findings, ("subject_id", "study_id", *LABELS))
        for line, numbers in table.rows(("subject_id", "study_id")):
            if None in map(id_number, numbers):
                case.findings.add("unreadable-id", table.line(line))
        case.counts[MIMIC_CXR, kind] = table.num_rows
