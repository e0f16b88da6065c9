"""Make the playground's files: choose the videos, encode them, and write the manifest last.

A full playground has 50 groups of 4 videos: 36 groups to train on and 14 to test on. Two neighbouring groups
share the eight actions, so every action has the same number of videos on each side. A smaller playground
has the first groups of each side, and its files are the same bytes.

The unit of a confidence interval is the group. So a playground for quick evaluations tests on few videos of
many groups.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from vcp_core.catalog.errors import DatasetError
from vcp_core.catalog.files import whole, write_json
from vcp_core.datasets.manifest import Split, Video
from vcp_core.datasets.parallel import Progress, each_in_threads
from vcp_core.datasets.playground.actions import ACTIONS, draw_path
from vcp_core.datasets.playground.chance import Chance
from vcp_core.datasets.playground.scene import Painter, draw_appearance
from vcp_core.datasets.playground.scenery import HEIGHT, WIDTH

RECIPE = 2  # raise it with any change that changes a pixel
FPS = 25
MIN_FRAMES, MAX_FRAMES = 96, 160  # the fewest frames with room for all five options (PROTOCOL 3), and 6.4 s
VIDEOS_PER_GROUP = len(ACTIONS) // 2
NUM_TRAIN, NUM_TEST = 144, 56  # videos of the playground
MOST_TEST = 200  # test videos of playground-344
CODEC: Final = "libx264"
# "zerolatency" turns off lookahead, and with it x264's macroblock tree. With the tree, the files were not the
# same every time: 4 of 6 videos, each encoded 12 times on two threads, came out in several versions (PyAV
# 18.1, x264 core 165). Without it, 60 encodings of each gave one version.
CODEC_OPTIONS = {"preset": "veryfast", "tune": "zerolatency", "crf": "24", "threads": "1"}


@dataclass(frozen=True, kw_only=True)
class PlannedVideo:
    """A video that is planned and not made yet.

    Attributes:
        seed: Seed of the playground.
        action: The action, which is the video's class.
        group: Number of the group, from 1. Groups of the test side come after those of the full train side.
        split: The side of the video.
    """

    seed: int
    action: str
    group: int
    split: Split

    @property
    def id(self) -> str:
        """The path below the playground's folder."""
        return f"{self.action}/{self.group_name}.mp4"

    @property
    def group_name(self) -> str:
        """The group's name in the manifest."""
        return f"g{self.group:02d}"

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return MIN_FRAMES + Chance(self.seed, "length", self.id).below(MAX_FRAMES - MIN_FRAMES + 1)


def plan_videos(
    *,
    num_train: int = NUM_TRAIN,
    num_test: int = NUM_TEST,
    per_test_group: int = VIDEOS_PER_GROUP,
    seed: int = 0,
) -> list[PlannedVideo]:
    """Plan the videos of a playground, sorted by id.

    Args:
        num_train: Number of training videos: a multiple of 8 up to 144, so that classes are balanced.
        num_test: Number of test videos: a multiple of 8 up to 200.
        per_test_group: How many videos of a test group to take on average: 4 (all of them), 2 or 1. With
            fewer, the same number of test videos comes from more groups.
        seed: The seed of the playground.

    Raises:
        DatasetError: If a number is not allowed.

    >>> len(plan_videos(num_train=40, num_test=24))
    64
    """
    if per_test_group not in (1, 2, VIDEOS_PER_GROUP):
        raise DatasetError(f"A test group of the playground gives 1, 2 or 4 videos, not {per_test_group}.")
    stride = VIDEOS_PER_GROUP // per_test_group
    for num, most in ((num_train, NUM_TRAIN), (num_test, MOST_TEST // stride)):
        if num % len(ACTIONS) or not 0 < num <= most:
            raise DatasetError(f"A side of the playground has 8, 16, ... up to {most} videos, not {num}.")
    every = [
        *_side("train", 1, num_train // len(ACTIONS), seed),
        *_side(
            "test", 1 + NUM_TRAIN // VIDEOS_PER_GROUP, stride * num_test // len(ACTIONS), seed, stride=stride
        ),
    ]
    return sorted(every, key=lambda video: video.id)


def _side(split: Split, first: int, num_pairs: int, seed: int, *, stride: int = 1) -> Iterator[PlannedVideo]:
    """Yield the videos of `num_pairs` pairs of neighbouring groups, from group `first` on.

    Every `stride`-th of a pair's eight actions is taken. Each pair begins one action earlier than the pair
    before it. So `stride` pairs together have every action once.
    """
    actions = list(ACTIONS)
    for pair in range(num_pairs):
        group = first + 2 * pair
        for index, action in enumerate(_shuffled_actions(seed, group)):
            if (actions.index(action) + pair) % stride == 0:
                own = group + index // VIDEOS_PER_GROUP
                yield PlannedVideo(seed=seed, action=action, group=own, split=split)


def make(
    folder: Path,
    *,
    num_train: int = NUM_TRAIN,
    num_test: int = NUM_TEST,
    per_test_group: int = VIDEOS_PER_GROUP,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Make the videos that are not there yet, then the manifest.

    If the work is interrupted, the next call continues it.

    Args:
        folder: The folder of the videos. It is made if it is missing.
        num_train: As in `plan_videos`.
        num_test: As in `plan_videos`.
        per_test_group: As in `plan_videos`.
        seed: As in `plan_videos`.
        progress: Called with (videos done, videos in all).

    Returns:
        The manifest's path.

    Raises:
        DatasetError: If the folder holds a playground of another seed or recipe, or PyAV has no H.264.
        StorageError: If the folder cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     make(Path(folder), num_train=12)
    Traceback (most recent call last):
    vcp_core.catalog.errors.DatasetError: A side of the playground has 8, 16, ... up to 144 videos, not 12.
    """
    if CODEC not in av.codecs_available:
        raise DatasetError(
            f"This PyAV has no {CODEC}, and the playground needs that encoder. The wheels of PyAV have it: "
            "pip install av."
        )
    planned = plan_videos(num_train=num_train, num_test=num_test, per_test_group=per_test_group, seed=seed)
    _claim(folder, seed)
    missing = [video for video in planned if not (folder / video.id).exists()]
    done = len(planned) - len(missing)
    if progress:
        progress(done, len(planned))
    for _ in each_in_threads(lambda video: render(video, folder / video.id), missing):
        done += 1
        if progress:
            progress(done, len(planned))
    manifest = folder / manifest_name(num_train + num_test)
    rows = [_row(video, folder) for video in planned]
    # Last: `read_manifest` takes a manifest for a sign that the playground is whole.
    write_json(manifest, {"recipe": RECIPE, "seed": seed, "videos": rows})
    return manifest


def manifest_name(num_videos: int) -> str:
    """Name the manifest of a playground with `num_videos` videos.

    >>> manifest_name(136)
    'playground-136.json'
    """
    return f"playground-{num_videos}.json"


def render(video: PlannedVideo, path: Path) -> None:
    """Make the file of one video. One version of PyAV gives the same bytes every time."""
    look = draw_appearance(Chance(video.seed, "look", video.group))
    chance = Chance(video.seed, "video", video.id)
    body = draw_path(video.action, video.num_frames, chance)
    painter = Painter(look, body, chance)
    with (
        whole(path) as part,
        # `bitexact`: no version of FFmpeg in the file, whose hash is in the dataset's fingerprint.
        av.open(str(part), "w", format="mp4", container_options={"fflags": "+bitexact"}) as container,
    ):
        stream = container.add_stream(CODEC, rate=FPS, options=CODEC_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for t in range(video.num_frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(painter.frame(t)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))  # the frames that the encoder still holds


def read_manifest(path: Path, *, seed: int = 0) -> list[Video] | None:
    """Read the videos of a manifest.

    Returns:
        The videos; None if the manifest or one of its files is missing, or is of another seed or recipe.

    Raises:
        DatasetError: If a file has another size than the one that was made.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, manifest_name(8))
    ...     write_json(path, {"recipe": RECIPE, "seed": 1, "videos": []})
    ...     read_manifest(path, seed=0), read_manifest(path, seed=1)
    (None, [])
    """
    if not path.exists():
        return None
    made = json.loads(path.read_text())
    if (made["recipe"], made["seed"]) != (RECIPE, seed):
        return None
    for row in made["videos"]:
        file = path.parent / row["id"]
        if not file.exists():
            return None
        if file.stat().st_size != row.pop("num_bytes"):
            raise DatasetError(
                file, f" was changed after it was made. Delete it and {path.name}, and it is made again."
            )
    return [Video(**row) for row in made["videos"]]


def _shuffled_actions(seed: int, group: int) -> list[str]:
    chance = Chance(seed, "actions", group)
    left = list(ACTIONS)
    return [left.pop(chance.below(len(left))) for _ in ACTIONS]


def _claim(folder: Path, seed: int) -> None:
    """Note seed and recipe in the folder, or check them.

    `make` keeps files that are already there, so they must be of the same playground.
    """
    note = folder / "recipe.json"
    wanted = {"recipe": RECIPE, "seed": seed}
    if not note.exists():
        write_json(note, wanted)
    held = json.loads(note.read_text())
    if held != wanted:
        raise DatasetError(
            folder, f" holds the playground {held}, not {wanted}. Choose another folder, or delete it."
        )


def _row(video: PlannedVideo, folder: Path) -> dict[str, Any]:
    data = (folder / video.id).read_bytes()
    made = Video(
        id=video.id,
        label=video.action,
        split=video.split,
        group=video.group_name,
        sha256=hashlib.sha256(data).hexdigest(),
        num_frames=video.num_frames,
    )
    return {**asdict(made), "num_bytes": len(data)}
