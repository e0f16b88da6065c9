"""Decode a whole video file before it is used, so that every problem is known early."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import av.error

from vcp_core.catalog.errors import UnsupportedVideo
from vcp_core.video.decode import Tally, iter_frames
from vcp_core.video.display import turn_of
from vcp_core.video.frames import Geometry, frame_to_rgb
from vcp_core.video.reasons import cannot_be_used_now, said_by

# ITU-T H.273 transfer characteristics. Their pictures look flat or dark if they are read as SDR.
_HDR = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}


@dataclass(frozen=True, kw_only=True)
class Examined:
    """The counts and properties of a file that was decoded once.

    Attributes:
        num_frames: Frames that came out of the decoder, damaged ones included.
        num_damaged: Frames that the decoder had to make up in part, or that come from a cut-off packet.
        num_failed_packets: Packets that gave no frame, because the decoder refused them.
        stream: Description of the decoded stream if the file has several videos; "" if it has one.
        hdr: The transfer curves of high dynamic range that the frames use; "" if there are none.
    """

    num_frames: int
    num_damaged: int = 0
    num_failed_packets: int = 0
    stream: str = ""
    hdr: str = ""


def _convert(frame: av.VideoFrame, path: Path | str) -> None:
    try:
        frame_to_rgb(frame, Geometry())
    except MemoryError as error:
        reason = "its frames cannot be converted now (memory ran out). Try again"
        raise cannot_be_used_now(reason, path) from error
    except (av.error.FFmpegError, ValueError) as error:
        raise UnsupportedVideo(f"its frames cannot be converted ({said_by(error)})", path=path) from error


def examine(path: Path | str) -> Examined:
    r"""Decode a whole file, and convert a frame of each kind in it, so that later reading cannot fail.

    Frames are of one kind if they agree in pixel format, colour matrix and orientation.

    Raises:
        UndecodableVideo: As `iter_frames`.
        StorageError: As `iter_frames`.
        UnsupportedVideo: As `frame_to_rgb`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.y4m")
    ...     _ = path.write_bytes(b"YUV4MPEG2 W32 H32 F25:1 C420\n" + 3 * (b"FRAME\n" + bytes(1536)))
    ...     examine(path).num_frames
    3
    """
    num_frames = 0
    tally = Tally()
    curves: set[str] = set()
    kinds: set[tuple[object, ...]] = set()
    for frame in iter_frames(path, tally=tally):
        num_frames += 1
        # Frames of a kind convert alike. Converting every frame takes about as long as decoding it.
        kind = (frame.format.name, frame.colorspace, turn_of(frame))
        if kind not in kinds:
            kinds.add(kind)
            _convert(frame, path)
        curves.add(_HDR.get(frame.color_trc, ""))
    return Examined(
        num_frames=num_frames,
        num_damaged=tally.num_damaged,
        num_failed_packets=tally.num_failed_packets,
        stream=tally.stream,
        hdr=" and ".join(sorted(curves - {""})),
    )
