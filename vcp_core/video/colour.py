"""The colour conversion of PROTOCOL 2: which numbers turn a frame's planes into 8-bit RGB.

The conversion is a fixed order of float64 operations and one rounding, so it gives the same bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt

from vcp_core.catalog.errors import UnsupportedVideo

# Luma coefficients (Kr, Kb) by ITU-T H.273 matrix number. 2 and 3 mean that the stream does not say its
# matrix; BT.601 is assumed.
_BT601 = (0.299, 0.114)
_MATRICES = {
    1: (0.2126, 0.0722),  # BT.709
    2: _BT601,
    3: _BT601,
    4: (0.30, 0.11),  # FCC
    5: _BT601,
    6: _BT601,
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020, non-constant luminance
}
_LIMITED, _FULL = 1, 2  # FFmpeg's AVCOL_RANGE_*

YUV, RGB, GREY = range(3)  # as in _kernel.c


class Colour(NamedTuple):
    """Numbers of the conversion. `to_rgb` says what is done with them.

    Attributes:
        kind: `YUV`, `RGB` or `GREY`.
        scale: Factor of the first plane (all planes of RGB) from its own depth to 8 bits.
        black: Value of black, in 8-bit units.
        gain: Factor that makes white 255.
        middle: Value of no colour in the planes U and V, in their own units.
        unit: Factor that brings U and V to 8-bit units.
        red_v: Weight of V in red.
        blue_u: Weight of U in blue.
        green_u: Weight of U in green; subtracted.
        green_v: Weight of V in green; subtracted.
    """

    kind: int
    scale: float
    black: float
    gain: float
    middle: float = 0.0
    unit: float = 0.0
    red_v: float = 0.0
    blue_u: float = 0.0
    green_u: float = 0.0
    green_v: float = 0.0


def colour_of(frame: av.VideoFrame) -> Colour:
    """Read from a planar frame how its planes become RGB.

    Raises:
        UnsupportedVideo: If this version does not know the stream's colour matrix.

    >>> [colour_of(av.VideoFrame(32, 32, name)).black for name in ("yuv420p", "yuvj420p")]
    [16.0, 0.0]
    """
    layout = frame.format
    components = layout.components
    bits = components[0].bits
    if layout.is_rgb:
        return _rgb(bits)
    if len(components) < 3:
        # Grey that names no range has the full one; PROTOCOL 2.
        return _grey(bits, full=frame.color_range != _LIMITED)
    # The "j" in FFmpeg's older names of formats (yuvj420p) means full range.
    return _yuv(
        bits, int(frame.colorspace), full=layout.name.startswith("yuvj") or frame.color_range == _FULL
    )


@lru_cache(maxsize=64)
def _rgb(bits: int) -> Colour:
    return Colour(RGB, 1.0, 0.0, _full_gain(bits))


@lru_cache(maxsize=64)
def _grey(bits: int, *, full: bool) -> Colour:
    return Colour(GREY, *_luma(bits, full=full))


@lru_cache(maxsize=64)
def _yuv(bits: int, matrix: int, *, full: bool) -> Colour:
    """Invert ITU-R BT.601, 709 or 2020."""
    try:
        kr, kb = _MATRICES[matrix]
    except KeyError:
        raise UnsupportedVideo(
            f"colour matrix {matrix} (ITU-T H.273) is not supported; convert it to BT.709"
        ) from None
    kg = 1.0 - kr - kb
    return Colour(
        YUV,
        *_luma(bits, full=full),
        middle=float(1 << (bits - 1)),
        unit=_full_gain(bits) if full else 255.0 / (224.0 * (1 << (bits - 8))),
        red_v=2.0 * (1.0 - kr),
        blue_u=2.0 * (1.0 - kb),
        green_u=2.0 * (1.0 - kb) * kb / kg,
        green_v=2.0 * (1.0 - kr) * kr / kg,
    )


def _luma(bits: int, *, full: bool) -> tuple[float, float, float]:
    """Give the scale, black and gain of a plane of luma."""
    # Limited range: luma has 219 steps from black, at 16, to white. Chroma has 224 (ITU-R BT.601).
    return (1.0, 0.0, _full_gain(bits)) if full else (1.0 / (1 << (bits - 8)), 16.0, 255.0 / 219.0)


def _full_gain(bits: int) -> float:
    return 255.0 / ((1 << bits) - 1)


def to_rgb(planes: Sequence[npt.NDArray[np.float64]], colour: Colour) -> npt.NDArray[np.uint8]:
    """Convert resized planes, each (H, W) in its own units, into RGB of shape (H, W, 3).

    >>> planes = [np.full((1, 1), value) for value in (235.0, 128.0, 128.0)]
    >>> to_rgb(planes, colour_of(av.VideoFrame(32, 32, "yuv420p"))).tolist()
    [[[255, 255, 255]]]
    """
    if colour.kind == YUV:
        light = (planes[0] * colour.scale - colour.black) * colour.gain
        u, v = ((plane - colour.middle) * colour.unit for plane in planes[1:])
        green = light - u * colour.green_u - v * colour.green_v
        rgb = [light + v * colour.red_v, green, light + u * colour.blue_u]
    else:
        rgb = [(plane * colour.scale - colour.black) * colour.gain for plane in planes]
        rgb = rgb * 3 if colour.kind == GREY else rgb
    return np.clip(np.rint(np.stack(rgb, axis=-1)), 0, 255).astype(np.uint8)
