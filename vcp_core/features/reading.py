"""Reads the frames of clips: threads decode videos beside the network, or in turns with it. No torch.

PyAV and NumPy release the interpreter's lock while they work. A network on the CPU splits each operation
among its threads, and the threads wait for one another. If a decoding thread takes the core of one of them,
all wait. So decoding and network share a CPU in turns, unless the network leaves a core free.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from vcp_core.catalog.errors import StorageError, UndecodableVideo
from vcp_core.catalog.files import sha256_of
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.datasets.manifest import Video
from vcp_core.video.decode import iter_frames
from vcp_core.video.frames import Geometry, frame_to_rgb

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

MOST_DECODERS = 16  # threads; each frame holds the interpreter's lock for a tenth of its time
MOST_VIDEOS = 16  # of a turn; at most 9 MB of frames each under standard-v1


@dataclass
class Counters:
    """Counts of frames and clips, and wall time in seconds.

    `decode_s` is the sum over all decoding threads, and overlaps with the other times. `wait_s` is the time
    that the network waited for frames.
    """

    decoded_frames: int = 0
    forwarded_clips: int = 0
    decode_s: float = 0.0
    wait_s: float = 0.0
    forward_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add_decoded(self, num_frames: int, seconds: float) -> None:
        """Count decoded frames. The lock makes this safe from several decoding threads."""
        with self._lock:
            self.decoded_frames += num_frames
            self.decode_s += seconds


class Reading(NamedTuple):
    """How videos are decoded.

    Attributes:
        threads: Number of threads that decode.
        videos: Most decoded videos that wait for the network. They bound the memory.
        in_turns: Whether nothing decodes while the network works.
    """

    threads: int
    videos: int
    in_turns: bool

    @classmethod
    def on(cls, num_cores: int, *, network_threads: int) -> Reading:
        """Choose for a network that keeps `network_threads` of the cores busy; 0 for one on a GPU.

        >>> Reading.on(2, network_threads=2)
        Reading(threads=2, videos=8, in_turns=True)
        >>> Reading.on(16, network_threads=0)
        Reading(threads=15, videos=17, in_turns=False)
        """
        if network_threads >= num_cores:
            threads = min(num_cores, MOST_DECODERS)
            return cls(threads, min(4 * threads, MOST_VIDEOS), in_turns=True)
        free = num_cores - max(network_threads, 1)  # a thread feeds the GPU
        threads = min(max(free, 1), MOST_DECODERS)
        return cls(threads, threads + 2, in_turns=False)

    @contextmanager
    def results(
        self, function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
    ) -> Iterator[Iterator[ResultT]]:
        """Open threads that compute a result of each item, in the order of `items`; close them at the end."""
        with ThreadPoolExecutor(self.threads, thread_name_prefix="decode") as pool:
            if self.in_turns:
                yield in_turns(pool, function, items, self.videos)
            else:
                yield ahead(pool, function, items, self.videos)


def cores() -> int:
    """The number of cores that this process may use.

    >>> from unittest import mock
    >>> with mock.patch.object(os, "sched_getaffinity", lambda process: {0, 2, 5}, create=True):
    ...     cores()
    3
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def geometry_of(spec: BackboneSpec) -> Geometry:
    """The resize and the crop that a backbone's clips need.

    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> geometry_of(BACKBONES["r3d"])
    Geometry(resize=(128, 171), crop=(112, 112))
    """
    return Geometry(resize=spec.resize, crop=(spec.clip_shape[2], spec.clip_shape[3]))


def read_frames(
    path: Path,
    video: Video,
    starts: Iterable[int],
    offsets: Sequence[int],
    geometry: Geometry,
    counters: Counters,
) -> dict[int, npt.NDArray[np.uint8]]:
    r"""Decode the frames at `offsets` from each of `starts`, and return them by index.

    A video shorter than a clip is looped.

    Raises:
        UndecodableVideo: If the file changed after it was indexed.
        StorageError: As `iter_frames`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.y4m")
    ...     _ = path.write_bytes(b"YUV4MPEG2 W32 H32 F25:1 C420\n" + 10 * (b"FRAME\n" + bytes(1536)))
    ...     hashed = sha256_of(path)
    ...     video = Video(id="a.y4m", label="a", split="test", group=None, sha256=hashed, num_frames=10)
    ...     sorted(read_frames(path, video, [8], range(4), Geometry(), Counters()))
    [0, 1, 8, 9]
    """
    begun = time.perf_counter()
    wanted = {(start + t) % video.num_frames for start in starts for t in offsets}
    last = max(wanted)
    frames: dict[int, npt.NDArray[np.uint8]] = {}
    decoded = 0
    for index, frame in enumerate(iter_frames(path)):
        decoded += 1
        if index in wanted:
            frames[index] = frame_to_rgb(frame, geometry)
        if index == last:
            break
    # The hash is compared after the decoding, so that a change during the decoding is noticed, too. Hashing
    # took 5 ms where decoding took 600 ms (a video of 250 frames, 640 x 272).
    if len(frames) < len(wanted) or not _is_as_indexed(path, video):
        raise UndecodableVideo(
            "the file changed after the dataset was indexed, so its frames are not those that the "
            "dataset's fingerprint stands for. Load the dataset again",
            path=path,
        )
    counters.add_decoded(decoded, time.perf_counter() - begun)
    return frames


def _is_as_indexed(path: Path, video: Video) -> bool:
    try:
        return sha256_of(path) == video.sha256
    except OSError as error:
        raise StorageError(f"cannot be read now ({error.strerror}). Try again.", path=path) from error


def ahead(
    pool: ThreadPoolExecutor, function: Callable[[ItemT], ResultT], items: Iterable[ItemT], ahead: int
) -> Iterator[ResultT]:
    """Compute results in threads and give them in the order of `items`, at most `ahead` of them early.

    >>> with ThreadPoolExecutor(2) as pool:
    ...     list(ahead(pool, str.upper, ["a", "b", "c"], 1))
    ['A', 'B', 'C']
    """
    pending: deque[Future[ResultT]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:  # after an error or Ctrl-C no one needs the pending results, so do not wait for them
        for future in pending:
            future.cancel()


def in_turns(
    pool: ThreadPoolExecutor, function: Callable[[ItemT], ResultT], items: Iterable[ItemT], number: int
) -> Iterator[ResultT]:
    """Compute `number` results in threads, give them in the order of `items`, then compute the next.

    >>> asked = []
    >>> with ThreadPoolExecutor(1) as pool:
    ...     results = in_turns(pool, lambda item: asked.append(item) or item, range(4), 2)
    ...     next(results), asked
    (0, [0, 1])
    """
    left = iter(items)
    while turn := list(islice(left, number)):
        computed = deque(pool.map(function, turn))
        while computed:
            yield computed.popleft()  # not kept, so it is freed as soon as the caller is done with it
