"""MS-CXR-T, where it exists: pairs of images with the progression of five findings.

It is evaluated on and never trained on, so an error here makes a score wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from lapse.data.datasets.ms_cxr_t import FINDINGS, PROGRESSIONS, TABLE, bare_dicom
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.tables import id_number

ID_COLUMNS = ("subject_id", "study_id", "previous_study_id", "dicom_id", "previous_dicom_id")
PROGRESSION_COLUMNS = tuple(f"{finding}_progression" for finding in FINDINGS)
COLUMNS = (
    *ID_COLUMNS,
    *PROGRESSION_COLUMNS,
    *(f"{finding}_label_quality" for finding in FINDINGS),
)


def check_progressions(context: VerifyContext) -> None:
    """Unknown images, pairs of two patients, time order, unknown progressions, repeated pairs."""
    folder = context.roots.ms_cxr_t
    table = None if folder is None else context.table(folder, TABLE, COLUMNS)
    if table is None:
        context.findings.note("no MS-CXR-T: the optional evaluation set was not checked")
        return
    seen: set[tuple[str, str]] = set()
    for row_id, fields in table.rows((*ID_COLUMNS, *PROGRESSION_COLUMNS)):
        subject, study, previous_study, image, previous_image = fields[: len(ID_COLUMNS)]
        numbers = [id_number(text) for text in (subject, study, previous_study)]
        if None in numbers:
            context.findings.add("unreadable-id", row_id)
            continue
        images = (bare_dicom(image), bare_dicom(previous_image))
        if images in seen:
            context.findings.add("progression-duplicate", row_id)
        seen.add(images)
        _check_words(context, fields[len(ID_COLUMNS) :], row_id)
        _check_pair(context, images, numbers, row_id)


def _check_words(context: VerifyContext, words: Sequence[str], row_id: str) -> None:
    plain = [word.strip().lower() for word in words]
    progressions = [word for word in plain if word not in {"", "nan"}]
    if not progressions:
        context.findings.add("progression-empty", row_id)
    elif any(word not in PROGRESSIONS for word in progressions):
        context.findings.add("progression-unknown-word", row_id)


def _check_pair(
    context: VerifyContext, images: tuple[str, str], numbers: Sequence[int | None], row_id: str
) -> None:
    main, previous = (context.images.by_dicom.get(image) for image in images)
    if main is None or previous is None:
        if context.has_all_images:
            context.findings.add("progression-unknown-image", row_id)
        return
    patient, *studies = numbers
    if {main.patient, previous.patient} != {patient}:
        context.findings.add("progression-two-patients", row_id)
        return
    for row, study in zip((main, previous), studies, strict=True):
        if row.study != study:
            context.findings.add("ids-disagree", f"{row_id}: {row.dicom}")
    if main.taken_at and previous.taken_at and main.taken_at < previous.taken_at:
        context.findings.add("progression-reversed", row_id)
