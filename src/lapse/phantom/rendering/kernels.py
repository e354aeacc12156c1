"""Compiling the inner loops: one thread, cached on disk where the disk allows it.

Numba keeps no type information for callers; `compiled` keeps the annotations of the function
it wraps. Kernels that call each other stand in one file, because Numba's disk cache looks only
at the file of the outermost function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.int64]
_FAST = ("contract", "arcp", "nsz")  # what keeps nan, inf and the order of sums
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The same function in machine code, on a single thread, safe after a fork."""
    try:
        kernel = numba.njit(cache=True, nogil=True, fastmath=set(_FAST))(function)
    except RuntimeError:  # no writable cache folder: compile in every process
        kernel = numba.njit(nogil=True, fastmath=set(_FAST))(function)
    return cast(Function, kernel)
