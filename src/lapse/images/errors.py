"""ImageError: why an image file is not read. A closed list of codes, and the size limits."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Literal, get_args

Code = Literal[
    "missing",  # the file does not exist or cannot be opened
    "too-many-bytes",  # more bytes than the limit, in the file or decompressed
    "too-many-pixels",  # more pixels than the limit, or more memory than decoding may take
    "unknown-format",  # not a JPEG, PNG or DICOM; the message says what it is
    "truncated",  # it ends early, or holds too few bytes for its size
    "damaged",  # its parts contradict each other, or a decoder fails
    "unsupported",  # possibly valid, but not supported
    "multi-frame",  # several images in one file
    "not-grey",  # a DICOM in colour
    "blank",  # all pixels are equal
    "noise",  # neighbouring pixels are unrelated
]
CODES: tuple[Code, ...] = get_args(Code)

MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 100_000_000
MAX_DECODED = 500_000_000  # bytes of pixels in memory at once, of all copies together
MAX_RATIO = 2000  # pixels per byte; even a blank JPEG stays below 600


class ImageError(ValueError):
    """An image file cannot be read.

    >>> str(ImageError("missing", "no image file a.png"))
    'missing: no image file a.png'
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[ImageError], tuple[Code, str]]:
        """Pickling, so that worker processes can return the error."""
        return ImageError, (self.code, self.message)


def read_file(path: Path) -> bytes:
    """The bytes of a file within the size limit.

    Raises:
        ImageError: missing, too-many-bytes.
    """
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise ImageError("missing", f"no image file {path}")
        size = info.st_size
        with path.open("rb") as stream:
            # `read` allocates as much as it is given, so it is not given the limit
            data = stream.read(min(size, MAX_BYTES) + 1)
            if size < len(data) <= MAX_BYTES:  # the file has grown in the meantime
                data += stream.read(MAX_BYTES + 1 - len(data))
    except FileNotFoundError:
        raise ImageError("missing", f"no image file {path}") from None
    except OSError as error:
        raise ImageError("missing", f"{path} cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise ImageError(
            "too-many-bytes",
            f"{path} has {size} bytes and the limit is {MAX_BYTES}: export the image again "
            "as a JPEG or PNG of ordinary size",
        )
    return data


def check_size(path: Path, height: int, width: int, bytes_per_pixel: int = 1) -> None:
    """Refuse a size before anything of that size is allocated.

    Args:
        path: named in the error.
        height: rows according to a header.
        width: columns according to a header.
        bytes_per_pixel: memory that all copies of one pixel take while the file is decoded.

    Raises:
        ImageError: damaged (no rows or columns), too-many-pixels.
    """
    if height < 1 or width < 1:
        raise ImageError(
            "damaged", f"{path} claims {height} x {width} pixels: fetch the file again"
        )
    limit = min(MAX_PIXELS, MAX_DECODED // bytes_per_pixel)
    if height * width > limit:
        raise ImageError(
            "too-many-pixels",
            f"{path} claims {height} x {width} pixels and the limit is {limit} in all: "
            "export the image again at an ordinary size",
        )


def check_compression(path: Path, height: int, width: int, num_bytes: int) -> None:
    """Refuse compressed pixels in fewer bytes than any radiograph of that size needs.

    Raises:
        ImageError: truncated.
    """
    if height * width > MAX_RATIO * num_bytes:
        raise ImageError(
            "truncated",
            f"{path} claims {height} x {width} pixels in {num_bytes} compressed bytes and the "
            f"limit is {MAX_RATIO} pixels per byte: fetch the file again",
        )


def truncated(path: Path, part: str) -> ImageError:
    """The error for a file that ends inside the named part."""
    return ImageError("truncated", f"{path} ends inside {part}: fetch the file again")


def unsupported(path: Path, problem: str) -> ImageError:
    """The error for a file that may be valid, with the problem and its fix."""
    return ImageError("unsupported", f"{path} {problem}")


def damaged(path: Path, reason: str) -> ImageError:
    """The error for a file whose parts contradict each other."""
    return ImageError("damaged", f"{path} is damaged ({reason}): fetch the file again")
