"""Decoded frames kept as they are, so that a video is decoded once and not once an epoch.

Whole resized frames, 8 bits, without loss, a file per video in the cache folder, mapped into memory: all
processes of a run share the system's copy of them. Videos beyond the limit are decoded whenever they are
asked for.

Legend: N frames, H height, W width, C channels (RGB).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vcp_core.catalog.errors import UndecodableVideo
from vcp_core.catalog.files import whole
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features import Counters, read_frames
from vcp_core.video.frames import FRAMES_VERSION, Geometry

NPY_HEADER_BYTES = 128  # of a .npy file, whose header is padded to multiples of 64
Pixels = npt.NDArray[np.uint8]


class FrameStore:
    """Frames of a dataset's videos, resized and not cropped.

    Args:
        dataset: Where the files lie.
        videos: Those that will be read; the first of them are kept, as many as fit.
        size: (H, W) after the resize.
        folder: Where kept frames lie; other files of earlier runs in it make room when it is full.
        limit_bytes: How large the folder may become; 0 keeps nothing.
    """

    def __init__(
        self,
        dataset: Dataset,
        videos: Iterable[Video],
        *,
        size: tuple[int, int],
        folder: Path,
        limit_bytes: int,
    ) -> None:
        self._dataset = dataset
        self._geometry = Geometry(resize=size, crop=size)
        self._folder = folder
        self._kept: dict[str, Path] = {}
        self._mapped: dict[str, Pixels] = {}
        left = limit_bytes
        for video in videos:
            left -= self._size_bytes(video)
            if left < 0:
                break
            self._kept[video.id] = folder / f"{video.sha256}-{FRAMES_VERSION}-{size[0]}x{size[1]}.npy"
        self._make_room(limit_bytes)

    @property
    def num_kept(self) -> int:
        """Videos that are decoded once."""
        return len(self._kept)

    def read(self, video: Video, starts: Sequence[int], offsets: Sequence[int]) -> list[Pixels]:
        """Clips of (len(offsets), H, W, C) from `starts`; a video shorter than a clip is looped.

        Raises:
            UndecodableVideo: If the file does not give the frames that it gave when it was indexed.
            StorageError: If there is no room for what is kept.
        """
        wanted = [[(start + t) % video.num_frames for t in offsets] for start in starts]
        if video.id not in self._kept:
            frames = self._decode(video, starts, offsets)
            return [np.stack([frames[i] for i in indices]) for indices in wanted]
        frames_NHWC = self._map(video)
        return [frames_NHWC[indices] for indices in wanted]

    def _map(self, video: Video) -> Pixels:
        """All frames of a kept video; decoded here if no process has done it yet."""
        if video.id not in self._mapped:
            path = self._kept[video.id]
            try:
                frames_NHWC = np.load(path, mmap_mode="r")
            except FileNotFoundError:
                frames = self._decode(video, [0], range(video.num_frames))
                with whole(path) as part, part.open("wb") as file:
                    np.save(file, np.stack([frames[i] for i in range(video.num_frames)]))
                frames_NHWC = np.load(path, mmap_mode="r")
            if len(frames_NHWC) != video.num_frames:
                raise UndecodableVideo(f"{path}: not the frames of {video.id}. Delete it; it is made again.")
            self._mapped[video.id] = frames_NHWC
        return self._mapped[video.id]

    def _decode(self, video: Video, starts: Sequence[int], offsets: Sequence[int]) -> dict[int, Pixels]:
        path = self._dataset.path(video)
        return read_frames(path, video, starts, offsets, self._geometry, Counters())

    def _size_bytes(self, video: Video) -> int:
        height, width = self._geometry.resize
        return NPY_HEADER_BYTES + video.num_frames * height * width * 3

    def _make_room(self, limit_bytes: int) -> None:
        """Delete other runs' frames, the oldest first, while they and ours are more than the limit."""
        ours = set(self._kept.values())
        room = limit_bytes - sum(
            self._size_bytes(video) for video in self._dataset.videos if video.id in self._kept
        )
        others: list[tuple[Path, os.stat_result]] = []
        for path in self._folder.glob("[!.]*.npy"):  # a dot begins what another process is writing just now
            with contextlib.suppress(FileNotFoundError):  # which may make room, too
                if path not in ours:
                    others.append((path, path.stat()))
        for path, stat in sorted(others, key=lambda item: -item[1].st_mtime):
            room -= stat.st_size
            if room < 0:
                path.unlink(missing_ok=True)  # whoever has it mapped keeps it; whoever comes decodes again
