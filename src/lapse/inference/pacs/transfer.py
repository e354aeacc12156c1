"""Fetch a film into memory (WADO-RS), and store a structured report (STOW-RS).

A film is fetched as it is stored, in its transfer syntax, and is never written to disk. It is
compared with what was asked for, because a proxy or cache could return another one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from lapse.images.dicom import read_dicom_header
from lapse.inference.pacs.connection import PacsConnection, PacsError
from lapse.inference.pacs.studies import RemoteFilm

ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
IN_MEMORY = Path("the film of the PACS")  # names it in errors
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class FetchedFilm:
    """A film in memory: the content of its DICOM file, and its header."""

    data: bytes = field(repr=False)
    header: Dataset = field(repr=False)


def fetch_film(pacs: PacsConnection, film: RemoteFilm) -> FetchedFilm:
    """The DICOM file of a film.

    Raises:
        PacsError: the PACS cannot be used, or returns another film.
        ValueError: the header of the film cannot be read.
    """
    path = f"studies/{film.study}/series/{film.series}/instances/{film.instance}"
    with pacs.requesting("the retrieval of a film"):
        response = pacs.session.get(f"{pacs.url}/{path}", headers={"Accept": ACCEPT})
        response.raise_for_status()
        data = single_part(response.headers.get("Content-Type", ""), response.content)
    header = read_dicom_header(IN_MEMORY, data)
    uids = (film.study, film.series, film.instance)
    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    if tuple(str(header.get(name)) for name in names) != uids:
        raise PacsError("the PACS returns another film than the one asked for")
    if str(header.get("PatientID") or "").strip() != film.facts.patient:
        raise PacsError("the PACS returns a film of another patient than its metadata says")
    return FetchedFilm(data, header)


def store_report(pacs: PacsConnection, report: Dataset) -> None:
    """Store a structured report in its study.

    Raises:
        PacsError: the PACS cannot be used or does not accept the report.
    """
    with pacs.requesting("the storage of the report"):
        answer = pacs.client.store_instances([report], str(report.StudyInstanceUID))
        failed = list(answer.get("FailedSOPSequence") or [])
        stored = [
            str(item.ReferencedSOPInstanceUID) for item in answer.get("ReferencedSOPSequence") or []
        ]
    if failed or stored != [str(report.SOPInstanceUID)]:
        reasons = ", ".join(f"{int(item.get('FailureReason') or 0):04X}H" for item in failed)
        raise PacsError(f"the PACS does not accept the report (reason {reasons or 'not stated'})")


def single_part(content_type: str, body: bytes) -> bytes:
    """The only part of a message of type multipart/related; other messages are returned as is.

    Raises:
        PacsError: not exactly one part.
    """
    if not content_type.lower().startswith("multipart/related"):
        return body
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise PacsError("the PACS sends a message of several parts without a boundary")
    marker = b"--" + match[1].encode()
    start = body.find(marker)
    head = body.find(b"\r\n\r\n", start)
    end = body.find(b"\r\n" + marker, head + 2)
    if start < 0 or head < 0 or end < 0 or not body[end + 2 + len(marker) :].startswith(b"--"):
        raise PacsError("the PACS does not send exactly one film")
    return body[head + 4 : end]
