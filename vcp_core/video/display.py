"""How a frame is meant to be shown: turned and mirrored, as its display matrix says.

Phones store the pictures as the sensor lies and say in the file how they were held. Players and `ffmpeg` turn
them; so do we, before anything else looks at the pixels.

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
from av.sidedata.sidedata import SideData, Type

from vcp_core.catalog.errors import UnsupportedVideo

DType = TypeVar("DType", bound=np.generic)

_TOLERANCE = math.tan(math.radians(1))  # as `ffmpeg` has it: a degree more or less is a quarter turn


class Turn(NamedTuple):
    """What turns a stored plane into a shown one, in this order; all eight ways are possible."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def __call__(self, plane_hw: npt.NDArray[DType]) -> npt.NDArray[DType]:
        """The plane as it is shown: a view of shape (h, w), or (w, h) where it is transposed."""
        if self.transpose:
            plane_hw = plane_hw.T
        return plane_hw[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


def turn_of(frame: av.VideoFrame) -> Turn:
    """How a frame is to be turned.

    Raises:
        UnsupportedVideo: If the display matrix says another angle than quarter turns.
    """
    try:
        matrix = cast(Mapping[Type, SideData], frame.side_data).get(Type.DISPLAYMATRIX)
    except ValueError:
        # PyAV 18.1 refuses a frame's side data when one is of a type that it does not list (31, EXIF).
        # Its angle is all that it tells then. Half a turn is taken as upside down, not as the rare mirror
        # (EXIF's 2); a mirror from top to bottom (EXIF's 4) tells nothing.
        return _of_angle(frame.rotation)
    return _of_matrix(bytes(matrix)) if matrix else Turn()


def _of_matrix(matrix: bytes) -> Turn:
    """FFmpeg's nine numbers: a stored (x, y) is shown at (a x + c y, b x + d y)."""
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    if a * d == b * c:  # it maps the picture to a line: no camera writes that, and `ffmpeg` ignores it
        return Turn()
    if max(abs(b), abs(c)) <= _TOLERANCE * min(abs(a), abs(d)):
        return Turn(flip_rows=d < 0, flip_columns=a < 0)
    if max(abs(a), abs(d)) <= _TOLERANCE * min(abs(b), abs(c)):
        return Turn(transpose=True, flip_rows=b < 0, flip_columns=c < 0)
    raise UnsupportedVideo(
        "its display matrix skews it or turns it by a part of a quarter; "
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
        if abs(counterclockwise - degrees) <= 1:
            return turn
    raise UnsupportedVideo(
        f"it is turned by {counterclockwise} degrees, which is no quarter turn; "
        "turn the pictures themselves, with `ffmpeg -i IN OUT`"
    )
