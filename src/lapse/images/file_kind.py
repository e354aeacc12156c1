"""What a file is that is neither JPEG, PNG nor DICOM, by its first bytes, for the message."""

from __future__ import annotations

HEAD = 512  # bytes that are compared
# Start of the file -> what it is and what to do.
_KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the image: run git lfs pull"),
    (b"<!doctype html", "a saved web page, such as a login page: download the image again"),
    (b"<html", "a saved web page, such as a login page: download the image again"),
    (b"<?xml", "an XML file: download the image again"),
    (b"{", "a JSON text, such as an error message: download the image again"),
    (b"gif8", "a GIF: convert it to PNG"),
    (b"bm", "a BMP: convert it to PNG"),
    (b"ii*\0", "a TIFF: convert it to PNG"),
    (b"mm\0*", "a TIFF: convert it to PNG"),
    (b"\xff\x4f\xff\x51", "a bare JPEG 2000 stream: convert it to PNG"),
    (b"\0\0\0\x0cjp  ", "a JPEG 2000 file: convert it to PNG"),
    (b"pk\x03\x04", "a ZIP archive: unpack it"),
    (b"\x1f\x8b", "a gzip file: unpack it"),
    (b"%pdf", "a PDF: export the image from it"),
    (b"\x93numpy", "a NumPy array: save it as PNG"),
    (b"\x5c\x01", "a NIfTI file: this package compares radiographs"),
)


def describe_file(data: bytes) -> str:
    """A phrase such as "a GIF: convert it to PNG", for "FILE is ..."."""
    if not data:
        return "an empty file: fetch it again"
    if not data.strip(b"\0"):
        return "a file of zeros, such as an unfinished copy: fetch it again"
    head = data[:HEAD].lstrip().lower()
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "a WebP: convert it to PNG"
    for start, kind in _KINDS:
        if head.startswith(start):
            return kind
    if b"\xff\xd8\xff" in data[1:HEAD] or b"\x89PNG\r\n" in data[1:HEAD]:
        return "an image with other bytes before it, such as an empty line: remove them"
    return f"neither JPEG, PNG nor DICOM (it starts with {data[:8]!r}): convert it to one of these"
