"""From listed videos to a dataset: every file is hashed and its frames are counted, once.

What was found out about a file is kept in the user's cache, one JSON file per dataset root, and holds as
long as the file's size, its modification time and the decoder stay the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import av

from vcp_core.catalog.errors import StorageError, UndecodableVideo, UnsupportedVideo
from vcp_core.catalog.files import write_json
from vcp_core.catalog.paths import cache_dir
from vcp_core.datasets.checks import assemble, check_sides, some
from vcp_core.datasets.manifest import Dataset, LeftOut, ListedVideo, NotTaken, Video
from vcp_core.datasets.parallel import Progress, each_in_threads
from vcp_core.video.examine import examine

MIN_FRAMES = 2  # one frame is a picture: it has no motion, and looped it would be 16 times the same
SAVE_EVERY_S = 10.0
LOOK = 2  # raise it when the same decoder's frames would be looked at otherwise
DECODER = (
    f"PyAV {av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}, look {LOOK}"
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is known about a file.

    Attributes:
        size: In bytes.
        mtime_ns: When it was last modified.
        sha256: Of its bytes.
        num_frames: Counted by decoding; 0 where that is not possible.
        num_damaged: Frames that the decoder had to make up in part.
        trouble: Why the file cannot be used; empty where it can.
        passing: Whether the trouble may be gone next time, the bytes being the same.
    """

    size: int
    mtime_ns: int
    sha256: str = ""
    num_frames: int = 0
    num_damaged: int = 0
    trouble: str = ""
    passing: bool = False


class IndexCache:
    """What is known about the files under one root.

    Args:
        root: The dataset's folder.

    Raises:
        StorageError: On `save`, if the cache folder cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root.resolve())
        name = hashlib.sha256(os.fsencode(self._root)).hexdigest()[:32]
        self._path = cache_dir() / "index" / f"{name}.json"
        self._found = self._read()

    def get(self, video_id: str, stat: os.stat_result) -> Found | None:
        """What is known, if it still holds."""
        found = self._found.get(video_id)
        return found if found and (found.size, found.mtime_ns) == (stat.st_size, stat.st_mtime_ns) else None

    def put(self, video_id: str, found: Found) -> None:
        """Remember."""
        self._found[video_id] = found

    def save(self) -> None:
        """Write what is known, together with what another process has written since."""
        self._found = {**self._read(), **self._found}
        videos = {name: asdict(found) for name, found in self._found.items()}
        write_json(self._path, {"root": self._root, "decoder": DECODER, "videos": videos})

    def _read(self) -> dict[str, Found]:
        """Empty where there is no cache, or one of another decoder, or one that cannot be read."""
        try:
            kept = json.loads(self._path.read_text())
            if kept["decoder"] != DECODER:
                return {}
            return {name: Found(**found) for name, found in kept["videos"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}


def index_videos(
    listed: Sequence[ListedVideo],
    *,
    name: str,
    split_name: str,
    root: Path,
    licence: str = "unknown",
    not_taken: Sequence[NotTaken] = (),
    warnings: Sequence[str] = (),
    progress: Progress | None = None,
) -> Dataset:
    """Look at every listed file, and make a dataset of the usable ones.

    Videos that are missing, empty, undecodable or of fewer than two frames are named in `left_out`.
    Interrupted, it keeps what it has found out so far.

    Args:
        listed: Videos by path relative to `root`.
        name: As `Dataset`.
        split_name: As `Dataset`.
        root: As `Dataset`.
        licence: As `Dataset`.
        not_taken: As `Dataset`.
        warnings: What was found out about the folder before.
        progress: Called with (videos done, videos in all).

    Raises:
        DatasetError: As `check_sides`, for what is listed and again for what is usable.
        StorageError: If the cache cannot be written.
    """
    check_sides(listed)
    found = _look_at([video.id for video in listed], root, progress)
    reasons = {video_id: _reason(one) for video_id, one in found.items()}
    usable = [
        Video(
            **asdict(video),
            sha256=found[video.id].sha256,
            num_frames=found[video.id].num_frames,
            num_damaged=found[video.id].num_damaged,
        )
        for video in listed
        if not reasons[video.id]
    ]
    damaged = {video.id: found[video.id].num_damaged for video in usable if found[video.id].num_damaged}
    return assemble(
        usable,
        name=name,
        split_name=split_name,
        root=root,
        left_out=[LeftOut(id=video_id, reason=reason) for video_id, reason in reasons.items() if reason],
        licence=licence,
        not_taken=not_taken,
        warnings=[*warnings, *_damage(damaged)],
    )


def _damage(num_frames: Mapping[str, int]) -> list[str]:
    if not num_frames:
        return []
    total = sum(num_frames.values())
    return [
        f"{total} frames in {len(num_frames)} videos are damaged and used as the decoder mends them: "
        f"{some(num_frames)}."
    ]


def _look_at(ids: Sequence[str], root: Path, progress: Progress | None) -> dict[str, Found]:
    cache = IndexCache(root)
    found: dict[str, Found] = {}
    unknown: list[str] = []
    for video_id in ids:
        known = _at_a_glance(video_id, root, cache)
        if known:
            found[video_id] = known
        else:
            unknown.append(video_id)
    if progress:
        progress(len(found), len(ids))
    if not unknown:
        return found
    cache.save()  # a cache that cannot be written should say so before hours of decoding
    saved = time.monotonic()
    try:
        for video_id, one in each_in_threads(lambda video_id: _decode(video_id, root), unknown):
            found[video_id] = one
            if not one.passing:
                cache.put(video_id, one)
            if progress:
                progress(len(found), len(ids))
            if time.monotonic() - saved > SAVE_EVERY_S:
                cache.save()
                saved = time.monotonic()
    finally:
        cache.save()
    return found


def _at_a_glance(video_id: str, root: Path, cache: IndexCache) -> Found | None:
    """What takes no reading: files that are not there, are empty, or are known."""
    try:
        stat = (root / video_id).stat()
    except OSError as error:
        return Found(size=0, mtime_ns=0, trouble=(error.strerror or "cannot be read").lower())
    if stat.st_size == 0:
        return Found(size=0, mtime_ns=stat.st_mtime_ns, trouble="the file is empty")
    return cache.get(video_id, stat)


def _decode(video_id: str, root: Path) -> Found:
    path = root / video_id
    size, mtime_ns, sha256, passing = 0, 0, "", False
    try:
        stat = path.stat()
        size, mtime_ns = stat.st_size, stat.st_mtime_ns
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        seen = examine(path)
    except OSError as error:
        trouble, passing = (error.strerror or "cannot be read").lower(), True
    except StorageError as error:
        trouble, passing = str(error).removeprefix(f"{path}: "), True
    except UndecodableVideo:
        trouble = "cannot be decoded"
    except UnsupportedVideo as error:
        trouble = str(error)
    else:
        return Found(size=size, mtime_ns=mtime_ns, sha256=sha256, **asdict(seen))
    return Found(size=size, mtime_ns=mtime_ns, sha256=sha256, trouble=trouble, passing=passing)


def _reason(found: Found) -> str:
    if found.trouble:
        return found.trouble
    if found.num_frames < MIN_FRAMES:
        return f"it has {found.num_frames} frame, and at least {MIN_FRAMES} are needed"
    return ""
