"""What is known about a film besides its pixels: from a DICOM header, a store, or the caller.

The facts are compared and never shown: messages contain the names of tags, not their values.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lapse.images.errors import read_file
from lapse.images.pydicom_quiet import quiet_pydicom

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Tags of the time of a film, the most exact first: date (and time) tag -> name in messages.
DATES = (
    ("AcquisitionDateTime", ""),
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
    ("StudyDate", "StudyTime"),
)
_TEXTS = {
    "patient": "PatientID",
    "issuer": "IssuerOfPatientID",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "study": "StudyInstanceUID",
    "view": "ViewPosition",
    "orientation": "PatientOrientation",
    "body_part": "BodyPartExamined",
    "modality": "Modality",
    "intent": "PresentationIntentType",
    "sop_class": "SOPClassUID",
}
FACT_TAGS = [*_TEXTS.values(), *(name for pair in DATES for name in pair if name)]
MAX_HEADER_TEXT = 256  # characters of a value; longer ones are not codes, ids or dates


@dataclass(frozen=True, slots=True)
class FilmFacts:
    """What is known about one film; "" and {} where nothing is.

    Attributes:
        patient, issuer, birth_date, sex: identify the patient.
        study: identifies the visit.
        view: "PA", "AP", "LL", ...
        orientation: direction of rows and columns, such as "L\\\\F".
        body_part: "CHEST", "HAND", ...
        modality: "DX", "CR", ...
        intent: "FOR PRESENTATION" or "FOR PROCESSING".
        sop_class: UID of the kind of image.
        dates: name of a DICOM tag -> digits "YYYYMMDD" or "YYYYMMDDHHMMSS".
    """

    patient: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    sex: str = field(default="", repr=False)
    study: str = field(default="", repr=False)
    view: str = ""
    orientation: str = ""
    body_part: str = ""
    modality: str = ""
    intent: str = ""
    sop_class: str = ""
    dates: Mapping[str, str] = field(default_factory=dict, repr=False)


NO_FACTS = FilmFacts()


def facts_of_file(path: Path) -> FilmFacts:
    """The facts in the header of an image file that has been read; no facts for JPEG and PNG.

    A header that pydicom cannot parse gives no facts.
    """
    return facts_of_bytes(read_file(path))


def facts_of_bytes(data: bytes) -> FilmFacts:
    """The facts of `facts_of_file`, from the content of the file."""
    if data.startswith((b"\xff\xd8", b"\x89PNG")):
        return NO_FACTS
    try:
        from pydicom import dcmread

        with quiet_pydicom():
            header = dcmread(
                io.BytesIO(data), stop_before_pixels=True, specific_tags=FACT_TAGS, force=True
            )
            return facts_of_header(header)
    except Exception:  # pydicom raises many types, or is missing; the pixels are valid
        return NO_FACTS


def facts_of_header(header: Dataset) -> FilmFacts:
    """The facts in a DICOM header that has been read."""
    texts = {name: _text(header, tag) for name, tag in _TEXTS.items()}
    dates = {}
    for date_tag, time_tag in DATES:
        digits = _digits(_text(header, date_tag))
        if len(digits) >= 8:
            time = _digits(_text(header, time_tag)) if time_tag else ""
            dates[date_tag] = (digits + time if len(digits) == 8 else digits)[:14]
    return FilmFacts(**texts, dates=dates)


def _text(header: Dataset, tag: str) -> str:
    value = header.get(tag)
    if value is None:
        return ""
    parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    text = "\\".join(str(part).strip(" \0") for part in parts)
    return text if len(text) <= MAX_HEADER_TEXT else ""


def _digits(text: str) -> str:
    """The leading digits of a date or time: fractions and time zones are left out."""
    for separator in (".", "+", "-"):
        text = text.partition(separator)[0]
    return text if text.isdecimal() else ""
