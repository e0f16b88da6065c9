"""Frames of a video file, as the decoder outputs them, in presentation order (PyAV).

A damaged packet costs the frames that were in it, and nothing else: decoding goes on with the next packet, as
players and `ffmpeg` do. What was lost is counted in a `Tally`.
"""

from __future__ import annotations

import errno
import io
import os
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.packet import Packet

from vcp_core.catalog.errors import UndecodableVideo
from vcp_core.video import reasons
from vcp_core.video.cut import is_cut_off
from vcp_core.video.streams import choose_stream


class _CutPacket:
    """Goes with a packet through the decoder to its frame: one for each, for PyAV drops an object for all."""


@dataclass(kw_only=True)
class Tally:
    """What decoding met beside frames; complete when the iteration has ended.

    Attributes:
        num_damaged: Frames that the decoder had to make up in part, or that come from a packet that is cut.
        num_failed_packets: Packets that the decoder refused, and reads that the container broke off.
        trouble: The first reason that the decoder or the container gave; "" where all went well.
        stream: Which stream was decoded, where the file has several videos; "" where it has one.
    """

    num_damaged: int = 0
    num_failed_packets: int = 0
    trouble: str = ""
    stream: str = ""

    def fail(self, error: Exception) -> None:
        """Count a packet that gives no frame."""
        self.num_failed_packets += 1
        self.trouble = self.trouble or reasons.said_by(error)


def iter_frames(path: Path | str, *, tally: Tally | None = None) -> Iterator[av.VideoFrame]:
    """Decode the video of a file.

    A header's frame count is never trusted: what comes out of the decoder is what there is. A packet that
    cannot be decoded is left out, and one that is empty repeats the frame before it. A file gives the same
    frames every time.

    Args:
        path: The file.
        tally: Filled while the frames are read.

    Yields:
        Frames in presentation order.

    Raises:
        UndecodableVideo: If there is no such file, no video in it, or not one frame.
        StorageError: If reading fails, or memory runs out: that says nothing about the file.
    """
    tally = tally if tally is not None else Tally()
    num_frames = 0
    with closing(_DiskFile(path)) as file:
        try:
            with _open(file) as container:
                for frame in _shown(container, file, tally):
                    num_frames += 1
                    tally.num_damaged += frame.is_corrupt or isinstance(frame.opaque, _CutPacket)
                    yield frame
        except MemoryError as error:  # PyAV's own is among them
            raise reasons.cannot_be_used_now(
                "cannot be read now (memory ran out). Try again. If it happens every time, the file "
                "is damaged and asks for too much: leave it out",
                path,
            ) from error
    if num_frames == 0:
        raise UndecodableVideo(reasons.of_no_frame(path, tally.trouble), path=path)


class _DiskFile:
    """A file as FFmpeg reads it through PyAV; it remembers whether a read of the disk failed.

    FFmpeg's own file access gives an error of the disk and an error of a decoder as the same numbers (EIO,
    EINVAL), and some containers drop them.
    """

    def __init__(self, path: Path | str) -> None:
        self.name = os.fspath(path)  # PyAV asks for it: FFmpeg looks at the suffix, too
        self._error: OSError | None = None
        try:
            self._file = io.FileIO(path)
        except OSError as error:
            if isinstance(error, reasons.ABOUT_THE_PATH):
                raise UndecodableVideo(reasons.of_os_error(error), path=path) from error
            self._error = error
            self.raise_error()

    def read(self, size: int) -> bytes:
        """The next bytes; none at the end, and none where the disk fails."""
        try:
            return self._file.read(size) or b""
        except OSError as error:
            self._error = error
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new position; FFmpeg's number for an error where a damaged file invents a place."""
        try:
            return self._file.seek(offset, whence)
        except OSError:
            return -errno.EINVAL

    def tell(self) -> int:
        """The position."""
        return self._file.tell()

    def is_cut_off(self) -> bool:
        """Whether the file ends before its container does; to be asked when all of it was read.

        Raises:
            StorageError: If the disk fails meanwhile.
        """
        cut = is_cut_off(self, os.fstat(self._file.fileno()).st_size)
        self.raise_error()
        return cut

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def raise_error(self) -> None:
        """Raise what the disk said, if it said anything."""
        if self._error is not None:
            reason = (self._error.strerror or str(self._error)).lower()
            said = f"cannot be read now ({reason}). Try again"
            raise reasons.cannot_be_used_now(said, self.name) from self._error


def _open(file: _DiskFile) -> InputContainer:
    # No protocols: a playlist among the videos must not make this process open other files or addresses.
    # Tags in an unknown encoding say nothing about the pictures, so they are not decoded strictly.
    try:
        container = av.open(file, "r", options={"protocol_whitelist": "none"}, metadata_errors="replace")
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        file.raise_error()
        reason = reasons.of_no_container(file.name, reasons.said_by(error))
        raise UndecodableVideo(reason, path=file.name) from error
    file.raise_error()
    return container


def _shown(container: InputContainer, file: _DiskFile, tally: Tally) -> Iterator[av.VideoFrame]:
    """The frames of the chosen stream in presentation order, with repeats where the file asks for them."""
    stream, tally.stream = choose_stream(container)
    # One thread: with several, a damaged frame is concealed with what its neighbours hold by then,
    # and 10 decodes of one file gave 2 results. Two videos are decoded at a time, so it costs nothing
    # (8 real files: 0.60 s, and 0.70 s with FFmpeg's own threads).
    stream.thread_count = 1
    # So that a frame says which packet it comes from; PyAV gives it no other way.
    stream.codec_context.copy_opaque = True
    last: av.VideoFrame | None = None
    repeats: deque[int | None] = deque()  # times of empty packets whose place has not come yet
    for packet in _packets(container, stream, file, tally):
        if packet is not None and packet.size == 0:
            # "The last frame again" (drop frames, Theora). To the decoder it would mean the end of the file.
            repeats.append(packet.pts)
            continue
        for frame in _decode(stream, packet, tally):
            while repeats and _is_due(repeats[0], frame.pts):
                repeats.popleft()
                if last is not None:
                    yield last
            yield frame
            last = frame
    if last is not None:
        for _ in repeats:
            yield last


def _is_due(repeat_pts: int | None, frame_pts: int | None) -> bool:
    """Whether a repeat comes before a frame; without times it comes where the file has it."""
    return repeat_pts is None or frame_pts is None or repeat_pts <= frame_pts


def _packets(
    container: InputContainer, stream: av.VideoStream, file: _DiskFile, tally: Tally
) -> Iterator[Packet[av.VideoStream] | None]:
    """The packets of a stream, then None: the decoder gives what it still holds.

    Some containers take a failed read for the end of the file, so the file is asked after every packet.
    """
    packets = container.demux(stream)
    packet: Packet[av.VideoStream] | None = None
    while True:
        try:
            following = next(packets, None)
        except MemoryError:  # PyAV's is one of FFmpeg's errors, too, and says nothing of the file
            raise
        except av.error.FFmpegError as error:
            file.raise_error()
            tally.fail(error)
            break
        file.raise_error()
        if following is not None and following.has_sidedata("encryption_info"):
            raise UndecodableVideo(reasons.ENCRYPTED, path=file.name)
        if following is None:
            packet = None  # PyAV's last one is empty and stands for the end
            if not tally.num_failed_packets and file.is_cut_off():
                tally.fail(EOFError("the file is cut off"))
            break
        if packet is not None:
            yield packet
        packet = following
    if packet is not None:
        yield packet
    yield None


def _decode(
    stream: av.VideoStream, packet: Packet[av.VideoStream] | None, tally: Tally
) -> list[av.VideoFrame]:
    if packet is not None and packet.is_corrupt:
        packet.opaque = _CutPacket()
    try:
        return stream.decode(packet)
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        tally.fail(error)
        return []
