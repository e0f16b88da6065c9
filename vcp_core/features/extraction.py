"""Feature extraction: it decodes every clip that a benchmark needs once, and forwards it once.

Threads decode videos (`vcp_core.features.reading`). Clips are cut from 8-bit frames. They go through the
network in batches of one fixed shape, and the last batch is padded. So on one device a clip's feature depends
only on the clip, not on its batch or shard (measured: equal bit for bit).

On a CPU the features of some backbones also depend on torch's number of threads. Between one and two threads
those of r2plus1d and r2plus1d_18 differed by 2e-7 and 4e-7 of the largest feature. Those of c3d and r3d_tiny
did not differ.

Legend: B clips of a batch, N clips of a shard, C channels, T frames, H height, W width, D features.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vcp_core.backbones.base import Backbone
from vcp_core.backbones.folding import folded
from vcp_core.catalog.errors import NonFiniteFeatures
from vcp_core.catalog.specs import BackboneSpec
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features.bank import Floats, ShardFeatures
from vcp_core.features.reading import Counters, Reading, cores, geometry_of, read_frames
from vcp_core.features.shards import BATCH_CLIPS, Clip, Shard
from vcp_core.graphs import Graph, expect_alone
from vcp_core.video.operations import apply_option

OnClips = Callable[[int], None]


class Batch(NamedTuple):
    """Clips of one shard with their pixels. Rows from `len(clips)` on are padding."""

    shard: Shard
    clips: tuple[Clip, ...]
    pixels_BCTHW: Tensor
    ends_shard: bool


def clip_pixels(
    frames: Mapping[int, npt.NDArray[np.uint8]], clip: Clip, num_frames: int, offsets: Sequence[int]
) -> Tensor:
    """Cut a clip from a video's frames, and apply the clip's option: what the network sees, as (T, H, W, C).

    Args:
        frames: The result of `read_frames`.
        clip: The clip.
        num_frames: Frames of the video. A video that is shorter than the clip is looped.
        offsets: Distance of each frame of the clip from the clip's first, in frames of the video.

    >>> frames = {i: np.full((2, 2, 3), i, np.uint8) for i in range(8)}
    >>> clip_pixels(frames, Clip("a.mp4", 2, "adjacent", "0-2"), 8, range(4))[:, 0, 0, 0].tolist()
    [4, 3, 2, 5]
    """
    indices = [(clip.start + t) % num_frames for t in offsets]
    clip_CTHW = torch.from_numpy(np.stack([frames[i] for i in indices])).permute(3, 0, 1, 2)
    return apply_option(clip_CTHW, clip.option, clip.variant).permute(1, 2, 3, 0)


def iter_batches(
    dataset: Dataset,
    shards: Sequence[Shard],
    spec: BackboneSpec,
    *,
    batch_clips: int,
    reading: Reading,
    counters: Counters,
) -> Iterator[Batch]:
    r"""Pixels of every clip, uint8, in batches of one fixed shape. A batch holds clips of one shard only.

    The caller forwards a batch before it asks for the next. `reading` says what decodes meanwhile.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> from vcp_core.catalog.files import sha256_of
    >>> from vcp_core.features.shards import cut_shards
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.y4m")
    ...     _ = path.write_bytes(b"YUV4MPEG2 W32 H32 F25:1 C420\n" + 20 * (b"FRAME\n" + bytes(1536)))
    ...     hashed = sha256_of(path)
    ...     video = Video(id="a.y4m", label="a", split="test", group=None, sha256=hashed, num_frames=20)
    ...     dataset = Dataset(name="one", split_name="1", root=Path(folder), videos=(video,))
    ...     shards = cut_shards([video], lambda video: [Clip("a.y4m", start) for start in (0, 2, 4)])
    ...     reading = Reading(threads=1, videos=1, in_turns=True)
    ...     for batch in iter_batches(dataset, shards, BACKBONES["r3d_tiny"], batch_clips=2,
    ...                               reading=reading, counters=Counters()):
    ...         [clip.start for clip in batch.clips], tuple(batch.pixels_BCTHW.shape), batch.ends_shard
    ([0, 2], (2, 3, 16, 56, 56), False)
    ([4], (2, 3, 16, 56, 56), True)
    """
    geometry = geometry_of(spec)
    channels, clip_frames, height, width = spec.clip_shape
    offsets = range(0, spec.clip_span, spec.stride)

    def read(item: tuple[Video, tuple[Clip, ...]]) -> dict[int, npt.NDArray[np.uint8]]:
        video, clips = item
        starts = {clip.start for clip in clips}
        return read_frames(dataset.path(video), video, starts, offsets, geometry, counters)

    items = [item for shard in shards for item in shard.videos]
    with reading.results(read, items) as decoded:
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
                    pixels[len(filled)] = clip_pixels(frames, clip, video.num_frames, offsets)
                    filled.append(clip)
                    left -= 1
                    if len(filled) == batch_clips or left == 0:
                        yield Batch(shard, tuple(filled), pixels.permute(0, 4, 1, 2, 3), left == 0)
                        # Older pixels stay. Rows behind `filled` are padding, which `extract` drops.
                        filled = []


def extract(
    backbone: Backbone,
    dataset: Dataset,
    shards: Sequence[Shard],
    *,
    device: torch.device,
    precision: str = "fp32",
    max_pooled: bool = False,
    alone: bool = True,
    batch_clips: int | None = None,
    reading: Reading | None = None,
    counters: Counters | None = None,
    on_clips: OnClips | None = None,
) -> Iterator[ShardFeatures]:
    r"""Forward every clip of `shards` once, and yield the features of each finished shard.

    Args:
        backbone: The network, in the form of `ready` or not.
        dataset: The dataset of the videos.
        shards: The result of `cut_shards`.
        device: The device to run on.
        precision: "fp32" (TF32 stays off) or "bf16" (autocast; features are float32 all the same).
        max_pooled: Whether to add the papers' retrieval feature (`Backbone.stages`), from the same forward
            pass. It takes 36 kB a clip for the VCOP family; all stages' averages take 4 to 6 kB.
        alone: Whether to compare two clips of a graph's first batch with the same clips alone, in fp32.
        batch_clips: Number of clips in a batch; a default for the device if left out.
        reading: How videos are decoded; `reading_beside(device)` if left out.
        counters: Updated while the extraction runs.
        on_clips: Called with the number of clips after each batch.

    Raises:
        NonFiniteFeatures: If a clip's features contain NaN or infinity.
        GraphError: If a graph's features of a clip depend on the other clips of its batch, or if an operation
            of it fails.
        UndecodableVideo: As `read_frames`.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from vcp_core.backbones.pixels import Pixels
    >>> from vcp_core.catalog.backbones import BACKBONES
    >>> from vcp_core.catalog.files import sha256_of
    >>> from vcp_core.features.shards import cut_shards
    >>> network = Pixels(BACKBONES["r3d_tiny"])  # its features are the average colours of a clip
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.y4m")
    ...     frame = b"FRAME\n" + bytes([235] * 1024 + [128] * 512)  # white
    ...     _ = path.write_bytes(b"YUV4MPEG2 W32 H32 F25:1 C420\n" + 20 * frame)
    ...     hashed = sha256_of(path)
    ...     video = Video(id="a.y4m", label="a", split="test", group=None, sha256=hashed, num_frames=20)
    ...     dataset = Dataset(name="one", split_name="1", root=Path(folder), videos=(video,))
    ...     shards = cut_shards([video], lambda video: [Clip("a.y4m", 0), Clip("a.y4m", 4)])
    ...     (features,) = extract(network, dataset, shards, device=torch.device("cpu"))
    >>> [(stage, rows_ND.shape, float(rows_ND.min())) for stage, rows_ND in features.stages.items()]
    [('pixels', (2, 768), 1.0)]
    """
    counters = counters if counters is not None else Counters()
    batch_clips = batch_clips or BATCH_CLIPS[device.type]
    backbone = ready(backbone, device)
    rows: dict[str, list[Floats]] = {}
    clips: list[Clip] = []
    unchecked = alone and isinstance(backbone, Graph)
    batches = iter_batches(
        dataset,
        shards,
        backbone.spec,
        batch_clips=batch_clips,
        reading=reading or reading_beside(device),
        counters=counters,
    )
    for batch in batches:
        if unchecked and len(batch.clips) > 1:
            with inference(device, "fp32"):
                expect_alone(backbone, batch.pixels_BCTHW[[0, len(batch.clips) - 1]].to(device))
            unchecked = False
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


def reading_beside(device: torch.device) -> Reading:
    """How videos are decoded beside a network on this device.

    >>> reading_beside(torch.device("cuda")).in_turns  # a GPU leaves the cores to the decoding threads
    False
    """
    return Reading.on(cores(), network_threads=0 if device.type == "cuda" else torch.get_num_threads())


def ready(backbone: Backbone, device: torch.device) -> Backbone:
    """The form in which a network is forwarded: in eval mode, on the device, with its normalisations folded.

    The network itself is put into eval mode. If it has batch normalisations, a copy is folded and moved; else
    the network itself is moved. So for a network that is ready, this does nothing.

    >>> from vcp_core.backbones import build
    >>> network = ready(build("r3d_tiny"), torch.device("cpu"))
    >>> network.conv1.temporal_spatial_conv.bias is None
    False
    """
    backbone = folded(backbone.eval())
    # In batches of 8, this layout is the faster one on a CPU (docs/decisions/2026-11-23-batches.md).
    return backbone.to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload, no-any-return]


def inference(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """A context without gradients or TF32, with deterministic kernels, and autocast for "bf16".

    >>> with inference(torch.device("cpu"), "bf16"):
    ...     product = torch.ones(2, 2) @ torch.ones(2, 2, requires_grad=True)
    >>> product.dtype, product.requires_grad
    (torch.bfloat16, False)
    """
    stack = ExitStack()
    stack.enter_context(torch.inference_mode())
    stack.enter_context(
        # Not benchmarked: kernels that are chosen by their time may differ from run to run.
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    )
    if precision == "bf16":
        stack.enter_context(torch.autocast(device.type, dtype=torch.bfloat16))
    return stack
