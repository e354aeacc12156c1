"""MS-CXR-T of simulated test patients: how five findings went from one visit to the next.

    MS_CXR_T_temporal_image_classification_v1.0.0.csv    a row a pair of neighbouring visits

    only now -> worsening      only before -> improving      neither -> empty
    both     -> stable at the same level, else by the severity

Images are named by their path, `p19/p19000001/s50000001/<dicom_id>`. A pair in which none of the
five was seen has no row. The label quality is a constant: lapse does not read it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from lapse.phantom.patients.findings import level_of
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
    *(f"{finding}_{what}" for finding in FINDINGS for what in ("progression", "label_quality")),
)
Row = tuple[str | int | float, ...]


class ProgressionWriter:
    """The table, open until the stack is closed."""

    def __init__(self, out: Path, stack: ExitStack) -> None:
        path = out / FOLDER / TABLE
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = stack.enter_context(path.open("w", encoding="utf-8", newline=""))
        self._rows = csv.writer(stream, lineterminator="\n")
        self._rows.writerow(COLUMNS)

    def write(self, rows: Iterable[Row]) -> None:
        """Append the rows of one patient."""
        self._rows.writerows(rows)


def progression_rows(visits: Sequence[Visit], part: str, seed: int) -> list[Row]:
    """The rows of one patient; none of a patient who is not a test patient."""
    if part != "test":
        return []
    found: list[Row] = []
    for before, after in pairwise(visits):
        words = [_progression(before, after, finding.replace("_", " ")) for finding in FINDINGS]
        if any(words):
            labels: list[str] = [cell for word in words for cell in (word, QUALITY if word else "")]
            now, then = _image(after, seed), _image(before, seed)
            subject = subject_number(seed, after.patient)
            found.append((now[0], subject, now[1], then[0], then[1], *labels))
    return found


def _progression(before: Visit, after: Visit, finding: str) -> str:
    old, new = (
        next((item for item in visit.findings if item.name == finding), None)
        for visit in (before, after)
    )
    if old is None or new is None:
        return "improving" if old else "worsening" if new else ""
    if level_of(finding, old.severity) == level_of(finding, new.severity):
        return "stable"
    return "worsening" if new.severity > old.severity else "improving"


def _image(visit: Visit, seed: int) -> tuple[str, int]:
    """The path of a visit's image, and its study."""
    study = study_number(seed, visit.patient, visit.index)
    folder = study_folder(subject_number(seed, visit.patient), study).removeprefix("files/")
    return f"{folder}/{dicom_name(seed, visit.patient, visit.index)}", study
