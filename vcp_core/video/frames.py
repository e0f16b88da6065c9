"""Turn a decoded frame into RGB pixels that are the same on every machine (PROTOCOL 2).

Every native plane is resized and cropped by itself, with the antialiased triangle filter. Then the planes are
converted to 8-bit RGB. The arithmetic is exact, so no BLAS, thread count or device can change a digit. Filter
weights are multiples of 2**-16. So the sums over an 8-bit row stay below 2**24, which is exact in float32,
and the sums of the second pass stay below 2**40, which is exact in float64. The colour conversion is a fixed
order of float64 operations and one rounding.

Legend: H height, W width of the result; h, w of the plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from vcp_core.catalog.errors import UnsupportedVideo
from vcp_core.video.display import turn_of

_ONE = 1 << 16  # filter weights are multiples of 1 / _ONE

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


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Size after the resize and size of the centre crop, (height, width) in pixels."""

    resize: tuple[int, int] = (128, 171)
    crop: tuple[int, int] = (112, 112)

    def __post_init__(self) -> None:
        if self.crop[0] > self.resize[0] or self.crop[1] > self.resize[1] or min(self.crop) < 1:
            raise ValueError(f"A crop of {self.crop} does not fit into frames of {self.resize}.")

    @property
    def offset(self) -> tuple[int, int]:
        """Top and left of the crop, in pixels, rounded as in torchvision's CenterCrop.

        >>> Geometry().offset
        (8, 30)
        """
        return (
            round((self.resize[0] - self.crop[0]) / 2.0),
            round((self.resize[1] - self.crop[1]) / 2.0),
        )


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
def _band(
    size_in: int, size_out: int, offset: int, length: int, wide: bool
) -> tuple[slice, npt.NDArray[Any]]:
    """Compute integer weights for rows offset..offset+length of the result, and the source rows they use."""
    weights = np.rint(triangle_weights(size_in, size_out)[offset : offset + length] * _ONE)
    largest = weights.argmax(axis=1)
    # Rounded weights need not sum to 1. The largest one takes the rest, so that a constant plane stays so.
    weights[np.arange(length), largest] += _ONE - weights.sum(axis=1)
    used = np.flatnonzero(weights.any(axis=0))
    rows = slice(int(used[0]), int(used[-1]) + 1)
    band = np.ascontiguousarray(weights[:, rows], dtype=np.float64 if wide else np.float32)
    band.setflags(write=False)  # the cache hands the same array to every caller
    return rows, band


def resize_plane(plane_hw: npt.NDArray[np.unsignedinteger], geometry: Geometry) -> npt.NDArray[np.float64]:
    """Resize and crop a plane (h, w); gives shape (H, W) in the plane's own units, not rounded.

    >>> float(resize_plane(np.full((240, 320), 7, np.uint8), Geometry()).mean())
    7.0
    """
    wide = plane_hw.dtype != np.uint8  # sums of more than 8 bits are not exact in float32
    height, width = plane_hw.shape
    columns, across = _band(width, geometry.resize[1], geometry.offset[1], geometry.crop[1], wide)
    rows, down = _band(height, geometry.resize[0], geometry.offset[0], geometry.crop[0], True)
    rows_hW = plane_hw[rows, columns].astype(across.dtype) @ across.T
    return np.asarray((down @ rows_hW.astype(np.float64)) / (_ONE * _ONE))


def frame_to_rgb(frame: av.VideoFrame, geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Turn a decoded frame upright, resize and centre-crop it, and convert it to RGB of shape (H, W, 3).

    Every plane is turned by itself before it is resized, so subsampled chroma stays exact, in 4:2:2 too.

    Raises:
        UnsupportedVideo: If this version does not know the stream's colour matrix, or the display matrix
            turns the picture by an angle that is not a multiple of 90 degrees.
    """
    turn = turn_of(frame)
    frame = _planar(frame)
    planes = [resize_plane(turn(plane), geometry) for plane in _planes(frame)]
    bits = frame.format.components[0].bits
    if frame.format.is_rgb:
        rgb = [plane * (255.0 / ((1 << bits) - 1)) for plane in planes]
    elif len(planes) == 1:
        rgb = [_luma(planes[0], bits, full=frame.color_range != _LIMITED)] * 3
    else:
        rgb = _yuv_to_rgb(planes, bits, _matrix(frame), full=_is_full(frame))
    return np.clip(np.rint(np.stack(rgb, axis=-1)), 0, 255).astype(np.uint8)


def _planar(frame: av.VideoFrame) -> av.VideoFrame:
    """Return the frame itself if each component has a plane of its own, else its nearest planar form."""
    layout = frame.format
    name = layout.name
    own_planes = name.startswith(("yuv", "gray", "gbr")) and (layout.is_planar or name.startswith("gray"))
    if own_planes and not layout.is_big_endian and not name.endswith(("f32le", "f16le")):
        return frame
    if layout.is_rgb or layout.has_palette:
        return frame.reformat(format="gbrp")
    return frame.reformat(format="gray" if name.startswith(("ya", "mono")) else "yuv420p")


def _planes(frame: av.VideoFrame) -> list[npt.NDArray[np.unsignedinteger]]:
    """List the colour planes in component order (Y U V, R G B or grey); an alpha plane is left out."""
    planes = []
    for component in frame.format.components[:3]:
        plane = frame.planes[component.plane]
        dtype = np.dtype("u1" if component.bits <= 8 else "<u2")
        rows = np.frombuffer(memoryview(plane), dtype).reshape(
            plane.height, plane.line_size // dtype.itemsize
        )
        planes.append(rows[: component.height, : component.width])
    return planes


def _is_full(frame: av.VideoFrame) -> bool:
    return frame.format.name.startswith("yuvj") or frame.color_range == _FULL


def _matrix(frame: av.VideoFrame) -> tuple[float, float]:
    try:
        return _MATRICES[int(frame.colorspace)]
    except KeyError:
        raise UnsupportedVideo(
            f"colour matrix {int(frame.colorspace)} (ITU-T H.273) is not supported; convert it to BT.709"
        ) from None


def _luma(plane: npt.NDArray[np.float64], bits: int, *, full: bool) -> npt.NDArray[np.float64]:
    if full:
        return plane * (255.0 / ((1 << bits) - 1))
    return (plane / (1 << (bits - 8)) - 16.0) * (255.0 / 219.0)


def _yuv_to_rgb(
    planes: list[npt.NDArray[np.float64]], bits: int, matrix: tuple[float, float], *, full: bool
) -> list[npt.NDArray[np.float64]]:
    """Invert ITU-R BT.601, 709 or 2020: Y in [0, 255], colour differences around 0, all in 8-bit units."""
    kr, kb = matrix
    kg = 1.0 - kr - kb
    y = _luma(planes[0], bits, full=full)
    middle = float(1 << (bits - 1))
    unit = 255.0 / ((1 << bits) - 1) if full else 255.0 / (224.0 * (1 << (bits - 8)))
    u, v = ((plane - middle) * unit for plane in planes[1:])
    red = y + v * (2.0 * (1.0 - kr))
    blue = y + u * (2.0 * (1.0 - kb))
    green = y - u * (2.0 * (1.0 - kb) * kb / kg) - v * (2.0 * (1.0 - kr) * kr / kg)
    return [red, green, blue]
