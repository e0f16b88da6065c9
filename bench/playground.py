"""Measures what reveals an action of the playground: the look of a frame, or the motion in a clip.

A network cannot locate the body to a fraction of a pixel. So a normal error is added to every position, in
pixels of the 320 x 240 frame. One pixel of r3d_tiny's input is 3.75 of these.

python -m bench.playground --errors 0 2 4
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt

from vcp_core import load_dataset
from vcp_core.datasets.playground.actions import ACTIONS, draw_path
from vcp_core.datasets.playground.chance import Chance
from vcp_core.datasets.playground.make import PlannedVideo, plan_videos
from vcp_core.features.reading import Counters, read_frames
from vcp_core.probes.logistic import fit_with_holdout
from vcp_core.video.clips import grid_starts
from vcp_core.video.frames import Geometry

Floats = npt.NDArray[np.float64]
CLIPS = 3


def motion(video: PlannedVideo, num_frames: int, error: float) -> list[Floats]:
    """A few numbers about the body's displacement in each of some clips of the video."""
    path = draw_path(video.action, video.num_frames, Chance(video.seed, "video", video.id))
    noise = np.random.default_rng([*video.id.encode()])
    places_TX = np.stack([path.x_T, path.height_T], axis=1)
    places_TX += error * noise.standard_normal(places_TX.shape)
    spans = range(1) if num_frames >= video.num_frames else grid_starts(video.num_frames, CLIPS, num_frames)
    return [_numbers(places_TX[start : start + num_frames]) for start in spans]


def _numbers(places_TX: Floats) -> Floats:
    speed_TX = np.diff(places_TX, axis=0)
    change_TX = np.diff(speed_TX, axis=0)
    turns_X = (np.sign(speed_TX[1:]) != np.sign(speed_TX[:-1])).mean(axis=0)
    moments = [
        f(values, axis=0) for values in (np.abs(speed_TX), change_TX) for f in (np.mean, np.std, np.max)
    ]
    return np.concatenate([*moments, np.ptp(places_TX, axis=0), turns_X])


def score(rows: list[list[Floats]], videos: list[PlannedVideo]) -> float:
    """Percentage of test videos that a linear probe gets right, by the mean over a video's clips."""
    labels = [list(ACTIONS).index(video.action) for video in videos]
    train = [i for i, video in enumerate(videos) if video.split == "train"]
    test = [i for i, video in enumerate(videos) if video.split == "test"]
    fitted = fit_with_holdout(
        np.concatenate([rows[i] for i in train]).astype(np.float64),
        np.array([labels[i] for i in train for _ in rows[i]]),
        [videos[i].group_name for i in train for _ in rows[i]],
        num_classes=len(ACTIONS),
        candidates=(1.0, 0.1, 0.01, 0.001),
    )
    guesses = [fitted.probe.probabilities(np.stack(rows[i])).mean(axis=0).argmax() for i in test]
    return float(100 * np.mean([guess == labels[i] for guess, i in zip(guesses, test, strict=True)]))


def looks() -> float:
    """The same percentage from the middle frame, resized to 8 x 8, of the local playground."""
    dataset = load_dataset("playground")
    planned = {video.id: video for video in plan_videos()}
    shape, rows = Geometry(resize=(8, 8), crop=(8, 8)), []
    for video in dataset.videos:
        frames = read_frames(dataset.path(video), video, [video.num_frames // 2], [0], shape, Counters())
        rows.append([np.stack(list(frames.values())).reshape(-1) / 255])
    return score(rows, [planned[video.id] for video in dataset.videos])


def main() -> None:
    """Print the percentage of right test videos for every kind of evidence."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--errors", type=float, nargs="+", default=[0, 2, 4])
    wanted = parser.parse_args()
    print(f"{'percent right, by error in pixels':<38} {'  '.join(f'{one:5.1f}' for one in wanted.errors)}")
    videos = plan_videos()
    for frames in (8, 16, 32, 1000):
        found = [score([motion(video, frames, error) for video in videos], videos) for error in wanted.errors]
        shown = f"{CLIPS} clips of {frames} frames" if frames < 1000 else "the whole video"
        print(f"displacement in {shown:<22} {'  '.join(f'{one:5.1f}' for one in found)}", flush=True)
    print(f"{'the middle frame, 8 x 8':<38} {looks():5.1f}")
    print(f"{'chance':<38} {100 / len(ACTIONS):5.1f}")


if __name__ == "__main__":
    main()
