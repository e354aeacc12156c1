"""Two DICOM headers and a comparison -> a Comprehensive SR of the later study.

The report belongs to the patient and the study of the later film; the earlier film is other
evidence. It is unverified and preliminary: a program wrote it and no physician has seen it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lapse.core.files import atomic_write
from lapse.core.version import __version__
from lapse.images.dicom import read_dicom_header
from lapse.images.dicom_header import is_dicom
from lapse.images.errors import read_file
from lapse.images.pydicom_quiet import quiet_pydicom
from lapse.inference.answer import ROLES
from lapse.inference.comparison import Comparison

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SERIES_DESCRIPTION = "lapse comparison, RESEARCH USE ONLY"
SERIES_NUMBER = 9900  # above those of usual acquisitions
REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# may be empty in a DICOM; empty ones are added
EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime",
)  # fmt: skip
METHOD_UNKNOWN = "not stated in the image"
UTF8 = "ISO_IR 192"


def check_dicom_films(files: Sequence[Path]) -> None:
    """Refuse films that a structured report cannot refer to, before any work.

    Raises:
        ValueError: a file is not a DICOM; an `ImageError` for one that cannot be read.
    """
    for path in files:
        if not is_dicom(read_file(path)[:160]):
            raise ValueError(
                f"{path} is not a DICOM: a structured report (--sr) refers to two DICOM films by "
                "their UIDs, so that both must be DICOM; use --json or --html for other files"
            )


def read_header(path: Path) -> Dataset:
    """The header of a DICOM film without its pixels.

    Raises:
        ValueError: not a DICOM; an `ImageError` for a header that cannot be read.
    """
    check_dicom_films([path])
    return read_dicom_header(path, read_file(path))


def headers_of(films: Sequence[Path]) -> dict[str, Dataset]:
    """ "reference" and "main" -> the header of the film."""
    return dict(zip(ROLES, map(read_header, films), strict=True))


def structured_report(comparison: Comparison, headers: Mapping[str, Dataset]) -> Dataset:
    """The report as a DICOM data set with file meta information.

    Args:
        headers: "reference" and "main" -> the header of the film (`read_header`).

    Raises:
        ValueError: a header has no UIDs, is of another size than the compared film, or cannot be
            copied; the films are of different patients.
    """
    # Imported here: highdicom is an optional dependency and takes a second.
    from highdicom import UID
    from highdicom.sr import ComprehensiveSR

    from lapse.inference.structured_report.codes import scheme_identification
    from lapse.inference.structured_report.content import measurement_report

    evidence = {role: _evidence(headers[role], role, comparison) for role in ROLES}
    if evidence["reference"].PatientID != evidence["main"].PatientID:
        raise ValueError(
            "the films have different patient ids (PatientID): a structured report belongs to one "
            "patient; no report is written"
        )
    name = comparison.model.get("model", "unknown model")
    try:
        with quiet_pydicom():
            report = ComprehensiveSR(
                # the first one gives the patient and the study
                [evidence["main"], evidence["reference"]],
                measurement_report(comparison, evidence)[0],
                series_instance_uid=UID(),
                series_number=SERIES_NUMBER,
                sop_instance_uid=UID(),
                instance_number=1,
                manufacturer="lapse, open-source software",
                is_complete=True,
                series_description=SERIES_DESCRIPTION,
                specific_character_set=UTF8,
                manufacturer_model_name=name[:64],
                software_versions=__version__,
            )
            report.CodingSchemeIdentificationSequence = [scheme_identification()]
            report_bytes(report)
    except Exception as error:  # headers of films can hold any value
        raise ValueError(
            "a structured report cannot be made from the DICOM headers of these films "
            f"({type(error).__name__}): an element of the patient or study module is damaged"
        ) from None
    return report


def write_report(path: Path, report: Dataset) -> None:
    """Write a report as a DICOM file, atomically."""
    with quiet_pydicom():
        data = report_bytes(report)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def report_bytes(report: Dataset) -> bytes:
    """A report as the content of a DICOM file."""
    from pydicom import dcmwrite

    buffer = io.BytesIO()
    dcmwrite(buffer, report, enforce_file_format=True)
    return buffer.getvalue()


def _evidence(header: Dataset, role: str, comparison: Comparison) -> Dataset:
    """A header with every element that the report copies or refers to."""
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

    for name in REQUIRED:
        if not UID(str(header.get(name) or "")).is_valid:
            raise ValueError(
                f"the {role} film has no valid {name} in its DICOM header: a structured report "
                "cannot refer to it"
            )
    film = comparison.films.get(role)
    size = (int(header.get("Rows") or 0), int(header.get("Columns") or 0))
    if film is not None and (film.height, film.width) != size:
        raise ValueError(
            f"the {role} film has {size[0]} x {size[1]} pixels in its DICOM header and "
            f"{film.height} x {film.width} in the comparison: give the films that were compared"
        )
    evidence = Dataset()
    evidence.update(header)
    for name in EMPTY:
        if name not in evidence:
            setattr(evidence, name, "")
    is_described = "DeidentificationMethod" in evidence
    if evidence.get("PatientIdentityRemoved") == "YES" and not is_described:
        evidence.DeidentificationMethod = METHOD_UNKNOWN  # must not be absent
    return evidence
