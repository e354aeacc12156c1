"""MS-CXR-T, where it is there: pairs of images with how five findings went.

It is evaluated on and never trained on, so an error here is a wrong score.
"""

from __future__ import annotations

from collections.abc import Sequence

from lapse.data.datasets.ms_cxr_t import FINDINGS, PROGRESSIONS, TABLE, bare_dicom
from lapse.data.io.csv_tables import find_table
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.image_index import NO_TIME, UNKNOWN
from lapse.data.verify.tables import RawTable, id_number

IDS = ("subject_id", "study_id", "previous_study_id", "dicom_id", "previous_dicom_id")
WORDS = tuple(f"{finding}_progression" for finding in FINDINGS)
COLUMNS = (*IDS, *WORDS, *(f"{finding}_label_quality" for finding in FINDINGS))


def check_progressions(case: VerifyContext) -> None:
    """Unknown images, pairs of two patients, their order in time, unknown words, doubled rows."""
    folder = case.roots.ms_cxr_t
    path = None if folder is None else find_table(folder, TABLE)
    if path is None:
        case.findings.note("no MS-CXR-T: the optional evaluation set was not looked at")
        return
    table = RawTable(path, case.findings, COLUMNS)
    seen: set[tuple[str, str]] = set()  # a benchmark of a thousand rows
    for line, fields in table.rows((*IDS, *WORDS)):
        place = table.line(line)
        ids, words = fields[: len(IDS)], fields[len(IDS) :]
        numbers = [id_number(text) for text in ids[:3]]
        if None in numbers:
            case.findings.add("unreadable-id", place)
            continue
        images = (bare_dicom(ids[3]), bare_dicom(ids[4]))
        if images in seen:
            case.findings.add("progression-duplicate", place)
        seen.add(images)
        _check_words(case, words, place)
        _check_pair(case, images, numbers, place)


def _check_words(case: VerifyContext, words: Sequence[str], place: str) -> None:
    plain = [word.strip().lower() for word in words]
    said = [word for word in plain if word not in {"", "nan"}]
    if not said:
        case.findings.add("progression-empty", place)
    elif any(word not in PROGRESSIONS for word in said):
        case.findings.add("progression-unknown-word", place)


def _check_pair(
    case: VerifyContext, images: tuple[str, str], numbers: Sequence[int | None], place: str
) -> None:
    index = case.images
    rows = [index.find(image) for image in images]
    if UNKNOWN in rows:
        if index.is_whole:
            case.findings.add("progression-unknown-image", place)
        return
    main, previous = rows
    patient, *studies = numbers
    if {int(index.patients[row]) for row in rows} != {patient}:
        case.findings.add("progression-two-patients", place)
        return
    for row, study, image in zip(rows, studies, images, strict=True):
        if int(index.studies[row]) != study:
            case.findings.add("ids-disagree", f"{place}: {image}")
    times = [int(index.times[row]) for row in (previous, main)]
    if NO_TIME not in times and times[1] < times[0]:
        case.findings.add("progression-reversed", place)
