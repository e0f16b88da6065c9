"""Previews of a built-in dataset: bytes, time to make, time to serve, and 20,000 videos estimated from these.

    python -m bench.media                  playground-344, 16 of its test videos
    python -m bench.media --videos 200     all of them
    python -m bench.media --codecs         clips of the same videos by other encoders of PyAV's wheel

One process makes the previews, as one worker does. Serving reads a file of a stored group and compares its
hash, as the service does for each request. HTTP is not in these numbers.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from records.storage import Storage, media_key
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.previews import (
    CLIP,
    QUESTIONED_VIDEOS_OF_A_JOB,
    STRIP,
    VIDEOS_OF_A_JOB,
    clip_geometry,
    frame_geometry,
)
from vcp_core.catalog.protocols import load_protocol
from vcp_core.datasets import load_dataset
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features.reading import Counters, geometry_of, read_frames
from vcp_core.previews import encoding
from vcp_core.previews.making import File, question_files, shown_frames, spec_like, video_files

ESTIMATED = 20_000  # videos
CODECS: dict[str, tuple[str, str, dict[str, str]]] = {  # name: encoder, container, options
    "VP9, realtime": ("libvpx-vp9", "webm", {"crf": "32", "deadline": "realtime", "cpu-used": "8"}),
    "VP9, good": ("libvpx-vp9", "webm", {"crf": "36", "deadline": "good", "cpu-used": "2"}),
    "AV1": ("libsvtav1", "webm", {"crf": "40", "preset": "10", "svtav1-params": "lp=1"}),
    "H.264": ("libx264", "mp4", {"crf": "28", "preset": "veryfast"}),
}


def main() -> None:
    """Make previews, and print what they take."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dataset", default="playground-344")
    parser.add_argument("--backbone", default="r3d")
    parser.add_argument("--protocol", default="standard-v1")
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--codecs", action="store_true")
    options = parser.parse_args()
    dataset, spec = load_dataset(options.dataset), BACKBONES[options.backbone]
    protocol, side = load_protocol(options.protocol), dataset.side("test")
    videos = side[:: max(1, len(side) // options.videos)][: options.videos]
    geometry = clip_geometry(spec)
    print(f"{len(videos)} of {len(side)} test videos of {dataset.name}, {geometry}, {protocol.name}")
    if options.codecs:
        _codecs(dataset, videos, frame_geometry(spec))
        return
    next(iter(question_files(dataset, videos[0], geometry, protocol)))  # loads torch
    _measure(
        "video", VIDEOS_OF_A_JOB, videos, lambda video: video_files(dataset, video, frame_geometry(spec))
    )
    _measure(
        "video's questions",
        QUESTIONED_VIDEOS_OF_A_JOB,
        videos,
        lambda video: question_files(dataset, video, geometry, protocol),
    )


def _measure(
    what: str, of_a_job: int, videos: Sequence[Video], make: Callable[[Video], Iterable[File]]
) -> None:
    begun = time.perf_counter()
    made = [list(make(video)) for video in videos]
    making_s = (time.perf_counter() - begun) / len(videos)
    files = [file for one in made for file in one]
    size = sum(len(file.content) for file in files) / len(videos)
    print(f"a {what}: {size:,.0f} bytes in {len(files) / len(videos):.0f} files, {making_s:.2f} s to make")
    for form in (STRIP, CLIP):
        sizes = [len(file.content) for file in files if file.name.endswith(form)]
        print(f"    {form}: {np.mean(sizes):,.0f} bytes, {max(sizes):,} at most")
    serving_ms = _serving_ms(files[: of_a_job * len(files) // len(videos)])
    print(f"    {serving_ms:.2f} ms to serve a file (median of {len(files)} reads at most)")
    hours, gigabytes = ESTIMATED * making_s / 3600, ESTIMATED * size / 1e9
    print(f"    {ESTIMATED:,} videos: {gigabytes:.1f} GB, {hours:.1f} hours of one worker")


def _serving_ms(files: list[File]) -> float:
    """The median time to read a file of a stored group, in ms."""
    content = b"".join(file.content for file in files)
    key = media_key(hashlib.sha256(content).hexdigest())
    taken, begin = [], 0
    with tempfile.TemporaryDirectory() as folder:
        store = Storage(Path(folder).as_uri())
        store.put_bytes(key, content)
        for file in files:
            sha256 = hashlib.sha256(file.content).hexdigest()
            begun = time.perf_counter()
            store.get_part(key, begin, len(file.content), sha256=sha256)
            taken.append(1000 * (time.perf_counter() - begun))
            begin += len(file.content)
    return float(np.median(taken))


def _codecs(dataset: Dataset, videos: Sequence[Video], geometry: str) -> None:
    size = geometry_of(spec_like(geometry))
    for name, (encoder, container, options) in CODECS.items():
        sizes, seconds, errors = [], [], []
        for video in videos:
            indices = shown_frames(video.num_frames)
            read = read_frames(dataset.path(video), video, [0], indices, size, Counters())
            frames_THWC = np.stack([read[index] for index in indices])
            begun = time.process_time()
            content = _encoded(frames_THWC, encoder, container, options)
            seconds.append(time.process_time() - begun)
            sizes.append(len(content))
            with av.open(io.BytesIO(content), "r") as file:
                shown = np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])
            errors.append(np.mean((shown.astype(float) - frames_THWC) ** 2))
        psnr = 10 * np.log10(255**2 / np.mean(errors))
        print(f"{name}: {np.mean(sizes):,.0f} bytes, {np.mean(seconds):.3f} s of CPU, PSNR {psnr:.1f} dB")


def _encoded(frames_THWC: encoding.Frames, encoder: str, container: str, options: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(encoder, rate=encoding.RATE, options=options)
        stream.height, stream.width = frames_THWC.shape[1:3]
        stream.pix_fmt, stream.bit_rate, stream.gop_size = "yuv420p", 0, len(frames_THWC)
        stream.thread_count = 1
        for number, frame_HWC in enumerate(frames_THWC):
            frame = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1) / encoding.RATE
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


if __name__ == "__main__":
    main()
