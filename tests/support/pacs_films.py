"""Studies of a simulated patient as DICOM, as a PACS holds them. No person."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

import small_files
from lapse.phantom.dataset.cohort import CohortRole
from lapse.phantom.dataset.history import draw_history
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.rendering.render import render

PATIENT = {
    "PatientID": "CANARY-4711",
    "PatientName": "CANARY^NOBODY",
    "PatientBirthDate": "19610203",
    "PatientSex": "F",
    "IssuerOfPatientID": "CANARY-ISSUER",
}
CANARIES = ("CANARY", "99123")  # the second is in every UID
ROOT = "2.25.99123"
# a pneumothorax on both films, of another level
PERSON, EARLIER, LATER = 4, 1, 2
SIDE = 192


def render_visit(visit: int, person: int = PERSON) -> np.ndarray:
    """One visit of the patient. # [192, 192] uint8"""
    config = SimulateConfig(patients=2, seed=3, size=SIDE, visits=(3, 3))
    history = draw_history(config, person, CohortRole("train", "coarse"))
    exposure = history.exposures[visit]
    return render(history.person, exposure.visit, exposure.acquisition, SIDE).image


def dicom_of(image: np.ndarray, study: int, instance: int = 1, **tags: object) -> bytes:
    """A film as a DICOM file of the patient; `study` counts years and numbers the accession."""
    values = {
        **PATIENT,
        "SOPInstanceUID": f"{ROOT}.{study}.1.{instance}",
        "SeriesInstanceUID": f"{ROOT}.{study}.1",
        "StudyInstanceUID": f"{ROOT}.{study}",
        "StudyID": f"CANARY{study}",
        "AccessionNumber": f"CANARY-ACC-{study}",
        "StudyDate": f"{2020 + study}0405",
        "StudyTime": "101112",
        "ContentDate": f"{2020 + study}0405",
        "ContentTime": "101112",
        "ReferringPhysicianName": "CANARY^DOCTOR",
        "Modality": "DX",
        "ViewPosition": "PA",
        "BodyPartExamined": "CHEST",
        "PresentationIntentType": "FOR PRESENTATION",
        "PatientOrientation": ["L", "F"],
        "ImagerPixelSpacing": [2.0, 2.0],
        "InstanceNumber": instance,
        "SeriesNumber": 1,
    }
    data = small_files.dicom(image, bits=8, **{**values, **tags})
    return _with_meta_uid(data)


def _with_meta_uid(data: bytes) -> bytes:
    """The same file with its own UID in the file meta information."""
    from pydicom import dcmread

    dataset = dcmread(io.BytesIO(data))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def hand() -> np.ndarray:
    """Another picture, for series that must not be chosen. # [64, 64] uint8"""
    rows = np.linspace(0, 255, 64 * 64).astype(np.uint8).reshape(64, 64)
    return np.asarray(Image.fromarray(rows).transpose(Image.Transpose.ROTATE_90))
