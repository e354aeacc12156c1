"""A folder of DICOM radiographs -> the rows of a table of own films (`lapse index`).

    PatientID, StudyInstanceUID --keyed hash--> patient, study
    StudyDate, StudyTime        --> date, and the order of the studies of each patient
    ViewPosition, Modality      --> view, modality

Nothing else of a header is kept. A keyed hash (HMAC-SHA256) cannot be computed again from a
hospital number without the key. Files that are not chest radiographs are counted by reason.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lapse.core.extras import check_extra
from lapse.core.files import write_text
from lapse.core.progress import Progress, no_progress
from lapse.data.datasets.mimic_cxr import FRONTAL_VIEWS
from lapse.data.io.skip_log import SkipLog
from lapse.images.dicom_header import PREAMBLE, is_dicom
from lapse.images.pydicom_quiet import quiet_pydicom

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

COLUMNS = ("image", "patient", "study", "order", "date", "view", "findings", "report", "modality")
RADIOGRAPHS = ("CR", "DX")
MIN_KEY = 16  # bytes
ID_DIGITS = 16
_CHEST = ("", "CHEST", "THORAX", "LUNG", "CHESTABDOMEN")
_TAGS = (
    "PatientID",
    "PatientName",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "Modality",
    "ViewPosition",
    "ViewCodeSequence",
    "BodyPartExamined",
    "NumberOfFrames",
    "Rows",
)
_CODE = re.compile(r"[A-Z0-9_]{1,16}")


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One radiograph. `order` counts the studies of a patient from 1."""

    image: str
    patient: str
    study: str
    taken_at: datetime
    view: str
    modality: str
    order: int = 0

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table; findings and report are empty, to be filled in."""
        date = f"{self.taken_at:%Y-%m-%d}"
        texts = (self.patient, self.study, str(self.order), date, self.view)
        return (self.image, *texts, "", "", self.modality)


@dataclass(frozen=True, slots=True)
class FilmIndex:
    """The radiographs of a folder, and what was refused or noted, by reason."""

    rows: tuple[IndexRow, ...]
    refused: SkipLog
    noted: SkipLog


def index_films(folder: Path, *, key: bytes, progress: Progress = no_progress) -> FilmIndex:
    """Read the headers of all files below a folder.

    Args:
        folder: the DICOM files, in any subfolders.
        key: secret of the hashes; the same key gives the same ids.
        progress: called with (files done, files in all).

    Raises:
        ValueError: the folder does not exist, the key is too short, pydicom is not installed, or
            no file is a chest radiograph.
    """
    if not folder.is_dir():
        raise ValueError(f"no folder {folder}: give the folder of the DICOM files")
    if len(key) < MIN_KEY:
        raise ValueError(f"a key of {len(key)} bytes: give at least {MIN_KEY}")
    check_extra("dicom", ["pydicom"], "lapse index")
    refused, noted = SkipLog(), SkipLog()
    rows: list[IndexRow] = []
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for number, path in enumerate(paths, start=1):
        name = path.relative_to(folder).as_posix()
        row = _row(path, name, key)
        if isinstance(row, str):
            refused.add(row, f"file {number}")
        else:
            rows.append(row)
            if not row.view:
                noted.add("view unknown (fill in PA, AP or LATERAL)", row.image)
        progress(number, len(paths))
    if not rows:
        reasons = "; ".join(refused.lines()) or "it is empty"
        raise ValueError(f"no file below {folder} is a chest radiograph: {reasons}")
    return FilmIndex(tuple(_ordered(rows)), refused, noted)


def write_index(index: FilmIndex, out: Path) -> None:
    """Write the table for `lapse prepare`.

    Raises:
        ValueError: the file exists.
    """
    if out.exists():
        raise ValueError(f"{out} exists: give another file, or remove this one first")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells for row in index.rows)
    write_text(out, text.getvalue())


def _row(path: Path, name: str, key: bytes) -> IndexRow | str:
    """The row of a file, or the reason why it is refused. Reasons quote no text of the file."""
    with path.open("rb") as stream:
        if not is_dicom(stream.read(PREAMBLE + 4)):
            return "not a DICOM file"
    from pydicom import dcmread

    try:
        with quiet_pydicom():
            header = dcmread(  # force: files without preamble
                path, force=True, stop_before_pixels=True, specific_tags=list(_TAGS)
            )
            return _row_of(header, name, key)
    except Exception:  # pydicom raises many exception types, whose texts quote the file
        return "damaged DICOM header"


def _row_of(header: Dataset, name: str, key: bytes) -> IndexRow | str:
    modality, part = _text(header, "Modality").upper(), _text(header, "BodyPartExamined").upper()
    if modality not in RADIOGRAPHS:
        return f"modality {_code(modality)} is not {' or '.join(RADIOGRAPHS)}"
    if part not in _CHEST:
        return f"body part {_code(part)} is not the chest"
    if "Rows" not in header:
        return "no image in the file"
    if int(header.get("NumberOfFrames") or 1) != 1:
        return "several frames"
    patient, study = _text(header, "PatientID"), _text(header, "StudyInstanceUID")
    for value, tag in ((patient, "PatientID"), (study, "StudyInstanceUID")):
        if not value:
            return f"no {tag}"
    if _names_patient(name, patient, _text(header, "PatientName")):
        return "path contains the name or number of the patient (rename the file and its folders)"
    taken_at = _time(_text(header, "StudyDate"), _text(header, "StudyTime"))
    if taken_at is None:
        return "no readable StudyDate"
    return IndexRow(
        image=name,
        patient=_hash(key, "patient", patient),
        study=_hash(key, "study", study),
        taken_at=taken_at,
        view=_view(header),
        modality=modality,
    )


def _ordered(rows: Iterable[IndexRow]) -> list[IndexRow]:
    """The rows by patient and time, with the order of each study; equal times share an order."""
    times: dict[str, dict[str, datetime]] = {}
    for row in rows:
        studies = times.setdefault(row.patient, {})
        studies[row.study] = min(row.taken_at, studies.get(row.study, row.taken_at))
    ordered = []
    for row in rows:
        studies = times[row.patient]
        time = studies[row.study]
        order = sorted(set(studies.values())).index(time) + 1
        ordered.append(replace(row, taken_at=time, order=order))
    return sorted(ordered, key=lambda row: (row.patient, row.order, row.study, row.image))


def _view(header: Dataset) -> str:
    """ViewPosition, else the meaning of the view code as PA or AP, else ""."""
    view = _text(header, "ViewPosition").upper()
    if view:
        return view if _CODE.fullmatch(view) else "OTHER"
    for code in header.get("ViewCodeSequence") or ():
        meaning = _text(code, "CodeMeaning").lower()
        if meaning:
            return FRONTAL_VIEWS.get(meaning, "OTHER")
    return ""


def _names_patient(path: str, patient: str, name: str) -> bool:
    """Whether a path contains the number or a part of the name of the patient."""
    words = {word.lower() for word in re.split(r"[\^=,\s]+", name) if len(word) >= 3}
    if len(patient) >= 4:
        words.add(patient.lower())
    return any(word in path.lower() for word in words)


def _hash(key: bytes, purpose: str, value: str) -> str:
    """A letter and hexadecimal digits, so that a spreadsheet does not read a number."""
    digest = hmac.new(key, f"{purpose}:{value}".encode(), hashlib.sha256).hexdigest()
    return f"h{digest[:ID_DIGITS]}"


def _time(date: str, time: str) -> datetime | None:
    digits = time.partition(".")[0].replace(":", "")
    for text, form in ((f"{date} {digits}", "%Y%m%d %H%M%S"), (date, "%Y%m%d")):
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def _code(text: str) -> str:
    """A code of the header, or a placeholder for free text, which may name a patient."""
    return text if _CODE.fullmatch(text) else "of unknown form"


def _text(header: Dataset, name: str) -> str:
    value = header.get(name)
    return "" if value is None else str(value).strip()
