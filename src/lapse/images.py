"""JPEG, PNG of 8 or 16 bits, DICOM -> one grey image, safely.

Layer 2: Pillow and numpy; DICOM needs the extra `dicom` (pydicom, python-gdcm). A file is
weighed before it is opened, its header is measured before it is decoded, and it is decoded to
its end: only a full decode notices a truncated JPEG.

    file --weigh--> bytes --header--> H x W --decode--> [H, W] in [0, 1] --resize--> [S, S] uint8

The models are used to MIMIC-CXR-JPG, whose images went through min-max scaling, inversion of
MONOCHROME1 and histogram equalisation to 8 bits (Johnson et al. 2019, arXiv:1901.07042), so a
DICOM gets the same here, after its rescale and its VOI table or window. JPEG and PNG are taken
as they are.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 100_000_000
DEFLATED = "1.2.840.10008.1.2.1.99"  # a small deflated DICOM can unpack to gigabytes
LUMA = (0.299, 0.587, 0.114)


def read_image(path: Path) -> Floats:
    """One radiograph as grey values, 0 black to 1 white, air dark and bone bright.

    The kind of file is told by its first bytes, not by its name.

    Returns:
        [H, W] float32 in [0, 1].

    Raises:
        ValueError: the file is missing, too large, of another kind, truncated or damaged.
    """
    data = _load_bytes(path)
    if _is_dicom(data):
        return _read_dicom(path, data)
    return _grey(_decode(path, _open(path, data)))


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of a JPEG or PNG from its header alone.

    Raises:
        ValueError: as for `read_image`, and for a DICOM (its size is only read with the rest).
    """
    opened = _open(path, _load_bytes(path))
    return opened.height, opened.width


def read_jpeg_at(path: Path, size: int) -> Bytes:
    """A JPEG squashed to a square, decoded at reduced size where that is enough.

    libjpeg decodes at 1/2, 1/4 or 1/8 as long as both sides keep 2 x `size` pixels, and the
    rest is bicubic with antialiasing: .2 grey levels from a full decode on average, 1.4 times
    as fast for 3056 x 2544 -> 448. Files of other kinds are read in full.

    Returns:
        [size, size] uint8.

    Raises:
        ValueError: as for `read_image`.
    """
    data = _load_bytes(path)
    if not data.startswith(b"\xff\xd8\xff"):
        return resize_square(read_image(path), size)
    opened = _open(path, data)
    if opened.mode == "L":
        opened.draft("L", (2 * size, 2 * size))
    decoded = _decode(path, opened)
    if decoded.mode != "L":
        return resize_square(_grey(decoded), size)
    return np.asarray(decoded.resize((size, size), Image.Resampling.BICUBIC))


def resize_square(image: Floats | Bytes, size: int) -> Bytes:
    """Squash an image to a square; fractions of its sides stay what they were.

    Args:
        image: [H, W] float32 in [0, 1], or uint8.
        size: side of the square in pixels.

    Returns:
        [size, size] uint8.
    """
    return _resize(image, size, size)


def letterbox(image: Floats | Bytes, size: int) -> Bytes:
    """Fit an image into a black square, its proportions kept, as Chest ImaGenome did.

    Scale `size / max(H, W)`, sides rounded down, half of the free space left and above.

    Args:
        image: [H, W] float32 in [0, 1], or uint8.
        size: side of the square in pixels.

    Returns:
        [size, size] uint8.
    """
    scale = size / max(image.shape)
    height, width = (max(1, int(side * scale)) for side in image.shape)
    square = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = _resize(image, height, width)
    return square


def equalise(image: Bytes) -> Bytes:
    """Spread the grey values evenly over 0 .. 255 (histogram equalisation).

    The darkest value present becomes 0, the brightest 255; a constant image is returned as it
    is.

    Args:
        image: [H, W] uint8.

    Returns:
        [H, W] uint8.
    """
    counts = np.bincount(image.reshape(-1), minlength=256)
    below = np.cumsum(counts)
    first = below[np.flatnonzero(counts)[0]]
    if first == image.size:
        return image
    table = np.clip((below - first) * 255.0 / (image.size - first), 0, 255)
    equalised: Bytes = np.rint(table).astype(np.uint8)[image]
    return equalised


def _load_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"no image file {path}")
    weight = path.stat().st_size
    if weight > MAX_BYTES:
        raise ValueError(
            f"{path} weighs {weight} bytes and the limit is {MAX_BYTES}: export the image again "
            "as a JPEG or PNG of ordinary size"
        )
    return path.read_bytes()


def _is_dicom(data: bytes) -> bool:
    return data[128:132] == b"DICM"


def _open(path: Path, data: bytes) -> Image.Image:
    """Header only. The plug-ins are called directly: our own limit is checked, not Pillow's."""
    try:
        opened: Image.Image
        if data.startswith(b"\xff\xd8\xff"):
            opened = JpegImageFile(io.BytesIO(data))
        elif data.startswith(b"\x89PNG\r\n\x1a\n"):
            opened = PngImageFile(io.BytesIO(data))
        else:
            raise ValueError(
                f"{path} is neither JPEG, PNG nor DICOM (it begins with {data[:8]!r}): convert it "
                "to one of these"
            )
    except (OSError, SyntaxError, EOFError, IndexError) as error:
        raise ValueError(_damaged(path, error)) from error
    _check_pixels(path, opened.height, opened.width)
    return opened


def _check_pixels(path: Path, height: int, width: int) -> None:
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise ValueError(
            f"{path} claims {height} x {width} pixels and the limit is {MAX_PIXELS} in all: "
            "export the image again at an ordinary size"
        )


def _decode(path: Path, opened: Image.Image) -> Image.Image:
    try:
        opened.load()
    except Exception as error:  # decoders of damaged files fail in many ways
        raise ValueError(_damaged(path, error)) from error
    return opened


def _damaged(path: Path, error: Exception) -> str:
    return f"{path} is truncated or damaged ({error}): fetch the file again and compare its size"


def _grey(decoded: Image.Image) -> Floats:
    """[H, W] float32 in [0, 1] from any mode that JPEG and PNG have; transparent is black.

    Sixteen-bit files often use only 10, 12 or 14 bits: white is the top of the smallest number
    of bits that holds the brightest pixel.
    """
    if decoded.mode.startswith("I"):
        values = np.asarray(decoded).astype(np.float32)
        bits = max(8, int(values.max()).bit_length())
        return _unit(values, 2**bits - 1)
    if "transparency" in decoded.info or decoded.mode in {"LA", "RGBA", "PA"}:
        layer = decoded.convert("RGBA")
        black = Image.new("RGBA", layer.size, (0, 0, 0, 255))
        decoded = Image.alpha_composite(black, layer).convert("RGB")
    if decoded.mode in {"1", "L"}:
        return _unit(np.asarray(decoded.convert("L")), 255)
    colours = np.asarray(decoded.convert("RGB")).astype(np.float32)
    return _unit(colours @ np.asarray(LUMA, np.float32), 255)


def _unit(values: npt.NDArray[Any], white: int) -> Floats:
    scaled: Floats = np.clip(values.astype(np.float32) / np.float32(white), 0.0, 1.0)
    return scaled


def _resize(image: Floats | Bytes, height: int, width: int) -> Bytes:
    if image.ndim != 2:
        raise ValueError(f"an image is [H, W], got shape {image.shape}: convert it to grey first")
    if image.dtype == np.uint8:
        picture = Image.fromarray(np.ascontiguousarray(image))
        return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    scaled = Image.fromarray(np.ascontiguousarray(image, dtype=np.float32) * np.float32(255))
    resized = np.asarray(scaled.resize((width, height), Image.Resampling.BICUBIC))
    rounded: Bytes = np.rint(np.clip(resized, 0, 255)).astype(np.uint8)
    return rounded


def _read_dicom(path: Path, data: bytes) -> Floats:
    """Rescale, VOI table or window, one inversion for MONOCHROME1, equalisation."""
    try:
        from pydicom import dcmread
        from pydicom.filereader import read_file_meta_info
        from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
    except ImportError as error:
        raise ValueError(
            f"{path} is a DICOM and pydicom is not installed: pip install 'lapse[dicom]'"
        ) from error
    try:
        syntax = read_file_meta_info(path).get("TransferSyntaxUID", "")
        if syntax == DEFLATED:
            raise ValueError("it is deflated, which can hide any size: store it uncompressed")
        dicom = dcmread(io.BytesIO(data))
        photometric = _check_dicom(path, dicom)
        values = apply_voi_lut(apply_modality_lut(dicom.pixel_array, dicom), dicom)
    except Exception as error:  # decoders of damaged files fail in many ways
        raise ValueError(f"{path} is not a readable DICOM image: {error}") from error
    scaled = np.asarray(values, dtype=np.float64)
    low, high = float(scaled.min()), float(scaled.max())
    if not high > low:
        raise ValueError(f"{path} is blank: every pixel is {low}; check the file or its window")
    scaled = (scaled - low) / (high - low)
    if photometric == "MONOCHROME1":
        scaled = 1.0 - scaled
    equalised = equalise(np.rint(scaled * 255).astype(np.uint8))
    return _unit(equalised, 255)


def _check_dicom(path: Path, dicom: Dataset) -> str:
    """The photometric interpretation, after the limits that can be read without decoding."""
    _check_pixels(path, int(dicom.Rows), int(dicom.Columns))
    frames = int(dicom.get("NumberOfFrames", 1) or 1)
    if frames != 1:
        raise ValueError(f"it has {frames} frames: give one radiograph with a single frame")
    photometric = str(dicom.get("PhotometricInterpretation", ""))
    if photometric not in {"MONOCHROME1", "MONOCHROME2"}:
        raise ValueError(f"its pixels are {photometric or 'of unknown kind'!r}: grey is needed")
    return photometric
