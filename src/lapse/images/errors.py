"""Why an image file is not read: a closed list of codes, and the limits that come first."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

Code = Literal[
    "missing",  # no such file, or it may not be read
    "too-heavy",  # more bytes than the limit, on disk or unpacked
    "too-large",  # more pixels than the limit, or more memory than decoding may take
    "unknown-kind",  # neither JPEG, PNG nor DICOM
    "truncated",  # it ends early, or holds too little for what it claims
    "damaged",  # it contradicts itself, or a decoder gives up
    "unsupported",  # sound perhaps, but not read here
    "multi-frame",  # several images in one file
    "not-grey",  # a DICOM in colour
    "blank",  # every pixel is the same
]
CODES: tuple[Code, ...] = get_args(Code)

MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 100_000_000
MAX_DECODED = 500_000_000  # bytes of pixels held at once, all copies together
MAX_RATIO = 2000  # pixels per byte; even a blank JPEG stays below 600


class ImageError(ValueError):
    """A file that is not read, and why.

    >>> str(ImageError("missing", "no image file a.png"))
    'missing: no image file a.png'
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[ImageError], tuple[Code, str]]:
        """Worker processes hand refusals back."""
        return ImageError, (self.code, self.message)


def load_bytes(path: Path) -> bytes:
    """The bytes of a file that is not too heavy.

    Raises:
        ImageError: missing, too-heavy.
    """
    try:
        if not path.is_file():
            raise ImageError("missing", f"no image file {path}")
        weight = path.stat().st_size
        with path.open("rb") as stream:
            # not the limit at once: as much memory as is asked for is taken first
            data = stream.read(min(weight, MAX_BYTES) + 1)
            if weight < len(data) <= MAX_BYTES:  # it has grown meanwhile
                data += stream.read(MAX_BYTES + 1 - len(data))
    except OSError as error:
        raise ImageError("missing", f"{path} cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise ImageError(
            "too-heavy",
            f"{path} weighs {weight} bytes and the limit is {MAX_BYTES}: export the image again "
            "as a JPEG or PNG of ordinary size",
        )
    return data


def check_pixels(path: Path, height: int, width: int, bytes_per_pixel: int = 1) -> None:
    """Refuse a size before anything of that size is allocated.

    Args:
        path: named in the refusal.
        height: rows that a header claims.
        width: columns that a header claims.
        bytes_per_pixel: what all copies of one pixel take while the file is decoded.

    Raises:
        ImageError: damaged (no rows or columns), too-large.
    """
    if height < 1 or width < 1:
        raise ImageError(
            "damaged", f"{path} claims {height} x {width} pixels: fetch the file again"
        )
    limit = min(MAX_PIXELS, MAX_DECODED // bytes_per_pixel)
    if height * width > limit:
        raise ImageError(
            "too-large",
            f"{path} claims {height} x {width} pixels and the limit is {limit} in all: "
            "export the image again at an ordinary size",
        )


def check_ratio(path: Path, height: int, width: int, weight: int) -> None:
    """Refuse compressed pixels that weigh less than any radiograph of that size.

    Raises:
        ImageError: truncated.
    """
    if height * width > MAX_RATIO * weight:
        raise ImageError(
            "truncated",
            f"{path} claims {height} x {width} pixels in {weight} compressed bytes and the limit "
            f"is {MAX_RATIO} pixels a byte: fetch the file again",
        )


def truncated(path: Path, what: str) -> ImageError:
    """The refusal of a file that ends in the middle of `what`."""
    return ImageError("truncated", f"{path} ends inside {what}: fetch the file again")


def damaged(path: Path, why: str) -> ImageError:
    """The refusal of a file that contradicts itself."""
    return ImageError("damaged", f"{path} is damaged ({why}): fetch the file again")
