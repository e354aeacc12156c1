"""The DICOM file of a simulated image, and the JPEG converted from it.

    film tone --12 bits, markers, shutter--> stored values --> DICOM
                                  \\--min-max, equalisation--> 8 bits --> JPEG

The conversion is that of MIMIC-CXR-JPG: min-max scaling, inversion of MONOCHROME1 and histogram
equalisation (Johnson et al. 2019, arXiv:1901.07042). The tags are those of a de-identified file,
with numbers instead of names. The bytes depend on the seed only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lapse.core.extras import install_command
from lapse.core.seeding import derive_index, derive_seed
from lapse.images import equalise
from lapse.images.intensity import min_max_scale
from lapse.phantom.dataset.scene_graph import ImageRecord
from lapse.phantom.patients.acquisition import Acquisition
from lapse.phantom.rendering.detector import close_shutter
from lapse.phantom.rendering.kernels import Singles
from lapse.phantom.rendering.markers import NEAR_WHITE, overlay

if TYPE_CHECKING:
    from pydicom.uid import UID

IMAGE_FORMATS = ("jpeg", "dicom", "both")
BITS = 12
WHITE = 2**BITS - 1
SHUTTER = 32  # stored value behind the collimator
_DX_IMAGE = "1.2.840.10008.5.1.4.1.1.1.1"  # digital X-ray, for presentation
_EXPLICIT = "1.2.840.10008.1.2.1"
_WRITER = "2.25.175349870261837475236"  # identifies this writer instead of pydicom's version

Values = NDArray[np.uint16]


def stored_values(tone: Singles, acquisition: Acquisition) -> Values:
    """The 12-bit values of an image, bones bright. # [H, W] in [0, 1] -> [H, W]"""
    values = np.rint(tone * WHITE)
    close_shutter(values, acquisition, SHUTTER)
    letters = overlay(np.zeros(tone.shape, dtype=np.uint8), acquisition) / NEAR_WHITE
    values += letters * (np.round(NEAR_WHITE * WHITE / 255) - values)
    return np.asarray(np.rint(values), dtype=np.uint16)


def jpeg_image(values: Values) -> NDArray[np.uint8]:
    """The 8-bit image that the conversion of MIMIC-CXR-JPG gives for these values. # [H, W]"""
    return equalise(min_max_scale(values, is_inverted=False))


def is_monochrome1(seed: int, patient: int, visit: int) -> bool:
    """Whether a file stores bones dark: a random third of the files does."""
    return derive_index(3, seed, "phantom/photometric", patient, visit) == 0


def write_dicom(path: Path, values: Values, record: ImageRecord, *, is_inverted: bool) -> None:
    """Write one uncompressed DICOM file.

    Args:
        path: the new file; its folder exists.
        values: [H, W] of 12 bits, bones bright.
        record: patient, study and acquisition of the image.
        is_inverted: store bones dark, as MONOCHROME1.

    Raises:
        ValueError: pydicom is not installed.
    """
    try:
        from pydicom.dataset import FileDataset, FileMetaDataset
        from pydicom.uid import UID
    except ImportError as error:
        raise ValueError(
            f"DICOM images need pydicom: simulate JPEG images, or {install_command('dicom')}"
        ) from error
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(_DX_IMAGE)
    meta.MediaStorageSOPInstanceUID = _uid(record.dicom_id, "image")
    meta.TransferSyntaxUID = UID(_EXPLICIT)
    meta.ImplementationClassUID = UID(_WRITER)
    meta.ImplementationVersionName = "LAPSE PHANTOM"
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID = meta.MediaStorageSOPClassUID
    file.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    file.StudyInstanceUID = _uid(record.dicom_id, "study")
    file.SeriesInstanceUID = _uid(record.dicom_id, "series")
    file.StudyDate = file.ContentDate = f"{record.taken_at:%Y%m%d}"
    milliseconds = record.taken_at.microsecond // 1000
    file.StudyTime = file.ContentTime = f"{record.taken_at:%H%M%S}.{milliseconds:03d}"
    file.Modality = "DX"
    file.PresentationIntentType = "FOR PRESENTATION"
    file.PatientName = ""
    file.PatientID = str(record.subject_id)
    file.PatientIdentityRemoved = "YES"
    file.StudyID = str(record.study_id)
    file.BodyPartExamined = "CHEST"
    file.ViewPosition = record.view
    file.Rows, file.Columns = values.shape
    file.SamplesPerPixel = 1
    file.PhotometricInterpretation = "MONOCHROME1" if is_inverted else "MONOCHROME2"
    file.PresentationLUTShape = "INVERSE" if is_inverted else "IDENTITY"
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, BITS, BITS - 1
    file.PixelRepresentation = 0
    file.RescaleIntercept, file.RescaleSlope, file.RescaleType = 0, 1, "US"
    file.WindowCenter, file.WindowWidth = (WHITE + 1) // 2, WHITE + 1
    file.PixelData = (WHITE - values if is_inverted else values).astype("<u2").tobytes()
    file["PixelData"].VR = "OW"
    file.save_as(path, enforce_file_format=True)


def _uid(dicom_id: str, purpose: str) -> UID:
    """A UID below the root 2.25, which holds a 128-bit number."""
    from pydicom.uid import UID

    high, low = (derive_seed("phantom/uid", dicom_id, purpose, half) for half in (0, 1))
    return UID(f"2.25.{(high << 64) + low}")
