"""Why a file cannot be used as a video, in a sentence for the user; each ends with what to do next.

FFmpeg calls a web page, a recording without its index and a damaged header all "invalid data", so the first
bytes and the file's outer boxes are looked at when it refuses one. Sentences have no full stop: a list of
left-out videos and an error's text put them in sentences of their own.
"""

from __future__ import annotations

import codecs
import errno
import os
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import av
import av.error

from vcp_core.catalog.errors import StorageError
from vcp_core.video.cut import top_boxes

EMPTY = "the file is empty; copy or download it again"
AGAIN = "copy or download it again"
NO_DECODER = (
    f"its video codec has no decoder in FFmpeg {av.ffmpeg_version_info}, which is used here; "
    "convert the video to H.264"
)
ENCRYPTED = "its pictures are encrypted (DRM) and cannot be decoded; use a copy without encryption"
ABOUT_THE_PATH = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)  # not the disk's

_HEAD_BYTES = 4096
_LFS = b"version https://git-lfs.github.com/spec/"
_PLAYLISTS = (b"#EXTM3U", b"ffconcat version", b"[playlist]", b"v=0\r\n", b"v=0\n")
_OTHER_FILES = {
    b"PK\x03\x04": "it is a ZIP archive; unpack it",
    b"Rar!\x1a\x07": "it is a RAR archive; unpack it",
    b"7z\xbc\xaf\x27\x1c": "it is a 7z archive; unpack it",
    b"\x1f\x8b": "it is a gzip file; unpack it",
    b"%PDF": "it is a PDF document; remove it from the dataset",
    b"\x00\x05\x16\x07": "it holds what macOS keeps beside a file (AppleDouble), not the video; delete it",
}
_TEXT_CONTROLS = frozenset("\t\n\r\f\x1b")


def said_by(error: Exception) -> str:
    """What FFmpeg or the system said, in lower case and without numbers and paths."""
    if isinstance(error, av.error.FFmpegError) and error.errno == errno.EPERM:
        return "FFmpeg gives no reason"  # some decoders return a bare -1, which is "operation not permitted"
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".").lower()


def cannot_be_used_now(reason: str, path: Path | str) -> StorageError:
    """The error for a file that another try may read; its reason has no full stop, as a video's has none."""
    return StorageError(f"{reason}.", path=path, reason=reason)


def of_os_error(error: OSError) -> str:
    """Why a path cannot be opened."""
    if isinstance(error, PermissionError):
        return "there is no permission to read it; let the user that runs vcpbench read it (chmod +r)"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "there is no such file; correct the list, or put the file where the list says"
    if isinstance(error, IsADirectoryError):
        return "it is a folder and not a file; remove it from the dataset"
    return f"it cannot be read now ({said_by(error)}); try again"


def of_no_container(path: Path | str, said: str) -> str:
    """Why FFmpeg did not find a video container in a file."""
    return _by_content(path) or f"FFmpeg cannot open it ({said}); try playing it, or leave it out"


def of_no_frame(path: Path | str, said: str) -> str:
    """Why not one frame came out of a container."""
    found = _by_content(path)
    if found:
        return found
    if said:
        return f"no frame of it can be decoded ({said}); try playing it, or leave it out"
    return f"it has a video stream and not one frame in it; {AGAIN}"


def of_no_video(path: Path | str, kinds: Collection[str]) -> str:
    """Why no stream of a container is a video; `kinds` are the kinds of stream that there are."""
    found = _by_content(path)
    if found:
        return found
    if not kinds:
        return f"no sound and no pictures were found in it; {AGAIN}"
    cover = "a picture (cover art)" if "video" in kinds else ""
    sound = "sound" if "audio" in kinds else ""
    held = " and ".join(filter(None, (sound, cover))) or ", ".join(sorted(kinds))
    return f"it holds {held} and no video; remove it from the dataset"


def _by_content(path: Path | str) -> str:
    """What the file is instead of a video, as its bytes say; "" where they say nothing."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(_HEAD_BYTES)
            return _by_head(head, size) or _by_boxes(file, size)
    except OSError as error:
        return of_os_error(error)


def _by_head(head: bytes, size: int) -> str:
    if not head:
        return EMPTY
    if head.startswith(_LFS):
        return "it is a Git LFS pointer and not the video; run `git lfs pull` in its repository"
    if not any(head):
        return f"it begins with nothing but zeros, as an unfinished download does; {AGAIN}"
    for magic, reason in _OTHER_FILES.items():
        if head.startswith(magic):
            return reason
    text = _text(head, whole=size <= len(head))
    start = (text or head.decode("latin-1")).lstrip().lower()
    if start.startswith(("<!doctype html", "<html")) or (text and "<html" in start):
        return (
            "it is a web page (HTML), as servers send for an error or a sign-in, and not the video; "
            "download it again"
        )
    if head.lstrip().startswith(_PLAYLISTS) or (text and "<mpd" in start):
        return "it is a playlist, which only names other files; put the video itself in its place"
    if text:
        begin = " ".join(text.split())[:40]
        return f"it is a text file (it begins with {begin!r}); put the video in its place"
    return ""


def _text(head: bytes, *, whole: bool) -> str:
    """The bytes as text; "" where they are not text."""
    encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head, final=whole)
    except UnicodeDecodeError:
        return ""
    return text if all(char.isprintable() or char in _TEXT_CONTROLS for char in text) else ""


def _by_boxes(file: BinaryIO, size: int) -> str:
    """What an MP4 or QuickTime file lacks."""
    boxes = list(top_boxes(file, size))
    names = [name for name, _ in boxes]
    if not {b"ftyp", b"mdat", b"wide"} & set(names):
        return ""
    if b"moov" not in names:
        return (
            "its index (the moov atom) is missing, because the recording or the copy was cut off; "
            "copy it again from its source, or rebuild the index with a tool such as untrunc"
        )
    if names[-1] == b"moov" and boxes[-1][1] > size:
        return f"it is cut off within its index (the moov atom); {AGAIN}"
    return ""
