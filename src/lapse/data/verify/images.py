"""The metadata table of MIMIC-CXR-JPG and its image files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lapse.data.datasets.mimic_cxr import FRONTAL_VIEWS, parse_size, parse_time
from lapse.data.datasets.release_counts import MIMIC_CXR
from lapse.data.io.csv_tables import find_table
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.image_table import ImageRow, ImageTable
from lapse.data.verify.results import Findings
from lapse.data.verify.tables import RawTable, id_number

METADATA_COLUMNS = (
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
CHECKED_COLUMNS = (
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
# Views in both vocabularies. Other views (swimmers, oblique) are not compared.
VIEWS = {**FRONTAL_VIEWS, "lateral": "LATERAL", "ll": "LATERAL", "left lateral": "LATERAL"}


def check_metadata(context: VerifyContext) -> None:
    """Fill `context.images` from the metadata table, and check each row."""
    findings, images = context.findings, context.images
    path = find_table(context.roots.mimic_cxr_jpg, "mimic-cxr-2.*-metadata")
    if path is None:
        raise ValueError(
            f"{context.roots.mimic_cxr_jpg} no longer holds its metadata table: start again"
        )
    table = RawTable(path, findings, METADATA_COLUMNS)
    for line, fields in table.rows(CHECKED_COLUMNS):
        dicom, patient, study = fields[0].strip(), id_number(fields[1]), id_number(fields[2])
        if patient is None or study is None:
            findings.add("unreadable-id", table.line(line))
            continue
        position, meaning = fields[3].strip(), fields[4].strip()
        _check_view(dicom, position, meaning, findings)
        size = parse_size(fields[5].strip(), fields[6].strip())
        if size is None:
            findings.add("unreadable-size", dicom)
        taken_at = parse_time(fields[7], fields[8])
        if taken_at is None:
            findings.add("unreadable-time", dicom)
        is_frontal = VIEWS.get((position or meaning).lower()) in ("PA", "AP")
        images.add(ImageRow(dicom, patient, study, size, taken_at, is_frontal))
    images.is_complete = table.is_complete
    if not table.is_complete:
        findings.note(f"{table.name} is not complete: images absent from it were not reported")
    context.counts[MIMIC_CXR, "images"] = table.num_rows
    context.counts[MIMIC_CXR, "studies"] = len(images.by_study)
    context.counts[MIMIC_CXR, "patients"] = len({row.patient for row in images.rows})
    _check_identity(images, findings)


def _check_view(dicom: str, position: str, meaning: str, findings: Findings) -> None:
    if not position and not meaning:
        findings.add("view-empty", dicom)
        return
    by_position, by_code = VIEWS.get(position.lower()), VIEWS.get(meaning.lower())
    if by_position is not None and by_code is not None and by_position != by_code:
        findings.add("view-disagrees", dicom)


def _check_identity(images: ImageTable, findings: Findings) -> None:
    """Images with two rows, studies of two patients."""
    for row in images.repeated:
        findings.add("duplicate-image", row.dicom)
    other_patient = {
        row.study for row in images.rows if row.patient != images.by_study[row.study].patient
    }
    for study in sorted(other_patient):
        findings.add("study-two-patients", f"s{study}")


def image_stem(row: ImageRow) -> str:
    """`files/p10/p10000032/s50414267/<dicom_id>`, relative to the root, without a suffix."""
    return f"files/p{str(row.patient)[:2]}/p{row.patient}/s{row.study}/{row.dicom}"


def image_path(context: VerifyContext, row: ImageRow) -> Path | None:
    """The image file of a row of the metadata, None where it has none.

    As in the loader, a JPEG is preferred to a DICOM, and the folder of MIMIC-CXR-JPG to that of
    the reports, where MIMIC-CXR has its DICOMs.
    """
    stem = image_stem(row)
    folders = (context.roots.mimic_cxr_jpg, context.roots.reports)
    paths = [folder / f"{stem}{suffix}" for folder in folders for suffix in SUFFIXES]
    return next((path for path in paths if path.is_file()), None)


def check_image_files(context: VerifyContext) -> None:
    """Every row has a file that is not empty, and every file has a row."""
    images, findings = context.images, context.findings
    context.progress.expect(len(images.rows))
    for row in images.rows:
        path = image_path(context, row)
        if path is None:
            findings.add("missing-image", row.dicom)
        elif path.stat().st_size == 0:
            findings.add("empty-file", path.relative_to(path.parents[4]).as_posix())
        context.progress.step()
    if not images.is_complete:
        return
    stems = {image_stem(row) for row in images.rows}
    for root in dict.fromkeys((context.roots.mimic_cxr_jpg, context.roots.reports)):
        for name in _image_names(root):
            if name.rpartition(".")[0] not in stems:
                findings.add("unlisted-image", name)


def _image_names(root: Path) -> Iterator[str]:
    """Image files relative to the root, in order."""
    for group in sorted(root.glob("files/p[0-9][0-9]")):
        for patient in sorted(group.glob("p*")):
            for path in sorted(patient.glob("s*/*")):
                if path.suffix in SUFFIXES:
                    yield path.relative_to(root).as_posix()


def check_label_tables(context: VerifyContext) -> None:
    """The CheXpert and NegBio labels. The loaders do not use them."""
    root = context.roots.mimic_cxr_jpg
    for labeler in ("chexpert", "negbio"):
        path = find_table(root, f"mimic-cxr-2.*-{labeler}")
        if path is None:
            context.findings.add("missing-side-table", f"mimic-cxr-2.0.0-{labeler}")
            continue
        table = RawTable(path, context.findings, ("subject_id", "study_id", *LABELS))
        for line, ids in table.rows(("subject_id", "study_id")):
            if None in map(id_number, ids):
                context.findings.add("unreadable-id", table.line(line))
        context.counts[MIMIC_CXR, labeler] = table.num_rows
