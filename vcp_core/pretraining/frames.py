"""A cache of decoded frames, so that a video is decoded once and not once an epoch.

The cache folder has one file per video with its resized frames, uncompressed, in 8 bits. Files are mapped
into memory, so all processes of a run share the system's copy. A video that does not fit is decoded anew.

Legend: N frames, K clips, T frames of a clip, H height, W width, C channels (RGB).
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from typing import Protocol as Interface

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vcp_core.catalog.errors import UndecodableVideo
from vcp_core.catalog.files import whole
from vcp_core.catalog.versions import FEATURES_VERSION, FRAMES_VERSION
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features.reading import Counters, ahead, read_frames
from vcp_core.pretraining.examples import Crop
from vcp_core.video.frames import Geometry

NPY_HEADER_BYTES = 128  # header of a .npy file; NumPy pads it to multiples of 64
READERS = 2  # threads that copy frames to a device, each one video ahead
DEVICE_SHARE = 4  # frames take at most a quarter of a device's free memory
Pixels = npt.NDArray[np.uint8]


class Cutting(NamedTuple):
    """A clip to cut out: its video, its first frame, and its crop."""

    video: Video
    start: int
    crop: Crop


class Frames(Interface):
    """A source of frames, which cuts clips out of them."""

    def cut(self, cuttings: Sequence[Cutting], offsets: Sequence[int], size: tuple[int, int]) -> Tensor:
        """Clips (K, T, H, W, C), uint8: frames at `offsets` from each start, cropped to `size` (H, W)."""


def kept_name(video: Video, size: tuple[int, int]) -> str:
    """The name of a video's cache file. It contains the decoding versions, so older files are not read.

    >>> video = Video(id="a.mp4", label="a", split="train", group=None, sha256="0a" * 32, num_frames=96)
    >>> sha256, *versions, size = kept_name(video, (128, 171)).split("-")
    >>> sha256 == video.sha256, size
    (True, '128x171.npy')
    """
    return f"{video.sha256}-{FRAMES_VERSION}-{FEATURES_VERSION}-{size[0]}x{size[1]}.npy"


class FrameStore:
    """Resized frames of a dataset's videos, not cropped.

    Args:
        dataset: The dataset of the video files.
        videos: The videos that will be read. The first ones are cached, as many as fit.
        size: (H, W) after the resize.
        folder: The cache folder. If it is full, files of earlier runs are deleted.
        limit_bytes: Largest size of the folder; 0 caches nothing.
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
        self._opening = threading.Lock()
        self._kept: dict[str, Path] = {}
        left = limit_bytes
        for video in videos:
            left -= self._size_bytes(video)
            if left < 0:
                break
            self._kept[video.id] = folder / kept_name(video, size)
        self._make_room(limit_bytes)

    @property
    def num_kept(self) -> int:
        """Number of videos that are cached."""
        return len(self._kept)

    def read(self, video: Video, starts: Sequence[int], offsets: Sequence[int]) -> list[Pixels]:
        """Read one clip (len(offsets), H, W, C) from each start. A video shorter than a clip is looped.

        Raises:
            UndecodableVideo: If the file changed after it was indexed.
            StorageError: If the disk has no room for the cache.
        """
        wanted = [[(start + t) % video.num_frames for t in offsets] for start in starts]
        if video.id not in self._kept:
            frames = self._decode(video, starts, offsets)
            return [np.stack([frames[i] for i in indices]) for indices in wanted]
        frames_NHWC = self._map(video)
        return [frames_NHWC[indices] for indices in wanted]

    def cut(self, cuttings: Sequence[Cutting], offsets: Sequence[int], size: tuple[int, int]) -> Tensor:
        """As `Frames`.

        Raises:
            UndecodableVideo: As `read`.
            StorageError: As `read`.
        """
        height, width = size
        cut = []
        for video, own in itertools.groupby(cuttings, key=lambda cutting: cutting.video):
            wanted = list(own)
            read = self.read(video, [cutting.start for cutting in wanted], offsets)
            for (_, _, (top, left)), pixels_THWC in zip(wanted, read, strict=True):
                cut.append(pixels_THWC[:, top : top + height, left : left + width])
        return torch.from_numpy(np.stack(cut))

    def whole(self, video: Video) -> Tensor:
        """All frames of a video, (N, H, W, C) uint8."""
        if video.id in self._kept:
            return torch.from_numpy(np.array(self._map(video)))
        frames = self._decode(video, [0], range(video.num_frames))
        return torch.from_numpy(np.stack([frames[i] for i in range(video.num_frames)]))

    def _map(self, video: Video) -> Pixels:
        """Map all frames of a cached video. Decode them first if no process has done so.

        The file is mapped anew each time. An open map is an open file, and a dataset has more videos than
        a process may have open files.
        """
        path = self._kept[video.id]
        try:
            frames_NHWC = self._open(path)
        except FileNotFoundError:
            frames = self._decode(video, [0], range(video.num_frames))
            data = io.BytesIO()  # np.save on a file does not report a full disk
            np.save(data, np.stack([frames[i] for i in range(video.num_frames)]))
            with whole(path) as part:
                part.write_bytes(data.getbuffer())
            frames_NHWC = self._open(path)
        if len(frames_NHWC) != video.num_frames:
            raise UndecodableVideo(
                f"the cached frames are not those of {video.id}. Delete the file; it is made again", path=path
            )
        return frames_NHWC

    def _open(self, path: Path) -> Pixels:
        # NumPy parses the header with `ast`, and CPython 3.11 counts the recursion depth per interpreter.
        # When two threads parsed at once, one got "SystemError: AST constructor recursion depth mismatch".
        with self._opening:
            frames_NHWC: Pixels = np.load(path, mmap_mode="r")
        return frames_NHWC

    def _decode(self, video: Video, starts: Sequence[int], offsets: Sequence[int]) -> dict[int, Pixels]:
        path = self._dataset.path(video)
        return read_frames(path, video, starts, offsets, self._geometry, Counters())

    def _size_bytes(self, video: Video) -> int:
        height, width = self._geometry.resize
        return NPY_HEADER_BYTES + video.num_frames * height * width * 3

    def _make_room(self, limit_bytes: int) -> None:
        """Delete other runs' files, the oldest first, until the folder with our files is within the limit."""
        ours = set(self._kept.values())
        room = limit_bytes - sum(
            self._size_bytes(video) for video in self._dataset.videos if video.id in self._kept
        )
        others: list[tuple[Path, os.stat_result]] = []
        for path in self._folder.glob(
            "[!.]*.npy"
        ):  # names with a dot are files that another process is writing
            with contextlib.suppress(FileNotFoundError):  # another process may delete files as well
                if path not in ours:
                    others.append((path, path.stat()))
        # The newest first: what no longer fits is the oldest.
        for path, stat in sorted(others, key=lambda item: -item[1].st_mtime):
            room -= stat.st_size
            if room < 0:
                path.unlink(missing_ok=True)  # a process that needs it decodes the video again


class FramesOnDevice:
    """Frames of some videos in a device's memory. Clips of other videos are copied from the store.

    Args:
        store: The store that the frames are read from, once.
        videos: The videos to hold.
        size: (H, W) of a frame, as in the store.
        device: The device that holds the frames.

    Raises:
        UndecodableVideo: As `FrameStore.read`.
        StorageError: As `FrameStore.read`.
    """

    def __init__(
        self, store: FrameStore, videos: Sequence[Video], *, size: tuple[int, int], device: torch.device
    ) -> None:
        self._store, self._device, num_frames = store, device, 0
        self._first: dict[str, int] = {}
        for video in videos:
            self._first[video.id] = num_frames
            num_frames += video.num_frames
        self._frames_NHWC = torch.empty((num_frames, *size, 3), dtype=torch.uint8, device=device)
        with ThreadPoolExecutor(READERS, thread_name_prefix="frames") as pool:
            for video, frames_NHWC in zip(videos, ahead(pool, store.whole, videos, READERS), strict=True):
                first = self._first[video.id]
                self._frames_NHWC[first : first + video.num_frames] = frames_NHWC.to(device)

    @staticmethod
    def fit(videos: Sequence[Video], *, size: tuple[int, int], device: torch.device) -> bool:
        """Whether the device is a GPU with enough free memory for the videos."""
        if device.type != "cuda":
            return False
        free_bytes, _ = torch.cuda.mem_get_info(device)
        num_bytes = sum(video.num_frames for video in videos) * size[0] * size[1] * 3
        return num_bytes <= free_bytes / DEVICE_SHARE

    def cut(self, cuttings: Sequence[Cutting], offsets: Sequence[int], size: tuple[int, int]) -> Tensor:
        """Cut clips as `Frames` does, on the device. Clips of other videos come from the store."""
        if any(video.id not in self._first for video, _, _ in cuttings):
            return self._store.cut(cuttings, offsets, size).to(self._device)
        frames_KT = torch.tensor(
            [
                [self._first[video.id] + (start + t) % video.num_frames for t in offsets]
                for video, start, _ in cuttings
            ]
        ).to(self._device, non_blocking=True)
        corners_K2 = torch.tensor([crop for _, _, crop in cuttings]).to(self._device, non_blocking=True)
        rows_KH, columns_KW = (
            corners_K2[:, axis, None] + torch.arange(length, device=self._device)
            for axis, length in enumerate(size)
        )
        return self._frames_NHWC[
            frames_KT[:, :, None, None], rows_KH[:, None, :, None], columns_KW[:, None, None, :]
        ]
