"""JPEG, PNG of 8 or 16 bits, and DICOM -> one grey image, with checks against damaged files.

    file --size limit--> bytes --headers--> H x W --decode--> [H, W] in [0, 1]
        --resize--> [S, S] uint8

The size of a file is checked before it is opened, its headers before it is decoded, and it is
decoded to its end. A file that cannot be read raises an `ImageError`, a ValueError whose message
starts with a code from a closed list. Decoders that crash on damaged files run in a process of
their own.
"""

from lapse.images.errors import Code, ImageError
from lapse.images.intensity import equalise
from lapse.images.read import RESIZES, StoredImage, image_size, read_at, read_image
from lapse.images.resize import letterbox, resize_square

__all__ = [
    "RESIZES",
    "Code",
    "ImageError",
    "StoredImage",
    "equalise",
    "image_size",
    "letterbox",
    "read_at",
    "read_image",
    "resize_square",
]
