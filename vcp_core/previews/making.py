"""Previews of a dataset's videos and questions, from the same frames that features come from.

Legend: T frames, H height, W width, C colours (red, green, blue).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import IO, NamedTuple

import numpy as np

from vcp_core.benchmarks.cloze import questions
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import OperationError, VcpbenchError, VideoError
from vcp_core.catalog.inputs import with_input
from vcp_core.catalog.previews import (
    CLIP,
    GAP,
    QUESTION_TILES,
    STRIP,
    VIDEO_TILES,
    file_name,
    group_of,
    key_of,
    num_groups,
    read_geometry,
)
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features.reading import Counters, geometry_of, read_frames
from vcp_core.previews.encoding import Frames, beside, clip, picture, spread, strip

LEAST_STEP = 2  # every second frame, so that 25 frames a second become `encoding.RATE`
MOST_FRAMES = 72  # of a clip: of a longer video, more frames are left out


class File(NamedTuple):
    """A file of a preview. `name` is made by `vcp_core.catalog.previews.file_name`."""

    name: str
    content: bytes


def spec_like(geometry: str) -> BackboneSpec:
    """Describe a network that sees videos by this geometry. All else about the network does not matter.

    Raises:
        InputError: If the geometry is not one.

    >>> spec_like("frames=8,stride=4,resize=128x171,crop=112").clip_span
    29
    """
    read_geometry(geometry)
    return with_input(BACKBONES["r3d"], geometry)


def videos_of(dataset: Dataset, group: int, *, has_questions: bool) -> list[Video]:
    """List the videos of a group, in the dataset's order."""
    groups = num_groups(len(dataset.videos), has_questions=has_questions)
    return [video for video in dataset.videos if group_of(key_of(video.id), groups) == group]


def write_previews(
    file: IO[bytes],
    dataset: Dataset,
    videos: Iterable[Video],
    geometry: str,
    protocol: Protocol | None,
    *,
    on_videos: Callable[[int], None],
) -> tuple[list[tuple[str, int]], dict[str, VcpbenchError]]:
    """Write previews one behind the other. A video that cannot be shown costs only its own preview.

    Args:
        file: Takes the bytes.
        dataset: The dataset of the videos.
        videos: The videos.
        geometry: What the network sees.
        protocol: The protocol of the questions; None for the videos themselves.
        on_videos: Called with the number of videos done since the last call.

    Returns:
        Names and bytes of the previews in the order of the file, and by key the errors of the other videos.
    """
    sizes: list[tuple[str, int]] = []
    failed: dict[str, VcpbenchError] = {}
    for video in videos:
        try:
            made = (
                video_files(dataset, video, geometry)
                if protocol is None
                else question_files(dataset, video, geometry, protocol)
            )
            for name, content in made:
                file.write(content)
                sizes.append((name, len(content)))
        except (OperationError, VideoError) as error:
            failed[key_of(video.id)] = error
        on_videos(1)
    return sizes, failed


def shown_frames(num_frames: int) -> range:
    """List the frames that the preview of a video shows.

    >>> shown_frames(120)[:3], len(shown_frames(120)), len(shown_frames(10_000)), len(shown_frames(1))
    (range(0, 6, 2), 60, 72, 1)
    """
    return range(0, num_frames, max(LEAST_STEP, -(-num_frames // MOST_FRAMES)))


def video_files(dataset: Dataset, video: Video, geometry: str) -> Iterable[File]:
    """Make the preview of a video: its strip and its clip.

    Raises:
        VideoError: As `read_frames`.
        StorageError: As `read_frames`.
    """
    indices = shown_frames(video.num_frames)
    path, size = dataset.path(video), geometry_of(spec_like(geometry))
    read = read_frames(path, video, [0], indices, size, Counters())
    frames_THWC = np.stack([read[index] for index in indices])
    rows, columns = VIDEO_TILES
    key = key_of(video.id)
    return [
        File(file_name(key, STRIP), strip(frames_THWC[spread(len(indices), rows * columns)], VIDEO_TILES)),
        File(file_name(key, CLIP), clip(frames_THWC)),
    ]


def question_previews(
    dataset: Dataset, video: Video, geometry: str, protocol: Protocol
) -> Iterator[tuple[int, str, Frames]]:
    """Yield the pixels of each question of a video with each option: number, option, and three clips.

    The clips stand side by side: before the blank, in the blank, after the blank (T, H, W, C). A video that
    is too short for questions gives none.

    Raises:
        VideoError: As `read_frames`.
        StorageError: As `read_frames`.
        OperationError: If an option cannot be applied to these clips.
    """
    # Here, because it loads torch. That takes seconds, and previews of videos need no torch.
    from vcp_core.features.extraction import clip_pixels

    spec = spec_like(geometry)
    asked = questions(video, protocol, spec)
    if not asked:
        return
    offsets = range(0, spec.clip_span, spec.stride)
    starts = {one.start for question in asked for one in (question.before, question.shown, question.after)}
    read = read_frames(dataset.path(video), video, starts, offsets, geometry_of(spec), Counters())
    for question in asked:
        clips_THWC = [
            clip_pixels(read, one, video.num_frames, offsets).numpy()
            for one in (question.before, question.shown, question.after)
        ]
        yield question.number, question.option, beside(clips_THWC, GAP)


def question_files(dataset: Dataset, video: Video, geometry: str, protocol: Protocol) -> Iterable[File]:
    """Make the previews of all questions of a video; as `question_previews`."""
    key = key_of(video.id)
    for number, option, frames_THWC in question_previews(dataset, video, geometry, protocol):
        still = picture(np.concatenate(frames_THWC[spread(len(frames_THWC), QUESTION_TILES[0])]))
        yield File(file_name(key, STRIP, number, option), still)
        yield File(file_name(key, CLIP, number, option), clip(frames_THWC))
