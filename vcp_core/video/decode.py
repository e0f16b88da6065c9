"""Frames of a video file, as the decoder outputs them, in presentation order (PyAV).

A damaged packet costs only the frames that were in it. Decoding goes on with the next packet, as in players
and in `ffmpeg`. A `Tally` counts the losses.
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

# A file of 3 kB can hold hundreds of frames of 16,000 x 16,000 pixels (a GIF that draws one pixel each). Each
# takes 1 GB and 1.6 s. The largest frames of real videos are 8K (33e6 pixels). So a file may ask for a
# billion pixels (19 s of 1080p, whatever they show), and for more with each byte. UCF101 has 30 pixels a
# byte, a camera's 1080p video some 200, and a black one up to 47,000. The usual codecs of videos decode what
# does not change ten times as fast as a GIF, so they get more: a recorded screen hardly changes.
MOST_PIXELS_A_FRAME, MOST_PIXELS = 1 << 26, 1_000_000_000
MOST_PIXELS_A_BYTE, MOST_PIXELS_A_BYTE_OF_VIDEO = 5_000, 50_000
OF_VIDEO = frozenset(
    {
        *("av1", "h261", "h263", "h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "theora", "vc1", "vvc"),
        *("flv1", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "rv30", "rv40", "wmv1", "wmv2", "wmv3"),
        *("vp6", "vp6f", "vp8", "vp9"),
    }
)


class _CutPacket:
    """Marks a packet that is cut off; the decoder hands the mark on to the packet's frame.

    Each packet gets a mark of its own, because PyAV drops an object that several packets share.
    """


@dataclass(kw_only=True)
class Tally:
    """Counts of what went wrong while a file was decoded. They are complete when the iteration has ended.

    Attributes:
        num_damaged: Frames that the decoder had to make up in part, or that come from a cut-off packet.
        num_failed_packets: Packets that the decoder refused, and errors of the container that ended the
            reading.
        trouble: The first reason that the decoder or the container gave; "" if there was none.
        stream: Description of the decoded stream if the file has several videos; "" if it has one.
    """

    num_damaged: int = 0
    num_failed_packets: int = 0
    trouble: str = ""
    stream: str = ""

    def fail(self, error: Exception) -> None:
        """Count a packet that gives no frame, and keep the reason if it is the first."""
        self.num_failed_packets += 1
        self.trouble = self.trouble or reasons.said_by(error)


def iter_frames(path: Path | str, *, tally: Tally | None = None) -> Iterator[av.VideoFrame]:
    r"""Decode the video of a file.

    The frames that come out of the decoder count, never the number in a header. A packet that cannot be
    decoded is left out. An empty packet repeats the frame before it. A file gives the same frames every time.

    Args:
        path: The file.
        tally: Counts what went wrong, while the frames are read.

    Yields:
        Frames in presentation order.

    Raises:
        UndecodableVideo: If there is no such file, no video in it, or not one frame.
        StorageError: If the disk fails or memory runs out. The file may be good, and a retry may read it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.y4m")
    ...     _ = path.write_bytes(b"YUV4MPEG2 W32 H32 F25:1 C420\n" + 3 * (b"FRAME\n" + bytes(1536)))
    ...     [(frame.width, frame.format.name) for frame in iter_frames(path)]
    [(32, 'yuv420p'), (32, 'yuv420p'), (32, 'yuv420p')]
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
        except MemoryError as error:  # PyAV's error for FFmpeg's ENOMEM is a MemoryError, too
            raise reasons.cannot_be_used_now(
                "cannot be read now (memory ran out). Try again. If it happens every time, the file "
                "is damaged and asks for too much: leave it out",
                path,
            ) from error
    if num_frames == 0:
        raise UndecodableVideo(reasons.of_no_frame(path, tally.trouble), path=path)


class _DiskFile:
    """A file that FFmpeg reads through PyAV. It remembers whether the disk failed.

    With FFmpeg's own file access, an error of the disk and an error of a decoder have the same numbers (EIO,
    EINVAL), and some containers drop the error.
    """

    def __init__(self, path: Path | str) -> None:
        self.name = os.fspath(path)  # PyAV passes the name on, because FFmpeg looks at the suffix, too
        self._error: OSError | None = None
        try:
            self._file = io.FileIO(path)
        except OSError as error:
            if isinstance(error, reasons.ABOUT_THE_PATH):
                raise UndecodableVideo(reasons.of_os_error(error), path=path) from error
            self._error = error
            self.raise_error()

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes: none at the end of the file, and none after an error of the disk."""
        try:
            return self._file.read(size) or b""
        except OSError as error:
            # Not raised here: some containers would drop it. `raise_error` raises it after every packet.
            self._error = error
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, and return it; -EINVAL, FFmpeg's error, for a position that cannot exist.

        A damaged file can ask for such a position.
        """
        try:
            return self._file.seek(offset, whence)
        except OSError:
            return -errno.EINVAL

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def size(self) -> int:
        """Return the size of the file in bytes."""
        return os.fstat(self._file.fileno()).st_size

    def is_cut_off(self) -> bool:
        """Tell whether frames are missing at the end of the file. Moves the position: call it last.

        Raises:
            StorageError: If the disk fails.
        """
        cut = is_cut_off(self, self.size())
        self.raise_error()
        return cut

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def raise_error(self) -> None:
        """Raise the error of the disk, if there was one.

        Raises:
            StorageError: If a read of the disk failed.
        """
        if self._error is not None:
            reason = (self._error.strerror or str(self._error)).lower()
            said = f"cannot be read now ({reason}). Try again"
            raise reasons.cannot_be_used_now(said, self.name) from self._error


def _open(file: _DiskFile) -> InputContainer:
    # No protocols: a playlist among the videos must not make this process open other files or addresses.
    # "replace": a file whose tags are in an unknown encoding still has good pictures.
    try:
        container = av.open(file, "r", options={"protocol_whitelist": "none"}, metadata_errors="replace")
    except MemoryError:  # PyAV's is an FFmpegError, too, and says nothing about the file
        raise
    except (av.error.FFmpegError, ValueError) as error:
        file.raise_error()
        reason = reasons.of_no_container(file.name, reasons.said_by(error))
        raise UndecodableVideo(reason, path=file.name) from error
    file.raise_error()
    return container


def _shown(container: InputContainer, file: _DiskFile, tally: Tally) -> Iterator[av.VideoFrame]:
    """Yield the chosen stream's frames in presentation order, with the repeats that the file asks for."""
    stream, tally.stream = choose_stream(container)
    # One thread. With several threads, the decoder fills a damaged frame with what its neighbours hold at
    # that moment: 10 decodes of one file gave 2 results. Two videos are decoded at a time, so one thread
    # each costs nothing (8 real files: 0.60 s, and 0.70 s with FFmpeg's own threads).
    stream.thread_count = 1
    # Each frame carries its packet's mark (`_CutPacket`). PyAV has no other way from a frame to its packet.
    stream.codec_context.copy_opaque = True
    last: av.VideoFrame | None = None
    repeats: deque[int | None] = deque()  # times of empty packets whose place has not come yet
    is_usual = stream.codec_context.codec.canonical_name in OF_VIDEO
    per_byte = MOST_PIXELS_A_BYTE_OF_VIDEO if is_usual else MOST_PIXELS_A_BYTE
    left = MOST_PIXELS + per_byte * file.size()
    for packet in _packets(container, stream, file, tally):
        if packet is not None and packet.size == 0:
            # An empty packet means "the last frame again" (drop frames, Theora). It must not reach the
            # decoder, which would take it for the end of the file.
            repeats.append(packet.pts)
            continue
        # A packet that fails takes as long as one that gives a frame. A packet of AV1 may give many frames.
        asked = stream.codec_context.width * stream.codec_context.height if packet is not None else 0
        left -= asked
        if left < 0 or asked > MOST_PIXELS_A_FRAME:
            raise UndecodableVideo(reasons.TOO_MANY_PIXELS, path=file.name)
        for number, frame in enumerate(_decode(stream, packet, tally)):
            left -= asked if number else 0
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
    """Tell whether a repeat comes before a frame. A repeat without a time comes where the file has it."""
    return repeat_pts is None or frame_pts is None or repeat_pts <= frame_pts


def _packets(
    container: InputContainer, stream: av.VideoStream, file: _DiskFile, tally: Tally
) -> Iterator[Packet[av.VideoStream] | None]:
    """Yield the packets of a stream, then None, on which the decoder gives the frames that it still holds.

    Some containers take a failed read for the end of the file, so the disk's errors are checked after every
    packet.
    """
    packets = container.demux(stream)
    # Packets are yielded one step late: PyAV's last one is a marker of the end, and is known as the last
    # only when no other follows.
    packet: Packet[av.VideoStream] | None = None
    while True:
        try:
            following = next(packets, None)
        except MemoryError:  # PyAV's is an FFmpegError, too, and says nothing about the file
            raise
        except av.error.FFmpegError as error:
            file.raise_error()
            tally.fail(error)
            break
        file.raise_error()
        if following is not None and following.has_sidedata("encryption_info"):
            raise UndecodableVideo(reasons.ENCRYPTED, path=file.name)
        if following is None:
            packet = None  # PyAV's last packet is empty and marks the end
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
    except MemoryError:  # PyAV's is an FFmpegError, too, and says nothing about the file
        raise
    except (av.error.FFmpegError, ValueError) as error:
        tally.fail(error)
        return []
