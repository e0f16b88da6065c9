"""Measures what a frame costs: to decode, and to resize, convert and pack for the network, on one core.

python -m bench.frames                 ours, compiled and NumPy, and the way of research code (PIL)
python -m bench.frames --videos FOLDER   of your own videos, not of rehearsal scenes
python -m bench.frames --json

Microseconds of CPU time a frame, the median over rounds. The ways take turns, so a slow minute of a shared
machine meets all of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from bench.rehearsal.scenes import draw, encode
from vcp_core.video import frames
from vcp_core.video.decode import iter_frames
from vcp_core.video.frames import Geometry, frame_to_rgb

GEOMETRY = Geometry()
CODECS = {"mpeg4": "mpeg4.avi", "libx264": "h264.mp4"}
MOST_FRAMES = 128  # of a file


def decode(path: Path) -> list[av.VideoFrame]:
    """Decode the first frames of a file as the engine does."""
    return list(islice(iter_frames(path), MOST_FRAMES))


def ours(decoded: Iterable[av.VideoFrame]) -> None:
    """Resize and convert every frame, and pack each 16 frames into a batch, as the engine does."""
    pack([frame_to_rgb(frame, GEOMETRY) for frame in decoded])


def by_numpy(decoded: Iterable[av.VideoFrame]) -> None:
    """The same work without the compiled kernel."""
    compiled, frames.IS_COMPILED = frames.IS_COMPILED, False
    try:
        ours(decoded)
    finally:
        frames.IS_COMPILED = compiled


def by_pil(decoded: Iterable[av.VideoFrame]) -> None:
    """The way of research code: the whole RGB picture, PIL's bilinear resize, the centre crop."""
    (height, width), (top, left), (rows, columns) = GEOMETRY.resize, GEOMETRY.offset, GEOMETRY.crop
    box = (left, top, left + columns, top + rows)
    bilinear = Image.Resampling.BILINEAR
    whole = (frame.to_image() for frame in decoded)  # type: ignore[no-untyped-call]
    pictures = (picture.resize((width, height), bilinear).crop(box) for picture in whole)
    pack([np.asarray(picture) for picture in pictures])


def pack(pictures: list[np.ndarray]) -> None:
    """Copy clips of 16 frames into a batch of the engine's layout."""
    batch = torch.zeros((8, 16, *GEOMETRY.crop, 3), dtype=torch.uint8)
    for number, start in enumerate(range(0, len(pictures) - 15, 16)):
        batch[number % 8] = torch.from_numpy(np.stack(pictures[start : start + 16]))


def measure(path: Path, rounds: int) -> dict[str, float]:
    """Median microseconds of CPU time a frame, by way."""
    decoded = decode(path)
    ways: dict[str, Callable[[], object]] = {
        "decode": lambda: decode(path),
        "ours": lambda: ours(decoded),
        "numpy": lambda: by_numpy(decoded),
        "pil": lambda: by_pil(decoded),
    }
    if not frames.IS_COMPILED:
        del ways["ours"]
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            begun = time.thread_time()
            run()
            times[way].append(1e6 * (time.thread_time() - begun) / len(decoded))
    return {way: statistics.median(taken) for way, taken in times.items()}


def made_videos(folder: Path) -> Iterator[Path]:
    """Encode one rehearsal scene with each codec."""
    for codec, name in CODECS.items():
        encode(folder / name, draw(17, 0, MOST_FRAMES), codec)
        yield folder / name


def main() -> None:
    """Print one line a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=Path, help="a folder of videos; default: a scene by two codecs")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        paths = sorted(arguments.videos.iterdir()) if arguments.videos else list(made_videos(Path(made)))
        measured = {path.name: measure(path, arguments.rounds) for path in paths}
    if arguments.json:
        print(json.dumps(measured, indent=2))
        return
    print("us a frame             decode    ours   numpy     pil   decode's share of decode + ours")
    for name, times in measured.items():
        cells = "".join(
            f"{times[way]:8.0f}" if way in times else "       -" for way in ("decode", "ours", "numpy", "pil")
        )
        share = times["decode"] / (times["decode"] + times.get("ours", times["numpy"]))
        print(f"{name:<21}{cells}   {share:.0%}")


if __name__ == "__main__":
    main()
