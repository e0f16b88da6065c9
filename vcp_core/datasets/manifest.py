"""The type of a dataset: videos with labels, groups and sides, and a fingerprint of all that."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Split = Literal["train", "test"]


@dataclass(frozen=True, kw_only=True)
class ListedVideo:
    """A video that a dataset lists. Its file has not been read yet. The attributes are those of `Video`."""

    id: str
    label: str
    split: Split
    group: str | None = None


@dataclass(frozen=True, kw_only=True)
class Video:
    """One usable video of a dataset.

    Attributes:
        id: The path relative to the dataset's root, with forward slashes. The id decides ties and seeds.
        label: Name of the class.
        split: The side of the video.
        group: Name of the group. Videos of one group share a source (UCF101's `gXX`, a person, ...). None if
            the group is unknown.
        sha256: SHA-256 of the file's bytes.
        num_frames: Number of frames, counted by decoding.
        num_damaged: How many of these frames the decoder had to make up in part.
        num_failed_packets: Packets of the file that the decoder refused. Their frames are missing.
        stream: Description of the decoded stream if the file has several videos; "" if it has one.
    """

    id: str
    label: str
    split: Split
    group: str | None
    sha256: str
    num_frames: int
    num_damaged: int = 0
    num_failed_packets: int = 0
    stream: str = ""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A video that the dataset lists but that cannot be used, with the reason."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class NotTaken:
    """Files that a scan of a folder saw and did not take, for one reason.

    Attributes:
        reason: Why they are not taken ("the suffix .txt is not a video's", "a broken link", ...).
        count: Number of these files.
        examples: A few of their paths, relative to the dataset's root; safe to print.
    """

    reason: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A list of checked videos, and the folder in which they lie.

    Attributes:
        name: The dataset's name in the catalog, or the folder's name.
        split_name: Name of the split ("1" for UCF101's first).
        root: The folder that video ids are relative to. It is not part of the fingerprint.
        videos: The usable videos, sorted by id, because ties and the fingerprint depend on their order.
        left_out: Listed videos that cannot be used.
        not_taken: Other files that were seen in the folder, by reason.
        licence: The licence as the dataset's makers state it, or "unknown".
        source: The arguments that load the dataset again: name or folder, then options. Empty if unknown.
        warnings: Warnings for every reader of a result ("the same file is on both sides", ...).

    >>> from dataclasses import replace
    >>> video = Video(
    ...     id="wave/b.mp4", label="wave", split="test", group=None, sha256="0" * 64, num_frames=120
    ... )
    >>> other = replace(video, id="clap/a.mp4", label="clap", split="train")
    >>> dataset = Dataset(name="gestures", split_name="1", root=Path("/data/gestures"), videos=(video, other))
    >>> dataset.classes, [video.id for video in dataset.side("test")]
    (('clap', 'wave'), ['wave/b.mp4'])
    >>> replace(dataset, root=Path("/mnt/copy"), name="copy").fingerprint == dataset.fingerprint
    True
    """

    name: str
    split_name: str
    root: Path
    videos: tuple[Video, ...]
    left_out: tuple[LeftOut, ...] = ()
    not_taken: tuple[NotTaken, ...] = ()
    licence: str = "unknown"
    warnings: tuple[str, ...] = ()
    source: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        # The class is frozen, and a plain assignment raises.
        object.__setattr__(self, "videos", tuple(sorted(self.videos, key=lambda video: video.id)))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of all classes, sorted."""
        return tuple(sorted({video.label for video in self.videos}))

    def side(self, split: Split) -> tuple[Video, ...]:
        """The videos of one side, sorted by id."""
        return tuple(video for video in self.videos if video.split == split)

    def to_json(self) -> str:
        """Write the dataset without its source as JSON. `from_json` reads it."""
        return json.dumps(
            {
                "name": self.name,
                "split_name": self.split_name,
                "root": str(self.root),
                "videos": [asdict(video) for video in self.videos],
                "left_out": [asdict(video) for video in self.left_out],
                "not_taken": [asdict(files) for files in self.not_taken],
                "licence": self.licence,
                "warnings": self.warnings,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Dataset:
        """Read a dataset that `to_json` wrote. The video files are not read."""
        values = json.loads(text)
        return cls(
            name=values["name"],
            split_name=values["split_name"],
            root=Path(values["root"]),
            videos=tuple(Video(**video) for video in values["videos"]),
            left_out=tuple(LeftOut(**video) for video in values["left_out"]),
            not_taken=tuple(
                NotTaken(**{**files, "examples": tuple(files["examples"])})
                for files in values.get("not_taken", ())  # manifests from before 2026-11-28 have none
            ),
            licence=values["licence"],
            warnings=tuple(values["warnings"]),
        )

    def path(self, video: Video) -> Path:
        """Give the path of a video's file."""
        return self.root / video.id

    @property
    def fingerprint(self) -> str:
        """SHA-256 over id, label, split, group, bytes and frame count of every video; not over the name."""
        # Order and form of this text decide every fingerprint, and so which results share a board.
        rows = [[v.id, v.label, v.split, v.group, v.sha256, v.num_frames] for v in self.videos]
        return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()
