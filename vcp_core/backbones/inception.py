"""Widths of the mixed blocks of Inception (arXiv:1409.4842, table 1), which S3D and I3D share."""

from __future__ import annotations

from typing import NamedTuple


class Mixed(NamedTuple):
    """Channels of one mixed block: four branches, whose outputs are concatenated."""

    in_channels: int
    b0: int
    b1_middle: int
    b1: int
    b2_middle: int
    b2: int
    b3: int

    @property
    def out_channels(self) -> int:
        """Channels of the concatenated output."""
        return self.b0 + self.b1 + self.b2 + self.b3


MIXED_3 = {"b": Mixed(192, 64, 96, 128, 16, 32, 32), "c": Mixed(256, 128, 128, 192, 32, 96, 64)}
MIXED_4 = {
    "b": Mixed(480, 192, 96, 208, 16, 48, 64),
    "c": Mixed(512, 160, 112, 224, 24, 64, 64),
    "d": Mixed(512, 128, 128, 256, 24, 64, 64),
    "e": Mixed(512, 112, 144, 288, 32, 64, 64),
    "f": Mixed(528, 256, 160, 320, 32, 128, 128),
}
MIXED_5 = {"b": Mixed(832, 256, 160, 320, 32, 128, 128), "c": Mixed(832, 384, 192, 384, 48, 128, 128)}
