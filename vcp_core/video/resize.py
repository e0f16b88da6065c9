"""The resize of PROTOCOL 2: the antialiased triangle filter, in arithmetic that is exact.

Filter weights are multiples of 2**-16 and sum to 1. So every sum over pixels of up to 16 bits is a whole
number below 2**48, which a double holds exactly. No order of summation, thread count or device can change a
digit.

Legend: H height, W width of the result; h, w of the plane.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

ONE = 1 << 16  # filter weights are multiples of 1 / ONE


class Axis(NamedTuple):
    """How one axis of a plane is resized and cropped.

    Pixel i of the result is the sum over k of weights[k, i] times pixel first[i] + k of the used part. Most
    weights of the filter are zero, and only the others are here.

    Attributes:
        used: The part of the plane that any pixel of the result needs.
        first: Shape (size,), int32.
        weights: Shape (taps, size), float64, whole numbers. Each column sums to `ONE`.
    """

    used: slice
    first: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float64]


def triangle_weights(size_in: int, size_out: int) -> npt.NDArray[np.float64]:
    """Compute the weights of the antialiased bilinear filter, shape (size_out, size_in).

    Pixel centres lie at half-integers. The filter reaches max(1, size_in / size_out) source pixels to either
    side, and weights are renormalised at the borders, so that each row sums to 1. This is PIL's BILINEAR, and
    torch's bilinear interpolation with `antialias=True`.

    >>> triangle_weights(4, 2).round(3).tolist()
    [[0.429, 0.429, 0.143, 0.0], [0.0, 0.143, 0.429, 0.429]]
    """
    scale = size_in / size_out
    support = max(scale, 1.0)
    centres = (np.arange(size_out) + 0.5) * scale
    positions = np.arange(size_in) + 0.5
    weights = np.maximum(0.0, 1.0 - np.abs(positions[None, :] - centres[:, None]) / support)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@lru_cache(maxsize=64)
def resized_axis(size_in: int, size_out: int, offset: int, length: int) -> Axis:
    """Compute how `size_in` pixels become pixels offset..offset+length of `size_out`.

    >>> axis = resized_axis(4, 2, 0, 2)
    >>> axis.first.tolist(), (axis.weights / ONE).round(3).tolist()
    ([0, 1], [[0.429, 0.143], [0.429, 0.429], [0.143, 0.429]])
    """
    dense = np.rint(triangle_weights(size_in, size_out)[offset : offset + length] * ONE)
    # Rounded weights need not sum to 1. The largest one takes the rest, so that a constant plane stays so.
    dense[np.arange(length), dense.argmax(axis=1)] += ONE - dense.sum(axis=1)
    needed = np.flatnonzero(dense.any(axis=0))
    used = slice(int(needed[0]), int(needed[-1]) + 1)
    dense = dense[:, used]
    begin = (dense != 0).argmax(axis=1)
    end = dense.shape[1] - (dense[:, ::-1] != 0).argmax(axis=1)
    taps = int((end - begin).max())
    first = np.minimum(begin, dense.shape[1] - taps)  # no tap lies behind the plane; its weight would be zero
    weights = np.take_along_axis(dense, first[:, None] + np.arange(taps), axis=1).T
    axis = Axis(used, first.astype(np.int32), np.ascontiguousarray(weights))
    for array in axis[1:]:
        array.setflags(write=False)  # the cache hands the same arrays to every caller
    return axis


def resize_plane(
    plane_hw: npt.NDArray[np.unsignedinteger[Any]], down: Axis, across: Axis
) -> npt.NDArray[np.float64]:
    """Resize and crop a plane (h, w); gives shape (H, W) in the plane's own units, not rounded.

    >>> axis = resized_axis(240, 128, 8, 112)
    >>> float(resize_plane(np.full((240, 240), 7, np.uint8), axis, axis).mean())
    7.0
    """
    part_hw = plane_hw[down.used, across.used].astype(np.float64)
    return np.asarray(_blend(_blend(part_hw, down).T, across).T / (ONE * ONE))


def _blend(rows_nw: npt.NDArray[np.float64], axis: Axis) -> npt.NDArray[np.float64]:
    """Resize the first axis: every row of the result is a weighted sum of a few rows."""
    total = rows_nw[axis.first] * axis.weights[0][:, None]
    for k in range(1, len(axis.weights)):
        total += rows_nw[axis.first + k] * axis.weights[k][:, None]
    return np.asarray(total)
