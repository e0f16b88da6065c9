"""Feature extraction: it decodes every clip that a benchmark needs once, and forwards it once.

Threads decode videos ahead: PyAV, NumPy and torch release the interpreter's lock. Clips are cut from 8-bit
frames. They go through the network in batches of one fixed shape, and the last batch is padded. So on one
device a clip's feature depends only on the clip, not on its batch or shard (measured: equal bit for bit).

On a CPU the features of some backbones also depend on torch's number of threads. Between one and two threads
those of r2plus1d and r2plus1d_18 differed by 2e-7 and 4e-7 of the largest feature. Those of c3d and r3d_tiny
did not differ.

Legend: B clips of a batch, N clips of a shard, C channels, T frames, H height, W width, D features.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.backbones import BackboneSpec
from vcp_core.catalog.errors import NonFiniteFeatures, StorageError, UndecodableVideo
from vcp_core.catalog.files import sha256_of
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features.bank import Floats, ShardFeatures
from vcp_core.features.shards import Clip, Shard
from vcp_core.video.decode import iter_frames
from vcp_core.video.frames import Geometry, frame_to_rgb
from vcp_core.video.operations import apply_option

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
OnClips = Callable[[int], None]

BATCH_CLIPS = {"cpu": 8, "cuda": 64}  # clips; larger ones were not faster on a CPU (bench/engine.py)
DECODERS = 2  # threads
VIDEOS_AHEAD = 4  # at most 9 MB of frames each under standard-v1


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


class Batch(NamedTuple):
    """Clips of one shard with their pixels. Rows from `len(clips)` on are padding."""

    shard: Shard
    clips: tuple[Clip, ...]
    pixels_BCTHW: Tensor
    ends_shard: bool


def geometry_of(spec: BackboneSpec) -> Geometry:
    """The resize and the crop that a backbone's clips need."""
    return Geometry(resize=spec.resize, crop=(spec.clip_shape[2], spec.clip_shape[3]))


def read_frames(
    path: Path,
    video: Video,
    starts: Iterable[int],
    offsets: Sequence[int],
    geometry: Geometry,
    counters: Counters,
) -> dict[int, npt.NDArray[np.uint8]]:
    """Decode the frames at `offsets` from each of `starts`, and return them by index.

    A video shorter than a clip is looped.

    Raises:
        UndecodableVideo: If the file changed after it was indexed.
        StorageError: As `iter_frames`.
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


def iter_batches(
    dataset: Dataset, shards: Sequence[Shard], spec: BackboneSpec, *, batch_clips: int, counters: Counters
) -> Iterator[Batch]:
    """Pixels of every clip, uint8, in batches of one fixed shape. A batch holds clips of one shard only."""
    geometry = geometry_of(spec)
    channels, clip_frames, height, width = spec.clip_shape
    offsets = range(0, spec.clip_span, spec.stride)

    def read(item: tuple[Video, tuple[Clip, ...]]) -> dict[int, npt.NDArray[np.uint8]]:
        video, clips = item
        starts = {clip.start for clip in clips}
        return read_frames(dataset.path(video), video, starts, offsets, geometry, counters)

    items = [item for shard in shards for item in shard.videos]
    with ThreadPoolExecutor(DECODERS, thread_name_prefix="decode") as pool:
        decoded = ahead(pool, read, items, VIDEOS_AHEAD)
        for shard in shards:
            # Axes B, T, H, W, C: permuted to (B, C, T, H, W), this memory is torch's channels_last_3d.
            pixels = torch.zeros((batch_clips, clip_frames, height, width, channels), dtype=torch.uint8)
            filled: list[Clip] = []
            left = shard.num_clips
            for video, clips in shard.videos:
                begun = time.perf_counter()
                frames = next(decoded)
                counters.wait_s += time.perf_counter() - begun
                for clip in clips:
                    indices = [(clip.start + t) % video.num_frames for t in offsets]
                    clip_CTHW = torch.from_numpy(np.stack([frames[i] for i in indices])).permute(3, 0, 1, 2)
                    changed_CTHW = apply_option(clip_CTHW, clip.option, clip.variant)
                    pixels[len(filled)] = changed_CTHW.permute(1, 2, 3, 0)
                    filled.append(clip)
                    left -= 1
                    if len(filled) == batch_clips or left == 0:
                        yield Batch(shard, tuple(filled), pixels.permute(0, 4, 1, 2, 3), left == 0)
                        filled = []


def ahead(
    pool: ThreadPoolExecutor, function: Callable[[ItemT], ResultT], items: Iterable[ItemT], ahead: int
) -> Iterator[ResultT]:
    """Compute results in threads and give them in the order of `items`, at most `ahead` of them early."""
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


def extract(
    backbone: Backbone,
    dataset: Dataset,
    shards: Sequence[Shard],
    *,
    device: torch.device,
    precision: str = "fp32",
    max_pooled: bool = False,
    batch_clips: int | None = None,
    counters: Counters | None = None,
    on_clips: OnClips | None = None,
) -> Iterator[ShardFeatures]:
    """Forward every clip of `shards` once, and yield the features of each finished shard.

    Args:
        backbone: The network. It is moved to `device` and put into eval mode.
        dataset: The dataset of the videos.
        shards: The result of `cut_shards`.
        device: The device to run on.
        precision: "fp32" (TF32 stays off) or "bf16" (autocast; features are float32 all the same).
        max_pooled: Whether to add the papers' retrieval feature (`Backbone.stages`), from the same forward
            pass. It takes 36 kB a clip for the VCOP family; all stages' averages take 4 to 6 kB.
        batch_clips: Number of clips in a batch; a default for the device if left out.
        counters: Updated while the extraction runs.
        on_clips: Called with the number of clips after each batch.

    Raises:
        NonFiniteFeatures: If a clip's features contain NaN or infinity.
        UndecodableVideo: As `read_frames`.
    """
    counters = counters if counters is not None else Counters()
    batch_clips = batch_clips or BATCH_CLIPS[device.type]
    backbone = backbone.to(device=device, memory_format=torch.channels_last_3d).eval()  # type: ignore[call-overload]
    rows: dict[str, list[Floats]] = {}
    clips: list[Clip] = []
    batches = iter_batches(dataset, shards, backbone.spec, batch_clips=batch_clips, counters=counters)
    for batch in batches:
        begun = time.perf_counter()
        with inference(device, precision):
            pixels_BCTHW = batch.pixels_BCTHW.to(device, non_blocking=True)
            stages_BD = backbone.stages(pixels_BCTHW, max_pooled=max_pooled)
        for name, features_BD in stages_BD.items():
            rows.setdefault(name, []).append(features_BD[: len(batch.clips)].float().cpu().numpy())
        counters.forward_s += time.perf_counter() - begun
        counters.forwarded_clips += len(batch.clips)
        clips.extend(batch.clips)
        if on_clips:
            on_clips(len(batch.clips))
        if batch.ends_shard:
            stages = {name: np.concatenate(parts) for name, parts in rows.items()}
            _refuse_non_finite(stages, clips)
            yield ShardFeatures(clips=tuple(clips), stages=stages)
            rows, clips = {}, []


def _refuse_non_finite(stages: Mapping[str, Floats], clips: Sequence[Clip]) -> None:
    """Refuse NaN and infinity here, because a ranking would sort them without an error."""
    for name, rows_ND in stages.items():
        broken_N = ~np.isfinite(rows_ND).all(axis=1)
        if broken_N.any():
            first = clips[int(broken_N.argmax())]
            raise NonFiniteFeatures(
                f"NaN or infinity after {name} for {broken_N.sum()} of {len(clips)} clips, the first from "
                f"frame {first.start} of {first.video_id}. The weights are finite, so activations overflow "
                "or a normalisation divides by nothing; use another checkpoint."
            )


def inference(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """A context without gradients or TF32, with deterministic kernels, and autocast for "bf16"."""
    stack = ExitStack()
    stack.enter_context(torch.inference_mode())
    stack.enter_context(
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    )
    if precision == "bf16":
        stack.enter_context(torch.autocast(device.type, dtype=torch.bfloat16))
    return stack
