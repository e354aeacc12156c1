"""MS-CXR-T labels of simulated test patients: the progression of five findings between visits.

    MS_CXR_T_temporal_image_classification_v1.0.0.csv    one row per pair of consecutive visits

    only current -> worsening      only previous -> improving      neither -> empty
    both         -> stable at the same level, otherwise by severity

Images are named by their path, `p19/p19000001/s50000001/<dicom_id>`. A pair without any of the five
findings has no row. The label quality is constant, because lapse does not read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from lapse.phantom.patients.findings import progression
from lapse.phantom.patients.identity import dicom_name, study_folder, study_number, subject_number
from lapse.phantom.patients.state import Visit

FOLDER = "ms-cxr-t"
TABLE = "MS_CXR_T_temporal_image_classification_v1.0.0.csv"
FINDINGS = ("consolidation", "edema", "pleural_effusion", "pneumonia", "pneumothorax")
QUALITY = "simulated"
COLUMNS = (
    "dicom_id",
    "subject_id",
    "study_id",
    "previous_dicom_id",
    "previous_study_id",
    *(f"{finding}_{column}" for finding in FINDINGS for column in ("progression", "label_quality")),
)
Row = tuple[str | int | float, ...]


def progression_rows(visits: Sequence[Visit], split: str, seed: int) -> list[Row]:
    """The rows of one patient; only test patients have rows."""
    if split != "test":
        return []
    rows: list[Row] = []
    for before, after in pairwise(visits):
        words = [progression(before, after, finding.replace("_", " ")) for finding in FINDINGS]
        if any(words):
            labels: list[str] = [cell for word in words for cell in (word, QUALITY if word else "")]
            image, study = _image(after, seed)
            subject = subject_number(seed, after.patient)
            rows.append((image, subject, study, *_image(before, seed), *labels))
    return rows


def _image(visit: Visit, seed: int) -> tuple[str, int]:
    """The path of the image of a visit, and its study_id."""
    study = study_number(seed, visit.patient, visit.index)
    folder = study_folder(subject_number(seed, visit.patient), study).removeprefix("files/")
    return f"{folder}/{dicom_name(seed, visit.patient, visit.index)}", study
