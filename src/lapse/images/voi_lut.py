"""Stored values -> displayed values: rescale or modality LUT, then VOI LUT or window.

Implemented here because pydicom 3.0.2 misreads an 8-bit VOI LUT of more than 256 entries, refuses
a 12-bit modality LUT, and inverts a window where the slope is negative. The first of several
tables or windows is used, and a table is preferred to a window. Only the order and the
proportions of the results matter, because they are scaled to their own range afterwards.
Source: DICOM PS3.3, C.11.1 and C.11.2.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lapse.images.errors import damaged

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Values = npt.NDArray[np.float64]
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def displayed_values(
    path: Path, levels: npt.NDArray[Any], dicom: Dataset, *, is_big_endian: bool
) -> Values:
    """The displayed value of each stored value.

    Args:
        path: named in errors.
        levels: [V] stored values.
        dicom: its optional elements; empty elements must be removed.
        is_big_endian: byte order of the file.

    Returns:
        [V] float64, finite.

    Raises:
        ImageError: damaged (a table of a different size than its descriptor says, half of a
            window, infinite values).
    """
    values = levels.astype(np.float64)
    _check_pair(path, dicom, "RescaleSlope", "RescaleIntercept")
    _check_pair(path, dicom, "WindowCenter", "WindowWidth")
    with np.errstate(over="ignore", invalid="ignore"):
        if "ModalityLUTSequence" in dicom:
            values = _apply_lut(path, values, dicom.ModalityLUTSequence[0], is_big_endian)
        elif "RescaleSlope" in dicom:
            values = values * float(dicom.RescaleSlope) + float(dicom.RescaleIntercept)
        if "VOILUTSequence" in dicom:
            values = _apply_lut(path, values, dicom.VOILUTSequence[0], is_big_endian)
        elif "WindowCenter" in dicom:
            function = str(dicom.get("VOILUTFunction", "LINEAR")).upper()
            centre, width = _first(dicom.WindowCenter), _first(dicom.WindowWidth)
            values = _apply_window(path, values, centre, width, function)
    if not np.isfinite(values).all():
        raise damaged(path, "its rescale or its window gives infinite values")
    return values


def _check_pair(path: Path, dicom: Dataset, first: str, second: str) -> None:
    if (first in dicom) != (second in dicom):
        raise damaged(path, f"only one of {first} and {second} is present")


def _first(value: Any) -> float:
    """The first of several windows."""
    is_single = isinstance(value, str) or not hasattr(value, "__getitem__")
    return float(value if is_single else value[0])


def _apply_window(path: Path, values: Values, centre: float, width: float, function: str) -> Values:
    """0 below the window, 1 above; a sigmoid approaches both."""
    min_width = 1.0 if function == "LINEAR" else 0.0
    if function not in FUNCTIONS or not (width >= min_width and width > 0):
        raise damaged(path, f"a window of width {width:g}, or a function outside {FUNCTIONS}")
    if function == "SIGMOID":
        curve: Values = 1.0 / (1.0 + np.exp(-4.0 * (values - centre) / width))
        return curve
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1.0
    if width == 0.0:
        return (values > centre).astype(np.float64)
    return np.clip((values - centre) / width + 0.5, 0.0, 1.0)


def _apply_lut(path: Path, values: Values, item: Dataset, is_big_endian: bool) -> Values:
    """The entry of each value; values outside the table use its first or last entry."""
    count, first, depth = (int(number) for number in item.LUTDescriptor)
    count = count or 65536
    entries = _lut_entries(item.LUTData, count, depth, is_big_endian)
    if len(entries) != count or not 1 <= depth <= 16 or int(entries.max()) >> depth:
        raise damaged(
            path, f"a look-up table of {len(entries)} entries that says {count} of {depth} bits"
        )
    position = np.clip(values - first, 0, count - 1)
    if not np.isfinite(position).all():
        raise damaged(path, "its rescale gives infinite values")
    return entries[np.rint(position).astype(np.int64)].astype(np.float64)


def _lut_entries(data: Any, count: int, depth: int, is_big_endian: bool) -> npt.NDArray[np.int64]:
    """The entries of a table, from numbers that pydicom has parsed or from bytes."""
    if not isinstance(data, bytes):
        return np.atleast_1d(np.asarray(data, dtype=np.int64))
    if len(data) == 2 * count:
        return np.frombuffer(data, ">u2" if is_big_endian else "<u2").astype(np.int64)
    # 8-bit entries may be packed, and padded to an even length
    packed = np.frombuffer(data, np.uint8)
    words = packed[: len(packed) // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
    return (words if is_big_endian else packed).astype(np.int64)[: count if depth == 8 else None]
