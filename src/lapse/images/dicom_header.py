"""DICOM files without preamble or without file meta information -> the standard layout.

    128 bytes | "DICM" | group 0002, explicit | data set in the transfer syntax of group 0002

Old archives and exports omit the preamble, the letters, or group 0002. Without group 0002 the data
set is little endian, and its first element shows whether its representation is explicit. Source:
DICOM PS3.10, section 7; PS3.5, section 7.1 and annex A.1.
"""

from __future__ import annotations

import struct

PREAMBLE, MAGIC = 128, b"DICM"
_META, _FIRST_GROUP = b"\x02\x00", b"\x08\x00"
_IMPLICIT, _EXPLICIT = b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.2.1\0"
# Representations of the first elements of group 0008, and of group 0002.
_REPRESENTATIONS = {b"UL", b"UI", b"CS", b"DA", b"TM", b"SH", b"LO", b"OB", b"DT"}
_MAX_ELEMENT, _MAX_LENGTH = 0x0060, 1024  # of the first element of a plausible data set


def is_dicom(data: bytes) -> bool:
    """Whether a file, or its first 160 bytes, is a DICOM of any layout."""
    return data[PREAMBLE : PREAMBLE + 4] == MAGIC or _starts_bare(data)


def standard_dicom(data: bytes) -> tuple[bytes, bool]:
    """A DICOM in the standard layout, and whether something had to be added.

    Args:
        data: for which `is_dicom` is true.
    """
    if data[PREAMBLE : PREAMBLE + 4] == MAGIC:
        body = data[PREAMBLE + 4 :]
        if not _has_data_set_first(body):
            return data, False
    else:
        body = data.removeprefix(MAGIC)
    meta = b""
    if _has_data_set_first(body):
        syntax = _EXPLICIT if body[4:6] in _REPRESENTATIONS else _IMPLICIT
        element = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(syntax)) + syntax
        meta = b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(element)) + element
    return b"\0" * PREAMBLE + MAGIC + meta + body, True


def _starts_bare(data: bytes) -> bool:
    """Whether the file starts with the letters, with group 0002, or with the data set."""
    body = data.removeprefix(MAGIC)
    is_meta = body[:2] == _META and body[4:6] in _REPRESENTATIONS
    return is_meta or _has_data_set_first(body)


def _has_data_set_first(body: bytes) -> bool:
    """Whether a plausible element of group 0008 comes first, without group 0002."""
    if body[:2] != _FIRST_GROUP or len(body) < 8:
        return False
    element, length = struct.unpack("<HI", body[2:8])
    if body[4:6] in _REPRESENTATIONS:
        (length,) = struct.unpack("<H", body[6:8])
    return bool(element <= _MAX_ELEMENT and length <= _MAX_LENGTH and length % 2 == 0)
