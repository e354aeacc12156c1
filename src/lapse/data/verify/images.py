"""The metadata table of MIMIC-CXR-JPG and its image files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from lapse.core.annotation_names import CHEXPERT_LABELS
from lapse.data.datasets.image_files import image_roots, split_name, suffix_rank, walk_images
from lapse.data.datasets.mimic_cxr import FRONTAL_VIEWS, METADATA_COLUMNS, parse_size, parse_time
from lapse.data.datasets.release_counts import MIMIC_CXR
from lapse.data.io.csv_tables import is_empty
from lapse.data.verify.context import ImageFile, VerifyContext
from lapse.data.verify.image_table import ImageRow, ImageTable
from lapse.data.verify.pixels import Film
from lapse.data.verify.results import Findings
from lapse.data.verify.tables import id_number

FURTHER_COLUMNS = (
    "PerformedProcedureStepDescription",
    "ProcedureCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)
# Views in both vocabularies. Other views (swimmers, oblique) are not compared.
VIEWS = {**FRONTAL_VIEWS, "lateral": "LATERAL", "ll": "LATERAL", "left lateral": "LATERAL"}


def check_metadata(context: VerifyContext) -> None:
    """Fill `context.images` from the metadata table, and check each row."""
    findings, images = context.findings, context.images
    root, names = context.roots.mimic_cxr_jpg, (*METADATA_COLUMNS, *FURTHER_COLUMNS)
    table = context.table(root, "mimic-cxr-2.*-metadata", names)
    if table is None:
        raise ValueError(f"{root} no longer holds its metadata table: start again")
    for row_id, fields in table.rows(METADATA_COLUMNS):
        image, subject, number, view, rows, columns, date, time, code = fields
        dicom, patient, study = image.strip(), id_number(subject), id_number(number)
        if patient is None or study is None:
            findings.add("unreadable-id", row_id)
            continue
        position, meaning = _views((view, code), dicom, findings)
        _check_view(dicom, position, meaning, findings)
        size = parse_size(rows.strip(), columns.strip())
        if size is None:
            findings.add("unreadable-size", dicom)
        taken_at = parse_time(date, time)
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
    if images.is_complete:
        num_frontals = sum(row.is_frontal for row in images.by_study.values())
        context.check_amount("few-frontals", num_frontals, len(images.by_study))


def _views(fields: Sequence[str], dicom: str, findings: Findings) -> list[str]:
    """ViewPosition and the view code, "" where a program wrote a word for an empty field."""
    texts = [field.strip() for field in fields]
    if any(text and is_empty(text) for text in texts):
        findings.add("view-nan", dicom)
    return ["" if is_empty(text) else text for text in texts]


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


def study_folder(row: ImageRow) -> str:
    """`files/p10/p10000032/s50414267`, relative to the root."""
    return f"files/p{str(row.patient)[:2]}/p{row.patient}/s{row.study}"


def films_with_content(context: VerifyContext) -> Iterator[Film]:
    """The images whose file `check_image_files` has found, without empty files."""
    for row in context.images.rows:
        file = context.image_files.get(row.dicom)
        if file is not None and not file.is_empty:
            path = file.root / study_folder(row) / f"{row.dicom}{file.suffix}"
            yield Film(row.dicom, path, row.patient, row.size)


def check_image_files(context: VerifyContext) -> None:
    """Every row has a file that is not empty, and every file has a row; folders are read once."""
    images, findings = context.images, context.findings
    context.progress.expect(len(images.rows))
    for root in image_roots(context.roots.mimic_cxr_jpg, context.roots.reports):
        for folder, entry in walk_images(root):
            context.progress.step()
            dicom, suffix = split_name(entry.name)
            row = images.by_dicom.get(dicom)
            if row is None or study_folder(row) != folder:
                if images.is_complete:
                    findings.add("unlisted-image", f"{folder}/{entry.name}")
                continue
            file = ImageFile(root, suffix, entry.stat().st_size == 0)
            if _is_preferred(file, context.image_files.get(dicom)):
                context.image_files[dicom] = file
            context.studies_with_files.add(row.study)
    has_all = not context.is_subset  # else the frontal images of its studies are expected
    for row in images.rows:
        existing = context.image_files.get(row.dicom)
        if existing is not None and existing.is_empty:
            findings.add("empty-file", f"{study_folder(row)}/{row.dicom}{existing.suffix}")
        elif existing is None and (row.is_frontal or has_all) and context.is_in_copy(row.study):
            findings.add("missing-image", row.dicom)
    if context.is_subset:
        _note_subset(context)


def _is_preferred(file: ImageFile, other: ImageFile | None) -> bool:
    """Whether a file is read rather than another one: as in the loader, the first tree counts."""
    if other is None:
        return True
    if file.root != other.root:
        return False
    return (suffix_rank(file.suffix) or 0) < (suffix_rank(other.suffix) or 0)


def _note_subset(context: VerifyContext) -> None:
    """How many images of each group of patients are in the copy."""
    listed: Counter[str] = Counter()
    existing: Counter[str] = Counter()
    for row in context.images.rows:
        group = f"p{str(row.patient)[:2]}"
        listed[group] += 1
        existing[group] += row.dicom in context.image_files
    parts = [f"{group} {existing[group]:,} of {listed[group]:,}" for group in sorted(listed)]
    context.findings.note(f"subset: images by group of patients: {', '.join(parts)}")


def check_label_tables(context: VerifyContext) -> None:
    """The CheXpert and NegBio labels. The loaders do not use them."""
    root, columns = context.roots.mimic_cxr_jpg, ("subject_id", "study_id", *CHEXPERT_LABELS)
    for labeler in ("chexpert", "negbio"):
        table = context.table(root, f"mimic-cxr-2.*-{labeler}", columns)
        if table is None:
            context.findings.add("missing-side-table", f"mimic-cxr-2.0.0-{labeler}")
            continue
        for row_id, ids in table.rows(("subject_id", "study_id")):
            if None in map(id_number, ids):
                context.findings.add("unreadable-id", row_id)
        context.counts[MIMIC_CXR, labeler] = table.num_rows
