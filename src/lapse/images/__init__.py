"""JPEG, PNG of 8 or 16 bits, and DICOM -> one grey image, with checks against damaged files.

    file --size limit--> bytes --headers--> H x W --decode--> grey --> equalised [H, W]
        --resize--> [S, S] uint8

Every image is equalised, and what was done is recorded as an `ImageProcessing`. The size of a file
is checked before it is opened, its headers before it is decoded, and it is decoded to its end. A
file that cannot be read raises an `ImageError`, a ValueError whose message starts with a code from
a closed list. Decoders that crash on damaged files run in a process of their own.
"""

from lapse.images.errors import Code, ImageError
from lapse.images.intensity import equalise
from lapse.images.processing import INTENSITIES, RESIZES, ImageProcessing, recorded_processing
from lapse.images.read import (
    StoredImage,
    decode_shown,
    fit_image,
    image_size,
    read_at,
    read_image,
)

__all__ = [
    "INTENSITIES",
    "RESIZES",
    "Code",
    "ImageError",
    "ImageProcessing",
    "StoredImage",
    "decode_shown",
    "equalise",
    "fit_image",
    "image_size",
    "read_at",
    "read_image",
    "recorded_processing",
]
