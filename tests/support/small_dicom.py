"""A DICOM of 8 x 8 pixels with chosen tags; no person."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

FIRST = {
    "PatientID": "A-4711",
    "PatientName": "DOE^JANE",
    "PatientBirthDate": "19610203",
    "PatientSex": "F",
    "StudyInstanceUID": "1.2.826.99.1",
    "StudyDate": "20200405",
    "Modality": "DX",
    "ViewPosition": "PA",
    "BodyPartExamined": "CHEST",
    "PresentationIntentType": "FOR PRESENTATION",
    "PatientOrientation": ["L", "F"],
}


def write(path, tags):
    """A small DICOM with these tags."""
    film = Dataset()
    for name, value in tags.items():
        setattr(film, name, value)
    film.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    film.SOPInstanceUID = tags.get("SOPInstanceUID", "1.2.3")
    film.Rows, film.Columns, film.SamplesPerPixel = 8, 8, 1
    film.PhotometricInterpretation, film.PixelRepresentation = "MONOCHROME2", 0
    film.BitsAllocated, film.BitsStored, film.HighBit = 8, 8, 7
    film.PixelData = np.arange(64, dtype=np.uint8).tobytes()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
    film.save_as(path, enforce_file_format=True)
    return path
