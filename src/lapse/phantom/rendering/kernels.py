"""Compilation of inner loops with Numba: single-threaded, with a cache on disk if possible.

`compiled` keeps the type annotations of a function, which Numba drops. Kernels that call each other
are in one file, because Numba's disk cache checks only the file of the outermost function.
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
_FAST_MATH = {"contract", "arcp", "nsz"}  # these preserve nan, inf and the order of sums
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function to machine code; single-threaded, so it is safe after a fork."""
    try:
        kernel = numba.njit(cache=True, nogil=True, fastmath=_FAST_MATH)(function)
    except RuntimeError:  # no writable cache folder: compile in every process
        kernel = numba.njit(nogil=True, fastmath=_FAST_MATH)(function)
    return cast(Function, kernel)
