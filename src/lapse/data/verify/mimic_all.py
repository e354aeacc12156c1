"""The two files beside the questions: which image shows a study, and what its report says.

`all_diseases.json` is one list of a quarter of a million studies: it is read item by item.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lapse.data.datasets.release_counts import DIFF_VQA
from lapse.data.io.csv_tables import find_table
from lapse.data.verify.answers import KNOWN
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.image_index import UNKNOWN
from lapse.data.verify.images import LABELS
from lapse.data.verify.json_stream import json_items
from lapse.data.verify.tables import RawTable, id_number

COLUMNS = (
    "subject_id",
    "study_id",
    *LABELS,
    "dicom_id",
    "view",
    "split",
    "study_date",
    "study_order",
)
DISEASES = "all_diseases.json"


def check_overview(case: VerifyContext) -> None:
    """`mimic_all`: the image of each study."""
    path = find_table(case.roots.medical_diff_vqa, "mimic_all")
    if path is None:
        case.findings.add("missing-side-table", "mimic_all")
        return
    table = RawTable(path, case.findings, COLUMNS)
    for line, (subject, number, dicom) in table.rows(("subject_id", "study_id", "dicom_id")):
        patient, study = id_number(subject), id_number(number)
        if patient is None or study is None:
            case.findings.add("unreadable-id", table.line(line))
        else:
            _check_image(case, patient, study, dicom.strip())
    case.counts[DIFF_VQA, "mimic_all"] = table.num_rows


def _check_image(case: VerifyContext, patient: int, study: int, dicom: str) -> None:
    images = case.images
    row = images.find(dicom)
    if row == UNKNOWN:
        if images.is_whole:
            case.findings.add("overview-unknown-image", f"s{study}")
    elif int(images.studies[row]) != study:
        case.findings.add("overview-unknown-image", f"s{study}")
    elif int(images.patients[row]) != patient:
        case.findings.add("ids-disagree", f"mimic_all: {dicom}")
    elif row != int(images.rows_of_studies(np.array([study]))[0]):
        case.findings.add("overview-other-image", f"s{study}")


def check_diseases(case: VerifyContext) -> None:
    """`all_diseases.json`: only findings that the grammar knows."""
    path = case.roots.medical_diff_vqa / DISEASES
    if not path.is_file():
        case.findings.add("missing-side-table", DISEASES)
        return
    if path.stat().st_size == 0:
        case.findings.add("empty-file", DISEASES)
        return
    count = 0
    try:
        for item in json_items(path):
            count += 1
            for name in _names(item):
                if name.lower() not in KNOWN:
                    case.findings.add("unknown-finding", f"s{item['study_id']} {name}")
    except ValueError as error:
        case.findings.add("damaged-json", DISEASES)
        case.findings.note(f"{DISEASES} was read up to item {count}: {error}")
    case.counts[DIFF_VQA, "all_diseases"] = count


def _names(item: Any) -> Iterator[str]:
    """The findings that one item affirms or denies."""
    if not isinstance(item, dict) or "study_id" not in item:
        raise ValueError("an item is not an object with a study_id")
    affirmed, denied = item.get("entity", {}), item.get("no_entity", [])
    if not isinstance(affirmed, dict) or not isinstance(denied, list):
        raise ValueError(f"study {item['study_id']} has no object `entity` or list `no_entity`")
    yield from map(str, dict.fromkeys([*affirmed, *denied]))
