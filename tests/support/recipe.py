"""The published recipe of MIMIC-CXR-JPG, written a second time, pixel by pixel with numpy.

Source: Johnson et al. 2019, arXiv:1901.07042, and the conversion notebook of its authors: stored
values from their minimum to their maximum as 0 .. 255, truncated; MONOCHROME1 inverted; histogram
equalisation of 8 bits as OpenCV defines it.
"""

from __future__ import annotations

import io

import numpy as np

from lapse.images.resize import letterbox_size, pad_to_square, resize


def letterbox(image: np.ndarray, size: int) -> np.ndarray:
    """An image [H, W] in a black square that it fits: [size, size] uint8."""
    height, width = letterbox_size(*image.shape, size)
    return pad_to_square(resize(image, height, width), size)


def equalised(grey: np.ndarray) -> np.ndarray:
    """[H, W] uint8: every pixel becomes the fraction of the pixels up to its grey value."""
    ordered = np.sort(grey, axis=None)
    up_to = np.searchsorted(ordered, grey, side="right")  # pixels that are not brighter
    darkest = np.searchsorted(ordered, ordered[0], side="right")
    return np.rint((up_to - darkest) / (grey.size - darkest) * 255).astype(np.uint8)


def mimic(values: np.ndarray, *, is_inverted: bool = False) -> np.ndarray:
    """[H, W] uint8 from stored values."""
    exact = values.astype(np.float64)
    grey = ((exact - exact.min()) / (exact.max() - exact.min()) * 255).astype(np.uint8)
    return equalised(255 - grey if is_inverted else grey)


def mimic_of_file(data: bytes) -> np.ndarray:
    """The recipe on the pixels that pydicom reads from a DICOM."""
    from pydicom import dcmread

    dicom = dcmread(io.BytesIO(data), force=True)
    is_inverted = dicom.PhotometricInterpretation == "MONOCHROME1"
    return mimic(dicom.pixel_array, is_inverted=is_inverted)
