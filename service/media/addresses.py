"""The addresses of previews. Pages print them, and a browser that is logged in may open them.

A page first asks `records.repositories.media.is_shown` whether people may see previews of the dataset. If
not, the page prints no address, and says why (`switched_off`).
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from vcp_core.catalog.previews import (
    GAP,
    QUESTION_TILES,
    VIDEO_TILES,
    Size,
    clip_geometry,
    frame_geometry,
    key_of,
    strip_size,
)
from vcp_core.catalog.specs import BackboneSpec

PREFIX = "/v1/media"


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The two forms of a preview. `_preview.html` shows it.

    Attributes:
        strip: Address of a picture of some frames (WebP).
        clip: Address of a short video without sound (VP9 in WebM).
        width: Width of the strip, in pixels.
        height: Height of the strip, in pixels.
    """

    strip: str
    clip: str
    width: int
    height: int


def video(dataset_id: UUID, spec: BackboneSpec, video_id: str) -> Preview:
    """Give the addresses of a video's preview, as a network sees the video.

    Args:
        dataset_id: The dataset of the evaluation.
        spec: The network (`Checkpoint.spec`). Networks of equal resize and crop share their previews.
        video_id: A video of the dataset, as the predictions name it.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> shown = video(UUID(int=7), BACKBONES["r3d"], "wave/a.mp4")
    >>> shown.strip.rpartition("/")[0]
    '/v1/media/00000000-0000-0000-0000-000000000007/resize=128x171,crop=112/videos'
    """
    where = f"{PREFIX}/{dataset_id}/{frame_geometry(spec)}/videos/{key_of(video_id)}"
    return _preview(where, strip_size(spec.clip_shape[2], VIDEO_TILES))


def question(
    dataset_id: UUID, spec: BackboneSpec, protocol_hash: str, video_id: str, number: int, option: str
) -> Preview:
    """Give the addresses of a cloze question's preview: its three clips, with an option in the blank.

    Args:
        dataset_id: The dataset of the evaluation.
        spec: The network (`Checkpoint.spec`). Networks whose clips are alike share their previews.
        protocol_hash: The protocol, which draws the questions.
        video_id: The column `video` of cloze's predictions.
        number: The column `tuple`.
        option: The column `option`, or any other option of the protocol.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> shown = question(UUID(int=7), BACKBONES["r3d"], 64 * "0", "wave/a.mp4", 2, "rotation")
    >>> shown.clip.rsplit("/", 2)[1:], shown.width, shown.height
    (['2', 'rotation.webm'], 344, 448)
    """
    where = (
        f"{PREFIX}/{dataset_id}/{clip_geometry(spec)}/questions/{protocol_hash}/{key_of(video_id)}"
        f"/{number}/{option}"
    )
    return _preview(where, strip_size(spec.clip_shape[2], QUESTION_TILES, GAP))


def switched_off(dataset: str) -> str:
    """Say why a page shows no pictures.

    >>> switched_off("gestures")
    'No pictures are shown: an administrator switched previews of the dataset gestures off.'
    """
    return f"No pictures are shown: an administrator switched previews of the dataset {dataset} off."


def _preview(where: str, size: Size) -> Preview:
    return Preview(strip=f"{where}.webp", clip=f"{where}.webm", width=size.width, height=size.height)
