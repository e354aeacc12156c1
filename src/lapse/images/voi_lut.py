"""Stored values -> displayed values: rescale or modality LUT, then VOI LUT or window.

A look-up table is preferred to a window, and the first usable one of several is used. These
elements say how to show sound pixels, so a broken one is ignored and named, and never costs the
image. Implemented here because pydicom 3.0.2 misreads an 8-bit VOI LUT of more than 256 entries,
refuses a 12-bit modality LUT, and inverts a window where the slope is negative. Only the order and
the proportions of the results matter, because they are scaled to their own range afterwards.
Source: DICOM PS3.3, C.11.1 and C.11.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Values = npt.NDArray[np.float64]
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
MODALITY = ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept")
VOI = ("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction")
_LUT = "look-up table that is empty, damaged or of another size than its descriptor"
_NUMBER = "window or rescale that is not a number"


class UnusableHintError(ValueError):
    """A display element cannot be applied; the message is a reason without texts of the file."""


def displayed_values(
    levels: npt.NDArray[Any], dicom: Dataset, *, is_big_endian: bool
) -> tuple[Values, tuple[str, ...]]:
    """The displayed value of each stored value, and why display elements were ignored.

    Args:
        levels: [V] stored values.
        dicom: its display elements; empty elements must be removed.
        is_big_endian: byte order of the file.

    Returns:
        [V] float64 and finite, and a reason for each ignored element.
    """
    ignored: list[str] = []
    values = levels.astype(np.float64)
    for steps in (_modality_steps(dicom, is_big_endian), _voi_steps(dicom, is_big_endian)):
        for step in steps:
            try:
                values = _usable(step, values)
            except UnusableHintError as error:
                ignored.append(str(error))
            else:
                break
    if _function(dicom) is None:
        ignored.append("unknown VOILUTFunction")
    return values, tuple(ignored)


Step = Callable[[Values], Values]


def _usable(step: Step, values: Values) -> Values:
    """The result of a step, which must be finite and keep at least two different values."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            result = step(values)
    except UnusableHintError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UnusableHintError(_LUT) from error  # a damaged item of a sequence
    if not np.isfinite(result).all():
        raise UnusableHintError("window or rescale with infinite values")
    if len(values) > 1 and result.min() == result.max():
        raise UnusableHintError("window, table or rescale that makes all pixels one grey")
    return result


def _modality_steps(dicom: Dataset, is_big_endian: bool) -> Iterator[Step]:
    yield from _tables(dicom, "ModalityLUTSequence", is_big_endian)
    slope, intercept = (name in dicom for name in MODALITY[1:])
    if slope and intercept:
        yield lambda x: x * _numbers(dicom.RescaleSlope)[0] + _numbers(dicom.RescaleIntercept)[0]
    elif slope or intercept:
        yield _refuse("rescale with only one of slope and intercept")


def _voi_steps(dicom: Dataset, is_big_endian: bool) -> Iterator[Step]:
    yield from _tables(dicom, "VOILUTSequence", is_big_endian)
    centre, width = (name in dicom for name in VOI[1:3])
    if centre != width:
        yield _refuse("window with only one of centre and width")
    if not (centre and width):
        return
    try:
        centres, widths = _numbers(dicom.WindowCenter), _numbers(dicom.WindowWidth)
    except UnusableHintError as error:
        yield _refuse(str(error))
        return
    function = _function(dicom) or "LINEAR"
    for window in zip(centres, widths, strict=False):
        yield partial(_apply_window, window=window, function=function)


def _tables(dicom: Dataset, name: str, is_big_endian: bool) -> Iterator[Step]:
    for item in dicom.get(name, ()):
        yield partial(_apply_lut, item=item, is_big_endian=is_big_endian)


def _refuse(reason: str) -> Step:
    def step(_: Values) -> Values:
        raise UnusableHintError(reason)

    return step


def _function(dicom: Dataset) -> str | None:
    """The name of the window function; None for an unknown one."""
    name = str(dicom.get("VOILUTFunction", "LINEAR")).strip().upper()
    return name if name in FUNCTIONS else None


def _numbers(value: Any) -> list[float]:
    """One number, or the numbers of several windows."""
    is_single = isinstance(value, str) or not hasattr(value, "__getitem__")
    try:
        return [float(item) for item in ([value] if is_single else value)]
    except (TypeError, ValueError) as error:
        raise UnusableHintError(_NUMBER) from error


def _apply_window(values: Values, window: tuple[float, float], function: str) -> Values:
    """0 below the window (centre, width), 1 above; a sigmoid approaches both."""
    centre, width = window
    min_width = 1.0 if function == "LINEAR" else 0.0
    if not (width >= min_width and width > 0):
        raise UnusableHintError("window of a width that is zero or negative")
    if function == "SIGMOID":
        curve: Values = 1.0 / (1.0 + np.exp(-4.0 * (values - centre) / width))
        return curve
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1.0
    if width == 0.0:
        return (values > centre).astype(np.float64)
    return np.clip((values - centre) / width + 0.5, 0.0, 1.0)


def _apply_lut(values: Values, item: Dataset, is_big_endian: bool) -> Values:
    """The entry of each value; values outside the table use its first or last entry."""
    count, first, depth = (int(number) for number in item.LUTDescriptor)
    count = count or 65536
    entries = _lut_entries(item.LUTData, count, depth, is_big_endian)
    if len(entries) != count or not 1 <= depth <= 16 or int(entries.max()) >> depth:
        raise UnusableHintError(_LUT)
    position = np.clip(values - first, 0, count - 1)
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
