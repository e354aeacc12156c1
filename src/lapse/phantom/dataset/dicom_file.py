"""The DICOM file of a simulated image, and the JPEG converted from it.

    film tone --12 bits, markers, shutter--> values --half a grey level--> stored values --> DICOM
                                  \\--min-max, equalisation--> 8 bits --> JPEG

The conversion is that of MIMIC-CXR-JPG: min-max scaling, inversion of MONOCHROME1 and histogram
equalisation (Johnson et al. 2019, arXiv:1901.07042). The tags are those of a de-identified file,
with numbers instead of names. Display elements differ from file to file, as those of several
manufacturers do: full and narrow windows, a sigmoid, a look-up table, an intercept. The bytes
depend on the seed only.

The JPEG rounds to 8 bits and the conversion truncates, so stored values are half a grey level
higher (lower for MONOCHROME1): the DICOM gives the pixels of the JPEG before its compression.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lapse.core.extras import install_command
from lapse.core.seeding import derive_index, derive_seed
from lapse.images import equalise
from lapse.phantom.dataset.scene_graph import ImageRecord
from lapse.phantom.patients.acquisition import Acquisition
from lapse.phantom.rendering.detector import close_shutter
from lapse.phantom.rendering.kernels import Singles
from lapse.phantom.rendering.markers import NEAR_WHITE, overlay

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

IMAGE_FORMATS = ("jpeg", "dicom", "both")
BITS = 12
WHITE = 2**BITS - 1
DISPLAYS = ("full", "narrow", "sigmoid", "table", "intercept")
INTERCEPT = -1024
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
    return np.asarray(equalise(Image.fromarray(_levels(values))))


def _levels(values: Values) -> NDArray[np.uint8]:
    """Values from their minimum to their maximum as 0 .. 255, rounded. # [H, W]"""
    exact = values.astype(np.float64)
    low, high = exact.min(), exact.max()
    levels: NDArray[np.uint8] = np.rint((exact - low) / (high - low) * 255).astype(np.uint8)
    return levels


@dataclass(frozen=True, slots=True)
class DicomForm:
    """How a file stores its film.

    Attributes:
        is_inverted: bones dark, as MONOCHROME1.
        display: one of `DISPLAYS`.
        exposure: of a portable film, whose tags describe it; None for other films.
    """

    is_inverted: bool
    display: str
    exposure: Acquisition | None = None


def draw_form(
    seed: int, patient: int, visit: int, exposure: Acquisition | None = None
) -> DicomForm:
    """The form of one file: a random third is MONOCHROME1, and each display is as frequent.

    `exposure` is written into the tags if it is portable.
    """
    is_inverted = derive_index(3, seed, "phantom/photometric", patient, visit) == 0
    display = DISPLAYS[derive_index(len(DISPLAYS), seed, "phantom/display", patient, visit)]
    is_bedside = exposure is not None and exposure.portable is not None
    return DicomForm(is_inverted, display, exposure if is_bedside else None)


def to_stored(values: Values, *, is_inverted: bool) -> Values:
    """The values as a file stores them; truncated scaling gives the levels of the JPEG. # [H, W]"""
    low, high = int(values.min()), int(values.max())
    size = high - low
    exact = np.arange(size + 1) * 255 / size
    level = np.rint(exact).astype(np.int64)
    if is_inverted:
        exact, level = 255 - exact, 255 - level
    # the stored values from -(-level * size // 255) on are truncated to this level
    first, after = -(-level * size // 255), -(-(level + 1) * size // 255)
    table = np.clip(np.ceil((exact + 0.5) * size / 255), first, np.minimum(after - 1, size))
    table[exact == 0] = 0  # the scale begins at the darkest pixel
    table += WHITE - high if is_inverted else low
    return np.asarray(table[values - low], dtype=np.uint16)


def write_dicom(path: Path, values: Values, record: ImageRecord, form: DicomForm) -> None:
    """Write one uncompressed DICOM file.

    Args:
        path: the new file; its folder exists.
        values: [H, W] of 12 bits, bones bright.
        record: patient, study and acquisition of the image.
        form: photometric interpretation and display elements.

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
    if form.exposure is not None:
        _add_exposure(file, form.exposure, record)
    file.Rows, file.Columns = values.shape
    file.SamplesPerPixel = 1
    file.PhotometricInterpretation = "MONOCHROME1" if form.is_inverted else "MONOCHROME2"
    file.PresentationLUTShape = "INVERSE" if form.is_inverted else "IDENTITY"
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, BITS, BITS - 1
    file.PixelRepresentation = 0
    stored = to_stored(values, is_inverted=form.is_inverted)
    _add_display(file, form.display, stored)
    file.PixelData = stored.astype("<u2").tobytes()
    file["PixelData"].VR = "OW"
    file.save_as(path, enforce_file_format=True)


def _add_exposure(file: Dataset, exposure: Acquisition, record: ImageRecord) -> None:
    """What a portable machine writes: beam, grid, orientation, age and sex."""
    file.StudyDescription = file.SeriesDescription = "CHEST (PORTABLE AP)"
    file.AcquisitionDate, file.AcquisitionTime = file.ContentDate, file.ContentTime
    file.PatientSex, file.PatientAge = record.sex, f"{record.age:03d}Y"
    file.PatientOrientation = ["L", "F"]
    file.KVP = f"{exposure.kilovolts:.0f}"
    file.DistanceSourceToDetector = f"{exposure.source_distance:.0f}"
    file.Grid = "NONE"
    file.BurnedInAnnotation = "YES" if exposure.marker or exposure.label else "NO"


def _add_display(file: Dataset, display: str, stored: Values) -> None:
    """Rescale, and a window or a look-up table for these stored values."""
    from pydicom.dataset import Dataset

    low, high = (int(value) for value in np.percentile(stored, (10, 90)))
    intercept = INTERCEPT if display == "intercept" else 0
    file.RescaleIntercept, file.RescaleSlope, file.RescaleType = intercept, 1, "US"
    if display == "table":
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [WHITE + 1, 0, BITS])
        curve = 1 / (1 + np.exp(-6 * (np.arange(WHITE + 1) - (low + high) / 2) / (high - low)))
        item.add_new("LUTData", "OW", np.rint(curve * WHITE).astype("<u2").tobytes())
        file.VOILUTSequence = [item]
        return
    centre, width = (WHITE + 1) // 2, WHITE + 1
    if display != "full":
        centre, width = (low + high) // 2, max(2, high - low)
    file.WindowCenter, file.WindowWidth = centre + intercept, width
    if display == "sigmoid":
        file.VOILUTFunction = "SIGMOID"


def _uid(dicom_id: str, purpose: str) -> UID:
    """A UID below the root 2.25, which holds a 128-bit number."""
    from pydicom.uid import UID

    high, low = (derive_seed("phantom/uid", dicom_id, purpose, half) for half in (0, 1))
    return UID(f"2.25.{(high << 64) + low}")
