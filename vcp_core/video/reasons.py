"""Sentences for the user that say why a file cannot be used as a video, and what to do next.

FFmpeg says "invalid data" of a web page, of a recording without its index and of a damaged header alike. So
these functions look at the first bytes and the outermost boxes of a file that FFmpeg refused. The sentences
have no full stop, because errors and the list of left-out videos put them into sentences of their own.
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
    f"FFmpeg {av.ffmpeg_version_info}, which vcpbench uses, has no decoder for its video codec; "
    "convert the video to H.264"
)
ENCRYPTED = "its pictures are encrypted (DRM) and cannot be decoded; use a copy without encryption"
TOO_MANY_PIXELS = (
    "its frames have far more pixels than a video of its size, and decoding them would take too long; remove "
    "it from the dataset, or make its frames smaller"
)
# Errors that say that the path is wrong; any other OSError says that the disk failed.
ABOUT_THE_PATH = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)

_HEAD_BYTES = 4096
_LFS = b"version https://git-lfs.github.com/spec/"
_PLAYLISTS = (b"#EXTM3U", b"ffconcat version", b"[playlist]", b"v=0\r\n", b"v=0\n")
_OTHER_FILES = {
    b"PK\x03\x04": "it is a ZIP archive; unpack it",
    b"Rar!\x1a\x07": "it is a RAR archive; unpack it",
    b"7z\xbc\xaf\x27\x1c": "it is a 7z archive; unpack it",
    b"\x1f\x8b": "it is a gzip file; unpack it",
    b"%PDF": "it is a PDF document; remove it from the dataset",
    b"\x00\x05\x16\x07": "it is a file of macOS about another file (AppleDouble) and no video; delete it",
}
_TEXT_CONTROLS = frozenset("\t\n\r\f\x1b")


def said_by(error: Exception) -> str:
    """Give FFmpeg's or the system's message, in lower case and without numbers and paths.

    >>> said_by(EOFError("End of file.")), said_by(av.error.FFmpegError(errno.EPERM, "Not permitted"))
    ('end of file', 'FFmpeg gives no reason')
    """
    if isinstance(error, av.error.FFmpegError) and error.errno == errno.EPERM:
        return "FFmpeg gives no reason"  # some decoders return a bare -1, which is "operation not permitted"
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".").lower()


def cannot_be_used_now(reason: str, path: Path | str) -> StorageError:
    """Make the error for a file that a retry may read; `reason` has no full stop.

    >>> cannot_be_used_now("the disk failed. Try again", "/data/a.mp4").fields
    {'reason': 'the disk failed. Try again'}
    """
    return StorageError(f"{reason}.", path=path, reason=reason)


def of_os_error(error: OSError) -> str:
    """Say why a path cannot be opened.

    >>> of_os_error(FileNotFoundError())
    'there is no such file; correct the list, or put the file where the list says'
    >>> of_os_error(OSError(errno.EIO, "Input/output error"))
    'it cannot be read now (input/output error); try again'
    """
    if isinstance(error, PermissionError):
        return "vcpbench has no permission to read it; give its user that permission (chmod +r)"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "there is no such file; correct the list, or put the file where the list says"
    if isinstance(error, IsADirectoryError):
        return "it is a folder and not a file; remove it from the dataset"
    return f"it cannot be read now ({said_by(error)}); try again"


def of_no_container(path: Path | str, said: str) -> str:
    """Say why FFmpeg did not find a video container in a file.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"<html>Sign in</html>"), file.flush()
    ...     print(of_no_container(file.name, "invalid data").partition(" (a ")[0])
    it is a web page (HTML) and not the video
    """
    return _by_content(path) or f"FFmpeg cannot open it ({said}); try playing it, or leave it out"


def of_no_frame(path: Path | str, said: str) -> str:
    r"""Say why not one frame came out of a container.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"\x80\x81\x82"), file.flush()
    ...     print(of_no_frame(file.name, "invalid data"))
    none of its frames can be decoded (invalid data); try playing it, or leave it out
    """
    found = _by_content(path)
    if found:
        return found
    if said:
        return f"none of its frames can be decoded ({said}); try playing it, or leave it out"
    return f"its video stream holds not one frame; {AGAIN}"


def of_no_video(path: Path | str, kinds: Collection[str]) -> str:
    r"""Say why no stream of a container is a video; `kinds` are the kinds of its streams.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"ID3\xff\xfb"), file.flush()
    ...     print(of_no_video(file.name, {"audio"}))
    it holds sound and no video; remove it from the dataset
    """
    found = _by_content(path)
    if found:
        return found
    if not kinds:
        return f"it holds neither sound nor pictures; {AGAIN}"
    cover = "a picture (cover art)" if "video" in kinds else ""
    sound = "sound" if "audio" in kinds else ""
    held = " and ".join(filter(None, (sound, cover))) or ", ".join(sorted(kinds))
    return f"it holds {held} and no video; remove it from the dataset"


def _by_content(path: Path | str) -> str:
    """Say by its bytes what a file is instead of a video; "" if the bytes do not show it."""
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
        return f"its first {len(head)} bytes are zeros, as in an unfinished download; {AGAIN}"
    for magic, reason in _OTHER_FILES.items():
        if head.startswith(magic):
            return reason
    text = _text(head, whole=size <= len(head))
    start = (text or head.decode("latin-1")).lstrip().lower()
    if start.startswith(("<!doctype html", "<html")) or (text and "<html" in start):
        return (
            "it is a web page (HTML) and not the video (a server may have sent an error or a sign-in page); "
            "download the video again"
        )
    if head.lstrip().startswith(_PLAYLISTS) or (text and "<mpd" in start):
        return "it is a playlist, which only names other files; replace it with the video"
    if text:
        begin = " ".join(text.split())[:40]
        return f"it is a text file (it begins with {begin!r}); replace it with the video"
    return ""


def _text(head: bytes, *, whole: bool) -> str:
    """Decode the bytes as text; "" if they are not text."""
    encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        # Incremental, because the head may end in the middle of a character.
        text = codecs.getincrementaldecoder(encoding)().decode(head, final=whole)
    except UnicodeDecodeError:
        return ""
    return text if all(char.isprintable() or char in _TEXT_CONTROLS for char in text) else ""


def _by_boxes(file: BinaryIO, size: int) -> str:
    """Say which part an MP4 or QuickTime file lacks; "" if none."""
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
