"""Stored values -> what a display would show: rescale or modality LUT, then VOI LUT or window.

Written out here because pydicom 3.0.2 reads an 8-bit VOI LUT of more than 256 entries wrongly,
refuses a 12-bit modality LUT, and shows a window upside down where the slope is negative.
Of several tables or windows the first counts, and a table before a window. Only the order and
the proportions of the results matter, for they are scaled to their own range afterwards.
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


def shown(path: Path, levels: npt.NDArray[Any], dicom: Dataset, *, is_big: bool) -> Values:
    """Each stored value as a display would show it.

    Args:
        path: named in refusals.
        levels: [V] stored values.
        dicom: its optional elements; empty ones must be gone.
        is_big: the file is big endian.

    Returns:
        [V] float64, finite.

    Raises:
        ImageError: damaged (a table of another size than it says, half a window, infinite values).
    """
    values = levels.astype(np.float64)
    _check_both(path, dicom, "RescaleSlope", "RescaleIntercept")
    _check_both(path, dicom, "WindowCenter", "WindowWidth")
    with np.errstate(over="ignore", invalid="ignore"):
        if "ModalityLUTSequence" in dicom:
            values = _through_table(path, values, dicom.ModalityLUTSequence[0], is_big)
        elif "RescaleSlope" in dicom:
            values = values * float(dicom.RescaleSlope) + float(dicom.RescaleIntercept)
        if "VOILUTSequence" in dicom:
            values = _through_table(path, values, dicom.VOILUTSequence[0], is_big)
        elif "WindowCenter" in dicom:
            function = str(dicom.get("VOILUTFunction", "LINEAR")).upper()
            centre, width = _first(dicom.WindowCenter), _first(dicom.WindowWidth)
            values = _windowed(path, values, centre, width, function)
    if not np.isfinite(values).all():
        raise damaged(path, "its rescale or its window gives infinite values")
    return values


def _check_both(path: Path, dicom: Dataset, one: str, other: str) -> None:
    if (one in dicom) != (other in dicom):
        raise damaged(path, f"of {one} and {other} only one is there")


def _first(value: Any) -> float:
    """The first of several windows."""
    is_single = isinstance(value, str) or not hasattr(value, "__getitem__")
    return float(value if is_single else value[0])


def _windowed(path: Path, values: Values, centre: float, width: float, function: str) -> Values:
    """0 below the window, 1 above; a sigmoid comes near to both."""
    least = 1.0 if function == "LINEAR" else 0.0
    if function not in FUNCTIONS or not (width >= least and width > 0):
        raise damaged(path, f"a window of width {width:g}, or a function outside {FUNCTIONS}")
    if function == "SIGMOID":
        curve: Values = 1.0 / (1.0 + np.exp(-4.0 * (values - centre) / width))
        return curve
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1.0
    if width == 0.0:
        return (values > centre).astype(np.float64)
    return np.clip((values - centre) / width + 0.5, 0.0, 1.0)


def _through_table(path: Path, values: Values, item: Dataset, is_big: bool) -> Values:
    """The entry for each value; values beyond the ends take the first or the last."""
    count, first, depth = (int(number) for number in item.LUTDescriptor)
    count = count or 65536
    data: Any = item.LUTData
    if not isinstance(data, bytes):  # read as numbers already
        entries = np.atleast_1d(np.asarray(data, dtype=np.int64))
    elif len(data) == 2 * count:
        entries = np.frombuffer(data, ">u2" if is_big else "<u2").astype(np.int64)
    else:  # 8-bit entries may be packed, and padded to an even length
        packed = np.frombuffer(data, np.uint8)
        words = packed[: len(packed) // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
        entries = (words if is_big else packed).astype(np.int64)[: count if depth == 8 else None]
    if len(entries) != count or not 1 <= depth <= 16 or int(entries.max()) >> depth:
        raise damaged(
            path, f"a look-up table of {len(entries)} entries that says {count} of {depth} bits"
        )
    place = np.clip(values - first, 0, count - 1)
    if not np.isfinite(place).all():
        raise damaged(path, "its rescale gives infinite values")
    return entries[np.rint(place).astype(np.int64)].astype(np.float64)
