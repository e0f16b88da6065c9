"""How to turn and mirror a frame, so that it is shown as its display matrix says.

A phone stores pictures in the sensor's orientation, and writes into the file how it was held. Players and
`ffmpeg` turn the pictures. We do the same, before anything else reads the pixels.

Legend: h, w height and width of a plane.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import NamedTuple, TypeVar, cast

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideData, SideDataContainer, Type

from vcp_core.catalog.errors import UnsupportedVideo

DType = TypeVar("DType", bound=np.generic)

_TOLERANCE = math.tan(math.radians(1))  # as in `ffmpeg`: an angle within 1 degree of a quarter turn is one


class Turn(NamedTuple):
    """The steps from a stored plane to the plane that is shown, in the order of the fields."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def __call__(self, plane_hw: npt.NDArray[DType]) -> npt.NDArray[DType]:
        """Turn a plane of shape (h, w); gives a view of shape (h, w), or (w, h) if `transpose` is set."""
        if self.transpose:
            plane_hw = plane_hw.T
        return plane_hw[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


def turn_of(frame: av.VideoFrame) -> Turn:
    """Read from a frame's side data how the frame is to be turned.

    Raises:
        UnsupportedVideo: If the angle is not a multiple of 90 degrees, or the display matrix skews.

    >>> turn_of(av.VideoFrame(32, 32, "yuv420p"))  # no display matrix
    Turn(transpose=False, flip_rows=False, flip_columns=False)
    """
    try:
        # Not `frame.side_data`: the frame would hold a container that holds the frame. Hundreds of frames
        # would then wait for the garbage collector. Frames of 8,000 x 8,000 pixels took more than 21 GB.
        held = SideDataContainer(frame)  # type: ignore[call-arg]  # PyAV's stub does not have the argument
        matrix = cast(Mapping[Type, SideData], held).get(Type.DISPLAYMATRIX)
    except ValueError:
        # PyAV 18.1 refuses all side data of a frame if one entry is of a type that PyAV does not list (31,
        # EXIF). Only the angle can be read then, and an angle does not show mirrors. So half a turn is taken
        # as upside down, though EXIF's 2 (a rare mirror) gives the same angle; EXIF's 4 is not noticed.
        return _of_angle(frame.rotation)
    return _of_matrix(bytes(matrix)) if matrix else Turn()


def _of_matrix(matrix: bytes) -> Turn:
    """Read FFmpeg's matrix of nine numbers: a stored (x, y) is shown at (a x + c y, b x + d y)."""
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    if a * d == b * c:  # the picture would become a line; no camera writes that, and `ffmpeg` ignores it
        return Turn()
    if max(abs(b), abs(c)) <= _TOLERANCE * min(abs(a), abs(d)):
        return Turn(flip_rows=d < 0, flip_columns=a < 0)
    if max(abs(a), abs(d)) <= _TOLERANCE * min(abs(b), abs(c)):
        return Turn(transpose=True, flip_rows=b < 0, flip_columns=c < 0)
    raise UnsupportedVideo(
        "its display matrix skews the pictures, or its angle is not a multiple of 90 degrees; "
        "turn the pictures themselves, with `ffmpeg -i IN OUT`"
    )


_TURNS = {  # by the angle, counterclockwise
    0: Turn(),
    90: Turn(transpose=True, flip_rows=True),
    -90: Turn(transpose=True, flip_columns=True),
    180: Turn(flip_rows=True, flip_columns=True),
    -180: Turn(flip_rows=True, flip_columns=True),
}


def _of_angle(counterclockwise: int) -> Turn:
    for degrees, turn in _TURNS.items():
        if abs(counterclockwise - degrees) <= 1:  # within one degree, as `_TOLERANCE`
            return turn
    raise UnsupportedVideo(
        f"its pictures are turned by {counterclockwise} degrees, which is not a multiple of 90 degrees; "
        "turn the pictures themselves, with `ffmpeg -i IN OUT`"
    )
