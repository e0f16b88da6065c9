"""NumPy arrays from a foreign pickle that hold nothing but numbers.

Torch saves a tensor of a TPU (an XLA device) as a NumPy array, so checkpoints from TPUs consist of such
arrays. NumPy itself accepts any type and any length when a pickle sets an array's state. Here both are
checked first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np

from vcp_core.checkpoints.placeholders import Inert

NUMBERS = re.compile(r"[<=|]?(f[248]|[iu][1248]|b1)")


class PlainDtype(Inert):
    """Stands for `numpy.dtype`: remembers the name of the type."""

    code = ""

    def __init__(self, code: object = "", *_: object) -> None:
        if isinstance(code, str) and NUMBERS.fullmatch(code):
            self.code = code

    def __setstate__(self, state: object) -> None:
        """Forget a big-endian type. A pickle gives the byte order here, and not with the type's name."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] == ">":
            self.code = ""


class PlainArray(np.ndarray):
    """An array that stays empty unless a pickle gives it plain numbers."""

    def __new__(cls, *_: object) -> PlainArray:
        """Ignore the arguments, because a shape alone could allocate all memory."""
        return super().__new__(cls, (0,), np.uint8)

    def __setstate__(self, state: object, /) -> None:
        """Take shape, type, order and bytes if they fit each other."""
        match state:
            case (int(), tuple(shape), PlainDtype(code=code), bool(fortran), bytes(data)) if code:
                dtype = np.dtype(code)
                whole = all(type(size) is int and size >= 0 for size in shape)
                if whole and len(data) == math.prod(shape) * dtype.itemsize:
                    super().__setstate__((1, shape, dtype, fortran, data))  # type: ignore[arg-type]


def empty_array(*_: object) -> PlainArray:
    """Stands for `numpy.core.multiarray._reconstruct`.

    >>> empty_array(np.ndarray, (1 << 40,), b"b").shape
    (0,)
    """
    return PlainArray()


ARRAYS: dict[str, Callable[..., object]] = {
    "numpy.dtype": PlainDtype,
    "numpy.ndarray": PlainArray,
    "numpy.core.multiarray._reconstruct": empty_array,
    "numpy._core.multiarray._reconstruct": empty_array,
}
