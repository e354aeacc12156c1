"""Two further files of Medical-Diff-VQA: the image of each study, and its findings.

The findings are a JSON list of a quarter of a million studies, read item by item.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lapse.core.annotation_names import CHEXPERT_LABELS
from lapse.data.datasets.release_counts import DIFF_VQA
from lapse.data.verify.answers import KNOWN_FINDINGS
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.json_stream import json_items
from lapse.data.verify.tables import id_number

COLUMNS = (
    "subject_id",
    "study_id",
    *CHEXPERT_LABELS,
    "dicom_id",
    "view",
    "split",
    "study_date",
    "study_order",
)
DISEASES = "all_diseases.json"


def check_overview(context: VerifyContext) -> None:
    """`mimic_all`: the image of each study."""
    table = context.table(context.roots.medical_diff_vqa, "mimic_all", COLUMNS)
    if table is None:
        context.findings.add("missing-side-table", "mimic_all")
        return
    for row_id, (subject, number, dicom) in table.rows(("subject_id", "study_id", "dicom_id")):
        patient, study = id_number(subject), id_number(number)
        if patient is None or study is None:
            context.findings.add("unreadable-id", row_id)
        else:
            _check_image(context, patient, study, dicom.strip())
    context.counts[DIFF_VQA, "mimic_all"] = table.num_rows


def _check_image(context: VerifyContext, patient: int, study: int, dicom: str) -> None:
    images = context.images
    row = images.by_dicom.get(dicom)
    if row is None:
        if context.has_all_images:
            context.findings.add("overview-unknown-image", f"s{study}")
    elif row.study != study:
        context.findings.add("overview-unknown-image", f"s{study}")
    elif row.patient != patient:
        context.findings.add("ids-disagree", f"mimic_all: {dicom}")
    elif row is not images.by_study[study]:
        context.findings.add("overview-other-image", f"s{study}")


def check_diseases(context: VerifyContext) -> None:
    """`all_diseases.json`: only findings that the grammar knows."""
    path = context.roots.medical_diff_vqa / DISEASES
    if not path.is_file():
        context.findings.add("missing-side-table", DISEASES)
        return
    if path.stat().st_size == 0:
        context.findings.add("empty-file", DISEASES)
        return
    count = 0
    try:
        for item in json_items(path):
            count += 1
            for name in _findings(item):
                if name.lower() not in KNOWN_FINDINGS:
                    context.findings.add("unknown-finding", f"s{item['study_id']} {name}")
    except ValueError as error:
        context.findings.add("damaged-json", DISEASES)
        context.findings.note(f"{DISEASES} was read up to item {count}: {error}")
    context.counts[DIFF_VQA, "all_diseases"] = count


def _findings(item: Any) -> Iterator[str]:
    """The findings that an item affirms or denies, each once."""
    if not isinstance(item, dict) or "study_id" not in item:
        raise ValueError("an item is not an object with a study_id")
    affirmed, denied = item.get("entity", {}), item.get("no_entity", [])
    if not isinstance(affirmed, dict) or not isinstance(denied, list):
        raise ValueError(f"study {item['study_id']} has no object `entity` or list `no_entity`")
    yield from map(str, dict.fromkeys([*affirmed, *denied]))
