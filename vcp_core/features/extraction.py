"""The engine: the union of the clips that benchmarks need, each decoded once and forwarded once.

Videos are decoded ahead in threads (PyAV, NumPy and torch release the interpreter), clips are made from
8-bit frames and go through the network in batches of one fixed shape, the last one padded: on one device, a
clip's feature then depends on nothing but the clip, whatever else is in its batch or shard (measured: bit for
bit). On a CPU some backbones' features depend on torch's number of threads, too: those of r2plus1d and
r2plus1d_18 differed by 2e-7 and 4e-7 of the largest between one and two, of c3d and r3d_tiny by nothing.

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
from threadpoolctl import threadpool_limits
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
DECODERS = 2
VIDEOS_AHEAD = 4  # at most 9 MB of frames each under standard-v1


@dataclass
class Counters:
    """What the engine did, for progress, provenance and bench/; seconds are wall time.

    `decode_s` adds up the decoding threads and overlaps with the rest; `wait_s` is how long the network
    waited for them.
    """

    decoded_frames: int = 0
    forwarded_clips: int = 0
    decode_s: float = 0.0
    wait_s: float = 0.0
    forward_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add_decoded(self, num_frames: int, seconds: float) -> None:
        """Count frames that came out of a decoder, from any thread."""
        with self._lock:
            self.decoded_frames += num_frames
            self.decode_s += seconds


class Batch(NamedTuple):
    """Clips of one shard and their pixels; rows beyond `len(clips)` are padding."""

    shard: Shard
    clips: tuple[Clip, ...]
    pixels_BCTHW: Tensor
    ends_shard: bool


def geometry_of(spec: BackboneSpec) -> Geometry:
    """The frame size that a backbone is native to."""
    return Geometry(resize=spec.resize, crop=(spec.clip_shape[2], spec.clip_shape[3]))


def read_frames(
    path: Path,
    video: Video,
    starts: Iterable[int],
    offsets: Sequence[int],
    geometry: Geometry,
    counters: Counters,
) -> dict[int, npt.NDArray[np.uint8]]:
    """The frames at `offsets` from `starts`, by index; a video shorter than a clip is looped.

    Raises:
        UndecodableVideo: If the file's bytes are not those that were indexed.
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
    # After the decoding, so that a file which changes in its course is noticed, too. Hashing took 5 ms where
    # decoding took 600 (a video of 250 frames, 640 x 272).
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
    """Pixels of every clip, uint8, in batches of one fixed shape that never cross a shard's border."""
    geometry = geometry_of(spec)
    channels, clip_frames, height, width = spec.clip_shape
    offsets = range(0, spec.clip_span, spec.stride)

    def read(item: tuple[Video, tuple[Clip, ...]]) -> dict[int, npt.NDArray[np.uint8]]:
        video, clips = item
        starts = {clip.start for clip in clips}
        return read_frames(dataset.path(video), video, starts, offsets, geometry, counters)

    items = [item for shard in shards for item in shard.videos]
    # The planes' products are small and each decoder has its own thread: BLAS threads on top of those only
    # fight over the cores with the network (four times slower on two cores).
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(DECODERS, thread_name_prefix="decode") as pool,
    ):
        decoded = ahead(pool, read, items, VIDEOS_AHEAD)
        for shard in shards:
            # Batch, time, height, width, channel: seen as (B, C, T, H, W) this is torch's channels_last_3d.
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
    """Results in the order of `items`, at most `ahead` of them computed before they are asked for."""
    pending: deque[Future[ResultT]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:  # an error or Ctrl-C must not wait for videos that nobody will look at
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
    """Forward every clip of `shards` once, and give each shard's features when it is done.

    Args:
        backbone: The network; it is moved to `device` and put into eval mode.
        dataset: Where the videos lie.
        shards: From `cut_shards`.
        device: Where to run.
        precision: "fp32" (TF32 stays off) or "bf16" (autocast; features are float32 all the same).
        max_pooled: Whether to keep the papers' retrieval feature as well (`Backbone.stages`): from the same
            forward pass, and 36 kB a clip for the VCOP family, beside 4 to 6 kB of all stages' averages.
        batch_clips: Clips of a batch; a default by device.
        counters: Filled while the extraction runs.
        on_clips: Called with the number of clips after each batch.

    Raises:
        NonFiniteFeatures: If the network gives NaN or infinity for a clip.
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
    """Here, where features leave the network: a ranking would sort NaN somewhere and say nothing."""
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
    """No gradients, no TF32, deterministic kernels; autocast where the protocol says bf16."""
    stack = ExitStack()
    stack.enter_context(torch.inference_mode())
    stack.enter_context(
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    )
    if precision == "bf16":
        stack.enter_context(torch.autocast(device.type, dtype=torch.bfloat16))
    return stack
