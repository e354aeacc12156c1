"""JPEG, PNG of 8 or 16 bits, DICOM -> one grey image, safely.

    file --weigh--> bytes --header--> H x W --decode--> [H, W] in [0, 1] --resize--> [S, S] uint8

A file is weighed before it is opened, its headers are measured before it is decoded, and it is
decoded to its end. What is not read is refused by a `ImageError`, a ValueError whose first word is
one of a closed list. Decoders that die of damaged files run in a process of their own.
"""

from lapse.images.errors import Code, ImageError
from lapse.images.intensity import equalise
from lapse.images.read import RESIZES, Stored, image_size, read_at, read_image
from lapse.images.resize import letterbox, resize_square

__all__ = [
    "RESIZES",
    "Code",
    "ImageError",
    "Stored",
    "equalise",
    "image_size",
    "letterbox",
    "read_at",
    "read_image",
    "resize_square",
]
