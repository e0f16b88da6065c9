"""Turn a decoded frame into RGB pixels that are the same on every machine (PROTOCOL 2).

Every native plane is resized and cropped by itself (`vcp_core.video.resize`). Then the planes are converted
to 8-bit RGB (`vcp_core.video.colour`). `_kernel.c` is the compiled form of both steps. Without a C compiler
at install time, the NumPy form does the same work. It gives the same bytes, and takes five times as long.

Legend: H height, W width of the result; h, w of the plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from vcp_core.video.colour import colour_of, to_rgb
from vcp_core.video.display import turn_of
from vcp_core.video.resize import Axis, resize_plane, resized_axis

try:
    # Not `from vcp_core.video import _kernel`: its error is the same for a missing and for a broken kernel.
    import vcp_core.video._kernel as _kernel
except ModuleNotFoundError:  # built without a compiler
    IS_COMPILED = False
else:
    IS_COMPILED = True

Plane = npt.NDArray[np.unsignedinteger[Any]]


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


def frame_to_rgb(frame: av.VideoFrame, geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Turn a decoded frame upright, resize and centre-crop it, and convert it to RGB of shape (H, W, 3).

    Every plane is turned by itself before it is resized, so subsampled chroma stays exact, in 4:2:2 too.

    Raises:
        UnsupportedVideo: If this version does not know the stream's colour matrix, or the display matrix
            turns the picture by an angle that is not a multiple of 90 degrees.

    >>> grey = av.VideoFrame.from_ndarray(np.full((240, 320), 100, np.uint8), format="gray")
    >>> rgb_HWC = frame_to_rgb(grey, Geometry(resize=(128, 171), crop=(112, 112)))
    >>> rgb_HWC.shape, rgb_HWC[0, 0].tolist()
    ((112, 112, 3), [100, 100, 100])
    """
    turn = turn_of(frame)
    frame = _planar(frame)
    turned = [turn(plane) for plane in _planes(frame)]
    planes = [(plane, *_axes(plane, geometry)) for plane in turned]
    colour = colour_of(frame)
    if not IS_COMPILED:
        return to_rgb([resize_plane(*plane) for plane in planes], colour)
    rgb = np.empty((*geometry.crop, 3), np.uint8)
    kind, *numbers = colour
    _kernel.planes_to_rgb(rgb, tuple(_for_kernel(*plane) for plane in planes), kind, tuple(numbers))
    return rgb


def _axes(plane_hw: Plane, geometry: Geometry) -> tuple[Axis, Axis]:
    """How the rows and the columns of a plane are resized."""
    (height, width), (top, left) = plane_hw.shape, geometry.offset
    return (
        resized_axis(height, geometry.resize[0], top, geometry.crop[0]),
        resized_axis(width, geometry.resize[1], left, geometry.crop[1]),
    )


def _for_kernel(plane_hw: Plane, down: Axis, across: Axis) -> tuple[npt.NDArray[Any], ...]:
    used_hw = plane_hw[down.used, across.used]
    if used_hw.strides[1] != used_hw.itemsize:  # turned or mirrored; the kernel reads rows of neighbours
        used_hw = np.ascontiguousarray(used_hw)
    return used_hw, *down[1:], *across[1:]


def _planar(frame: av.VideoFrame) -> av.VideoFrame:
    """Return the frame itself if each component has a plane of its own, else its nearest planar form."""
    layout = frame.format
    name = layout.name
    own_planes = name.startswith(("yuv", "gray", "gbr")) and (layout.is_planar or name.startswith("gray"))
    # The resize reads whole numbers of up to 16 bits, and the kernel reads them as little-endian.
    if own_planes and not layout.is_big_endian and not name.endswith(("f32le", "f16le")):
        return frame
    if layout.is_rgb or layout.has_palette:
        return frame.reformat(format="gbrp")
    return frame.reformat(format="gray" if name.startswith(("ya", "mono")) else "yuv420p")


def _planes(frame: av.VideoFrame) -> list[Plane]:
    """List the colour planes in component order (Y U V, R G B or grey); an alpha plane is left out."""
    planes, stored = [], frame.planes  # PyAV makes new objects at each question
    for number, dtype, height, width in _layout(frame.format.name, frame.width, frame.height):
        plane = stored[number]
        # FFmpeg pads each row to `line_size` bytes. The padding is cut off below.
        rows = np.frombuffer(memoryview(plane), dtype)
        planes.append(rows.reshape(plane.height, plane.line_size // dtype.itemsize)[:height, :width])
    return planes


@lru_cache(maxsize=64)
def _layout(name: str, width: int, height: int) -> tuple[tuple[int, np.dtype[Any], int, int], ...]:
    """List the plane, pixel type, height and width of each component of a format that is not alpha."""
    return tuple(
        (one.plane, np.dtype("u1" if one.bits <= 8 else "<u2"), one.height, one.width)
        for one in av.VideoFormat(name, width, height).components[:3]
    )
