"""Make a dataset of listed videos: hash every file and count its frames, once.

The user's cache keeps the findings, in one JSON file for each dataset root. A finding is valid as long as the
file's `Identity` and the decoder stay the same. If the identity changed and the bytes did not (a copy, a new
owner), the file is hashed again, and not decoded again.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av

from vcp_core.catalog.errors import StorageError, VideoError
from vcp_core.catalog.files import sha256_of, write_json
from vcp_core.catalog.names import counted
from vcp_core.catalog.paths import cache_dir
from vcp_core.datasets.checks import assemble, check_sides, some
from vcp_core.datasets.manifest import Dataset, LeftOut, ListedVideo, NotTaken, Video
from vcp_core.datasets.parallel import Progress, each_in_threads
from vcp_core.video.examine import Examined, examine
from vcp_core.video.reasons import EMPTY, of_os_error

MIN_FRAMES = 2  # one frame is a picture: it has no motion, and looped it would be 16 times the same
CHANGED = "it changed while it was read; load the dataset again when it is complete"
SAVE_EVERY_S = 10.0
LOOK = 5  # raise it when `examine` would find something else with the same decoder
DECODER = (
    f"PyAV {av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}, look {LOOK}"
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The facts by which a file is recognised without reading it.

    Size and modification time are not enough: `cp -p` and `rsync -t` can put other bytes of the same length
    in place with the old time. Only the system sets the time of change. A file that replaces another has an
    inode of its own.

    Attributes:
        size: Size in bytes.
        mtime_ns: Time of the last change of the bytes. The file's owner can set it.
        ctime_ns: Time of the last change of anything of the file. Only the system sets it.
        inode: Number of the file in the file system.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Identity:
        """Take the identity from the system's status of the file."""
        return cls(size=stat.st_size, mtime_ns=stat.st_mtime_ns, ctime_ns=stat.st_ctime_ns, inode=stat.st_ino)


NOWHERE = Identity(size=0, mtime_ns=0, ctime_ns=0, inode=0)


@dataclass(frozen=True, kw_only=True)
class Found:
    """The findings about a file.

    Attributes:
        identity: The facts by which the file is recognised.
        sha256: SHA-256 of the file's bytes.
        seen: The result of decoding; None if the file cannot be decoded.
        trouble: Why the file cannot be used; "" if it can.
        passing: Whether the trouble may be gone at the next try with the same bytes. Such findings are not
            kept in the cache.
    """

    identity: Identity
    sha256: str = ""
    seen: Examined | None = None
    trouble: str = ""
    passing: bool = False

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Found:
        """Rebuild the findings from the values of `dataclasses.asdict`."""
        seen = values["seen"]
        return cls(
            **{
                **values,
                "identity": Identity(**values["identity"]),
                "seen": Examined(**seen) if seen else None,
            }
        )


def index_file(root: str) -> Path:
    """The file of the user's cache that keeps the findings about the files under a root."""
    # A path has slashes, and may be longer than a file's name can be.
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:32]
    return cache_dir() / "index" / f"{name}.json"


class IndexCache:
    """The cached findings about the files under one root.

    Args:
        root: The dataset's folder.

    Raises:
        StorageError: On `save`, if the cache folder cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root.resolve())
        self._path = index_file(self._root)
        self._found = self._read()

    def get(self, video_id: str) -> Found | None:
        """Give the findings about a video. The caller checks that its identity or bytes are the same."""
        return self._found.get(video_id)

    def put(self, video_id: str, found: Found) -> None:
        """Remember the findings about a video."""
        self._found[video_id] = found

    def save(self) -> None:
        """Write the cache. Findings that another process wrote in the meantime are kept."""
        self._found = {**self._read(), **self._found}
        videos = {name: asdict(found) for name, found in self._found.items()}
        write_json(self._path, {"root": self._root, "decoder": DECODER, "videos": videos})

    def _read(self) -> dict[str, Found]:
        """Read the cache: empty if there is none, it is of another decoder, or it cannot be read."""
        try:
            kept = json.loads(self._path.read_text())
            if kept["decoder"] != DECODER:
                return {}
            return {name: Found.from_dict(found) for name, found in kept["videos"].items()}
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
    r"""Examine every listed file, and make a dataset of the usable ones.

    `left_out` names the videos that are missing, empty, undecodable or of fewer than two frames. If the work
    is interrupted, the cache keeps the findings so far.

    Args:
        listed: The videos, by path relative to `root`.
        name: As in `Dataset`.
        split_name: As in `Dataset`.
        root: As in `Dataset`.
        licence: As in `Dataset`.
        not_taken: As in `Dataset`.
        warnings: Warnings about the folder.
        progress: Called with (videos done, videos in all).

    Raises:
        DatasetError: As in `check_sides`, first for the listed videos and then for the usable ones.
        StorageError: If the cache cannot be written.

    >>> import tempfile
    >>> from unittest import mock
    >>> sides = {"a": "train", "b": "train", "c": "test"}
    >>> listed = [ListedVideo(id=f"{label}/{name}.y4m", label=label, split=sides[name])
    ...     for label in ("clap", "wave") for name in sides]
    >>> with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, VCPBENCH_CACHE=folder):
    ...     for grey, video in enumerate(listed[1:]):  # the first file is missing
    ...         frames = 20 * (b"FRAME\n" + bytes([grey]) * 1536)
    ...         Path(folder, video.label).mkdir(exist_ok=True)
    ...         _ = Path(folder, video.id).write_bytes(b"YUV4MPEG2 W32 H32 F25:1 C420\n" + frames)
    ...     made = index_videos(listed, name="gestures", split_name="1", root=Path(folder))
    >>> [video.num_frames for video in made.videos], [video.id for video in made.left_out]
    ([20, 20, 20, 20, 20], ['clap/a.y4m'])
    """
    check_sides(listed)
    found = _look_at([video.id for video in listed], root, progress)
    reasons = {video_id: _reason(one) for video_id, one in found.items()}
    usable = [_video(video, found[video.id]) for video in listed if not reasons[video.id]]
    hdr = {video.id: seen.hdr for video in usable if (seen := found[video.id].seen) and seen.hdr}
    return assemble(
        usable,
        name=name,
        split_name=split_name,
        root=root,
        left_out=[LeftOut(id=video_id, reason=reason) for video_id, reason in reasons.items() if reason],
        licence=licence,
        not_taken=not_taken,
        warnings=[*warnings, *_damage(usable), *_streams(usable), *_curves(hdr)],
    )


def _video(listed: ListedVideo, found: Found) -> Video:
    assert found.seen is not None, listed.id
    return Video(
        **asdict(listed),
        sha256=found.sha256,
        num_frames=found.seen.num_frames,
        num_damaged=found.seen.num_damaged,
        num_failed_packets=found.seen.num_failed_packets,
        stream=found.seen.stream,
    )


def _damage(videos: Sequence[Video]) -> list[str]:
    warnings = []
    failed = {video.id: video.num_failed_packets for video in videos if video.num_failed_packets}
    if failed:
        warnings.append(
            f"{counted(sum(failed.values()), 'packet')} in {counted(len(failed), 'video')} cannot be "
            f"decoded. Frames are missing: {some(failed)}."
        )
    damaged = {video.id: video.num_damaged for video in videos if video.num_damaged}
    if damaged:
        warnings.append(
            f"{sum(damaged.values())} frames in {len(damaged)} videos are damaged. They are used as the "
            f"decoder repairs them: {some(damaged)}."
        )
    return warnings


def _streams(videos: Sequence[Video]) -> list[str]:
    chosen = [f"{video.id} ({video.stream})" for video in videos if video.stream]
    if not chosen:
        return []
    return [
        f"{len(chosen)} files hold several videos, and the one that FFmpeg takes for the best is used: "
        f"{some(chosen)}."
    ]


def _curves(hdr: Mapping[str, str]) -> list[str]:
    """Warn of each transfer curve that is not of SDR; `hdr` is the curve by video."""
    return [
        f"{len(own)} videos have the HDR transfer curve {curve}, and their pixels are used without tone "
        f"mapping. They look flat to a network that was trained on SDR: {some(own)}."
        for curve in sorted(set(hdr.values()))
        if (own := [video_id for video_id, one in hdr.items() if one == curve])
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
    cache.save()  # before hours of decoding, so that a cache that cannot be written fails now
    saved = time.monotonic()
    try:
        for video_id, one in each_in_threads(
            lambda video_id: _decode(video_id, root, cache.get(video_id)), unknown
        ):
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
    """Give the findings that need no reading: on missing, empty and cached files. None for all others."""
    try:
        status = (root / video_id).stat()
    except OSError as error:
        return Found(identity=NOWHERE, trouble=of_os_error(error))
    identity = Identity.of(status)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        return Found(identity=identity, trouble="it is not a file; remove it from the dataset")
    if status.st_size == 0:
        return Found(identity=identity, trouble=EMPTY)
    known = cache.get(video_id)
    return known if known and known.identity == identity else None


def _decode(video_id: str, root: Path, known: Found | None) -> Found:
    """Read and decode a file. If `known` is about the same bytes, the file is not decoded again."""
    path = root / video_id
    identity, sha256, seen, passing = NOWHERE, "", None, False
    try:
        identity = Identity.of(path.stat())
        sha256 = sha256_of(path)
        if known and known.sha256 == sha256:
            trouble, seen = known.trouble, known.seen
        else:
            trouble, seen = "", examine(path)
        if not _is_still(path, identity):
            trouble, passing = CHANGED, True
    except OSError as error:
        trouble, passing = of_os_error(error), True
    except StorageError as error:
        trouble, passing = str(error.fields["reason"]), True
    except VideoError as error:
        trouble = error.reason
        if not _is_still(path, identity):
            trouble, passing = CHANGED, True
    return Found(identity=identity, sha256=sha256, seen=seen, trouble=trouble, passing=passing)


def _is_still(path: Path, identity: Identity) -> bool:
    """Tell whether the file is still the same: nobody wrote to it while it was read."""
    try:
        return Identity.of(path.stat()) == identity
    except OSError:
        return False


def _reason(found: Found) -> str:
    if found.trouble or found.seen is None:
        return found.trouble
    if found.seen.num_frames < MIN_FRAMES:
        return (
            f"it has only {counted(found.seen.num_frames, 'frame')}, and a video needs at least "
            f"{MIN_FRAMES}; remove it from the dataset"
        )
    return ""
