"""A grey film that a DICOM stores in colour (RGB, YBR, palette) -> its grey values.

Secondary captures and exports store grey films with three equal samples per pixel, or as indices
into a grey palette, which some files lack. They are read as the same film in a colour PNG is; a
DICOM with real colours, such as a photograph, is refused. Source: DICOM PS3.3, C.7.6.3.1.2.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lapse.images.dicom_frames import NATIVE, PixelTags
from lapse.images.errors import ImageError, unsupported
from lapse.images.intensity import ByteImage, min_max_scale, strips

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Photometric interpretation -> samples per pixel.
COLOURS = {
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
    "PALETTE COLOR": 1,
}
MAX_DIFFERENCE = 32  # between the samples of a grey pixel; JPEG changes them a little
MAX_COLOURED = 0.01  # fraction of the pixels with a larger difference, such as a coloured stamp


def grey_of_colours(
    path: Path, tags: PixelTags, values: npt.NDArray[Any], dicom: Dataset
) -> ByteImage:
    """The grey values of a film. # [H, W, 3], or palette indices [H, W] -> [H, W]

    Raises:
        ImageError: not-grey, unsupported.
    """
    if tags.photometric == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        if "RedPaletteColorLookupTableDescriptor" not in dicom:
            return min_max_scale(values)  # without a palette the indices are the grey values
        rgb = apply_color_lut(values, dicom)
        rgb = (rgb >> 8).astype(np.uint8) if rgb.dtype == np.uint16 else rgb.astype(np.uint8)
    elif tags.syntax in NATIVE and tags.photometric != "RGB":
        if tags.photometric != "YBR_FULL":
            raise unsupported(path, "has subsampled colours: store it as RGB or as grey")
        size = (tags.columns, tags.rows)
        colours = Image.frombytes("YCbCr", size, np.ascontiguousarray(values).tobytes())
        rgb = np.asarray(colours.convert("RGB"))
    else:
        rgb = np.ascontiguousarray(values)
    _check_grey(path, rgb)
    return np.asarray(Image.fromarray(rgb).convert("L"))


def _check_grey(path: Path, rgb: ByteImage) -> None:
    num_coloured = 0
    for rows in strips(*rgb.shape[:2]):
        band = rgb[rows].astype(np.int16)
        num_coloured += int(np.count_nonzero(np.ptp(band, axis=-1) > MAX_DIFFERENCE))
    fraction = num_coloured / (rgb.shape[0] * rgb.shape[1])
    if fraction > MAX_COLOURED:
        raise ImageError(
            "not-grey",
            f"{path} is a colour image: {fraction:.0%} of its pixels are not grey; give a "
            "radiograph",
        )
