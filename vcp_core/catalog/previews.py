"""The facts of previews: which there are, how addresses name them, and their bounds. No torch.

A preview shows what a network sees of a video: frames after the resize and the crop. It has two forms. A
strip is one picture of some frames. A clip is a short video without sound that loops. Previews never feed
features.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from typing import NamedTuple

from vcp_core.catalog.errors import InputError
from vcp_core.catalog.inputs import InputSpec
from vcp_core.catalog.specs import BackboneSpec

VIDEO_TILES = (2, 4)  # rows and columns of a video's strip; its frames run row by row
QUESTION_TILES = (4, 3)  # of a question's: a column for each clip, whose frames run downwards
GAP = 4  # pixels between the clips of a question
MAX_STRIP_BYTES = 64_000
MAX_CLIP_BYTES = 200_000
STRIP, CLIP = "webp", "webm"  # suffixes of the two forms
KEY_DIGITS = 32
# Videos whose previews one job makes, all of them or those of all their questions. A job takes seconds, so a
# reader does not wait long for videos that nobody asked for (bench/media.py).
VIDEOS_OF_A_JOB = 8
QUESTIONED_VIDEOS_OF_A_JOB = 2


class Size(NamedTuple):
    """Width and height of a picture, in pixels."""

    width: int
    height: int


def frame_geometry(spec: BackboneSpec) -> str:
    """Write the resize and the crop of a network's frames: what the preview of a whole video depends on.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> frame_geometry(BACKBONES["r3d"])
    'resize=128x171,crop=112'
    """
    return str(InputSpec(resize=spec.resize, crop=spec.clip_shape[2]))


def clip_geometry(spec: BackboneSpec) -> str:
    """Write what the preview of a question depends on: number and stride of frames, resize and crop.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> clip_geometry(BACKBONES["slow_r50"])
    'frames=8,stride=8,resize=256x342,crop=224'
    """
    said = InputSpec(frames=spec.clip_frames, stride=spec.stride, resize=spec.resize, crop=spec.clip_shape[2])
    return str(said)


def read_geometry(text: str) -> InputSpec:
    """Read what `frame_geometry` or `clip_geometry` wrote.

    Raises:
        InputError: If it is not written exactly so.

    >>> read_geometry("resize=128x171,crop=112").crop
    112
    """
    said = InputSpec.parse(text)
    words = {field.name for field in dataclasses.fields(said) if getattr(said, field.name) is not None}
    if words not in ({"resize", "crop"}, {"frames", "stride", "resize", "crop"}) or str(said) != text:
        raise InputError(
            f"{text!r} is no geometry of previews. One is written resize=128x171,crop=112 for videos, and "
            "frames=16,stride=1,resize=128x171,crop=112 for questions."
        )
    if said.crop is not None and said.resize is not None and said.crop > min(said.resize):
        raise InputError(f"{text!r}: the crop does not fit into the frame.")
    return said


def key_of(video_id: str) -> str:
    """Make the key that names a video in addresses. A video's id is a path, which may hold any character.

    >>> key_of("wave/a.mp4")
    '8e0882cc1bef7014161898daf4fcbb17'
    """
    return hashlib.sha256(video_id.encode("utf-8", "surrogateescape")).hexdigest()[:KEY_DIGITS]


def num_groups(num_videos: int, *, has_questions: bool) -> int:
    """Count the groups into which a dataset's videos are divided. One job makes the previews of a group.

    >>> num_groups(344, has_questions=False), num_groups(1, has_questions=True)
    (43, 1)
    """
    return max(1, math.ceil(num_videos / (QUESTIONED_VIDEOS_OF_A_JOB if has_questions else VIDEOS_OF_A_JOB)))


def group_of(key: str, groups: int) -> int:
    """Give the group of a video. It follows from the key, so the service needs no list of videos.

    >>> group_of("8e0882cc1bef7014161898daf4fcbb17", 43)
    19
    """
    return int(key, 16) % groups


def file_name(key: str, form: str, number: int | None = None, option: str | None = None) -> str:
    """Name a file of a preview inside its group.

    >>> file_name("8e08", "webm"), file_name("8e08", "webp", 2, "rotation")
    ('8e08.webm', '8e08/2/rotation.webp')
    """
    return f"{key}.{form}" if option is None else f"{key}/{number}/{option}.{form}"


def strip_size(crop: int, tiles: tuple[int, int], gap: int = 0) -> Size:
    """Give the size of a strip.

    >>> strip_size(112, VIDEO_TILES), strip_size(112, QUESTION_TILES, GAP)
    (Size(width=448, height=224), Size(width=344, height=448))
    """
    rows, columns = tiles
    return Size(columns * crop + (columns - 1) * gap, rows * crop)
