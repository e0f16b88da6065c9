"""The way of research scripts, as a baseline: every benchmark has passes of its own over whole videos.

A DataLoader's worker decodes the whole video for each item, makes a PIL picture of every frame, resizes it,
and cuts clips. A frozen network in fp32 forwards one clip (or one tuple of three) a video and probe epoch,
and ten clips a video to test. Nothing is kept between passes. The probe itself is left out: it costs little.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from vcp_core.backbones.base import Backbone
from vcp_core.catalog.options import OPTION_NAMES, OPTIONS
from vcp_core.features.reading import geometry_of
from vcp_core.video.clips import TupleShape, grid_starts
from vcp_core.video.operations import apply_option

BATCH_ITEMS, WORKERS = 8, 2
TEST_CLIPS = 10


@dataclass(frozen=True)
class Pass:
    """One pass over some videos: what a DataLoader's item holds."""

    paths: Sequence[Path]
    clips: str  # "one", "grid", "tuple" (one random option) or "tuples" (all options)
    seed: int = 0


class _Items(TorchDataset[Tensor]):
    def __init__(self, wanted: Pass, backbone: Backbone) -> None:
        self._wanted, self._spec = wanted, backbone.spec

    def __len__(self) -> int:
        return len(self._wanted.paths)

    def __getitem__(self, index: int) -> Tensor:
        """The clips of a video, float32 (clips, C, T, H, W) in [0, 1]."""
        rng = np.random.default_rng([self._wanted.seed, index])
        video_TCHW = _read(self._wanted.paths[index], *geometry_of_pil(self._spec))
        clips = self._clips(video_TCHW, rng)
        return torch.stack(clips).permute(0, 2, 1, 3, 4).float() / 255

    def _clips(self, video_TCHW: Tensor, rng: np.random.Generator) -> list[Tensor]:
        span, num_frames = self._spec.clip_span, len(video_TCHW)

        def cut(start: int) -> Tensor:
            return video_TCHW[[(start + t) % num_frames for t in range(0, span, self._spec.stride)]]

        if self._wanted.clips == "one":
            return [cut(int(rng.integers(max(num_frames - span, 0) + 1)))]
        if self._wanted.clips == "grid":
            return [cut(start) for start in grid_starts(num_frames, TEST_CLIPS, span)]
        shape = TupleShape(clip_frames=span)
        start = int(rng.integers(max(num_frames - shape.span, 0) + 1))
        options = OPTION_NAMES if self._wanted.clips == "tuples" else [str(rng.choice(OPTION_NAMES))]
        clips = []
        for option in options:
            withheld = start + shape.stride
            if option == "remote":
                shown = cut((start + shape.span + shape.remote_gap) % num_frames)
            else:
                variant = str(rng.choice(OPTIONS[option].variants))
                shown = apply_option(cut(withheld).permute(1, 0, 2, 3), option, variant).permute(1, 0, 2, 3)
            clips += [cut(start), shown, cut(start + 2 * shape.stride)]
        return clips


def geometry_of_pil(spec: object) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """PIL's size (width, height) and the box of the centre crop."""
    geometry = geometry_of(spec)  # type: ignore[arg-type]
    (height, width), (top, left), (rows, columns) = geometry.resize, geometry.offset, geometry.crop
    return (width, height), (left, top, left + columns, top + rows)


def _read(path: Path, size: tuple[int, int], box: tuple[int, int, int, int]) -> Tensor:
    pictures = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = frame.to_image()  # type: ignore[no-untyped-call]
            pictures.append(np.asarray(picture.resize(size, Image.Resampling.BILINEAR).crop(box)))
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def run(wanted: Pass, backbone: Backbone, device: torch.device) -> tuple[float, int]:
    """Forward the clips of a pass. Gives seconds and the number of clips."""
    loader = DataLoader(_Items(wanted, backbone), BATCH_ITEMS, num_workers=WORKERS)
    begun, num_clips = time.perf_counter(), 0
    network: nn.Module = backbone.to(device).eval()
    with torch.no_grad():
        for items in loader:
            clips_BCTHW = items.flatten(0, 1)
            for part in clips_BCTHW.split(BATCH_ITEMS):
                network(part.to(device)).cpu()  # a script keeps the features of a batch on the host
            num_clips += len(clips_BCTHW)
    return time.perf_counter() - begun, num_clips


@dataclass(frozen=True)
class Cost:
    """Seconds and clips of all passes, with one probe epoch, and of each epoch more."""

    first_s: float
    first_clips: int
    epoch_s: float
    epoch_clips: int

    def of(self, epochs: int) -> tuple[float, int]:
        """Seconds and clips with so many epochs. Epochs beyond the second cost what the second cost."""
        more = epochs - 1
        return self.first_s + more * self.epoch_s, self.first_clips + more * self.epoch_clips


def measure(train: Sequence[Path], test: Sequence[Path], backbone: Backbone, device: torch.device) -> Cost:
    """Run recognition, retrieval and cloze, each with two probe epochs."""
    once = [Pass(test, "grid"), Pass([*train, *test], "grid"), Pass(test, "tuples")]
    first, second = ([Pass(train, "one", seed), Pass(train, "tuple", seed)] for seed in (1, 2))
    costs = {"once": 0.0, "first": 0.0, "second": 0.0}
    clips = dict.fromkeys(costs, 0)
    for name, passes in (("once", once), ("first", first), ("second", second)):
        for wanted in passes:
            seconds, count = run(wanted, backbone, device)
            costs[name] += seconds
            clips[name] += count
    return Cost(
        first_s=costs["once"] + costs["first"],
        first_clips=clips["once"] + clips["first"],
        epoch_s=costs["second"],
        epoch_clips=clips["second"],
    )
