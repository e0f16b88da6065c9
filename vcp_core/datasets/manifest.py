"""A dataset as the engine sees it: videos with labels, groups and splits, known by a fingerprint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Split = Literal["train", "test"]


@dataclass(frozen=True, kw_only=True)
class ListedVideo:
    """A video that a dataset lists, before anyone has looked at its file; attributes as in `Video`."""

    id: str
    label: str
    split: Split
    group: str | None = None


@dataclass(frozen=True, kw_only=True)
class Video:
    """One usable video of a dataset.

    Attributes:
        id: Its path relative to the dataset's root, with forward slashes; ties and seeds go by it.
        label: Name of its class.
        split: The side it is on.
        group: Videos of one group share a source (UCF101's `gXX`, a person, ...); None where unknown.
        sha256: Of the file's bytes.
        num_frames: Counted by decoding.
        num_damaged: Frames among them that the decoder had to make up in part.
        num_failed_packets: Packets of the file that the decoder refused; their frames are missing.
        stream: Which stream of the file was decoded, where it has several videos; "" where it has one.
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
    """A video that the dataset lists and that cannot be used, with the reason."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class NotTaken:
    """Files that a scan of a folder saw and did not take, for one reason.

    Attributes:
        reason: Why ("the suffix .txt is not a video's", "a broken link", ...).
        count: How many there are.
        examples: The first few of their paths, relative to the dataset's root; safe to print.
    """

    reason: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A manifest of videos, and where they lie.

    Attributes:
        name: What users type, or the folder's name.
        split_name: Which of its splits this is ("1" for UCF101's first).
        root: The folder that video ids are relative to; not part of the fingerprint.
        videos: Usable videos; kept sorted by id, because ties and the fingerprint go by that order.
        left_out: Listed but unusable.
        not_taken: Seen in the folder and not listed, by reason.
        licence: As the dataset's makers state it, or "unknown".
        source: What to type to load it again: name or folder, then options; empty where nobody can.
        warnings: What a reader of any result must know ("the same file is on both sides", ...).
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
        object.__setattr__(self, "videos", tuple(sorted(self.videos, key=lambda video: video.id)))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of all classes, sorted."""
        return tuple(sorted({video.label for video in self.videos}))

    def side(self, split: Split) -> tuple[Video, ...]:
        """The videos of one side, sorted by id."""
        return tuple(video for video in self.videos if video.split == split)

    def to_json(self) -> str:
        """All of it but its source as text; `from_json` reads it."""
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
        """The dataset that `to_json` wrote; its files are not looked at."""
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
        """Where the video's file lies."""
        return self.root / video.id

    @property
    def fingerprint(self) -> str:
        """SHA-256 over every video's id, label, split, group, bytes and frame count; not over the name."""
        rows = [[v.id, v.label, v.split, v.group, v.sha256, v.num_frames] for v in self.videos]
        return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()
