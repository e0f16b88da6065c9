"""Frames as files for browsers: a strip is a WebP picture, a clip is a VP9 video in WebM.

PyAV's wheel brings both encoders, libwebp and libvpx. Their licence is BSD-3-Clause with a grant of patents
(docs/decisions/2026-11-30-media.md). Both encoders use one thread and write no time of day, so one version
of PyAV always writes the same bytes.

Legend: T frames, H height, W width, C colours (red, green, blue).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace

from vcp_core.catalog.previews import MAX_CLIP_BYTES, MAX_STRIP_BYTES

Frames = npt.NDArray[np.uint8]

RATE = Fraction(25, 2)  # frames in a second: every second frame of a usual video, in real time
INK = 24  # grey level between the clips of a question: as dark as a page at night
QUALITIES = (75, 40, 10, 0)  # of WebP, best first; the first that fits is taken
CONSTANT_QUALITIES = (32, 48, 63)  # of VP9 (crf), best first
CHROMA = 2  # width and height must be multiples of it, because chroma has half the resolution


def strip(frames_THWC: Frames, tiles: tuple[int, int], *, max_bytes: int = MAX_STRIP_BYTES) -> bytes:
    """Encode frames as one picture, side by side in rows and columns.

    Args:
        frames_THWC: As many frames as there are tiles.
        tiles: Rows and columns. Frames run row by row.
        max_bytes: Bound of the picture. A larger picture is encoded again with fewer details.

    >>> frames_THWC = np.zeros((8, 56, 56, 3), np.uint8)
    >>> strip(frames_THWC, (2, 4))[8:12]
    b'WEBP'
    """
    rows, columns = tiles
    picture_HWC = np.concatenate(
        [np.concatenate(frames_THWC[row * columns : (row + 1) * columns], axis=1) for row in range(rows)]
    )
    return picture(picture_HWC, max_bytes=max_bytes)


def picture(picture_HWC: Frames, *, max_bytes: int = MAX_STRIP_BYTES) -> bytes:
    """Encode a picture as WebP, in at most `max_bytes`.

    The picture is halved if even the least quality takes more.
    """

    def attempts() -> Iterator[bytes]:
        smaller_HWC = picture_HWC
        while True:
            for quality in QUALITIES:
                yield _webp(smaller_HWC, quality)
            smaller_HWC = smaller_HWC[::2, ::2]

    return next(content for content in attempts() if len(content) <= max_bytes)


def clip(frames_THWC: Frames, *, max_bytes: int = MAX_CLIP_BYTES) -> bytes:
    """Encode frames as a video without sound, in at most `max_bytes`.

    If even the least quality takes more, every second frame is left out, and the others are shown twice as
    long. A single frame that takes more is halved.

    >>> clip(np.zeros((4, 56, 56, 3), np.uint8))[:4].hex()
    '1a45dfa3'
    """

    def attempts() -> Iterator[bytes]:
        fewer_THWC, rate = frames_THWC, RATE
        while True:
            for crf in CONSTANT_QUALITIES:
                yield _webm(fewer_THWC, rate, crf)
            if len(fewer_THWC) > 1:
                fewer_THWC, rate = fewer_THWC[::2], rate / 2
            else:
                fewer_THWC = fewer_THWC[:, ::2, ::2]

    return next(content for content in attempts() if len(content) <= max_bytes)


def beside(clips_THWC: Sequence[Frames], gap: int) -> Frames:
    """Put clips of equal shape side by side, with a gap of `gap` pixels between them.

    >>> beside([np.zeros((16, 8, 8, 3), np.uint8)] * 3, 4).shape
    (16, 8, 32, 3)
    """
    frames, height, _, colours = clips_THWC[0].shape
    between = np.full((frames, height, gap, colours), INK, np.uint8)
    parts = [part for one in clips_THWC for part in (one, between)]
    return np.concatenate(parts[:-1], axis=2)


def spread(num_frames: int, num_shown: int) -> list[int]:
    """List the middle frames of `num_shown` equal parts of `num_frames` frames.

    >>> spread(16, 4), spread(3, 4)
    ([2, 6, 10, 14], [0, 1, 1, 2])
    """
    return [(2 * place + 1) * num_frames // (2 * num_shown) for place in range(num_shown)]


def _webp(picture_HWC: Frames, quality: int) -> bytes:
    frame = _yuv(picture_HWC)
    context = av.CodecContext.create("libwebp", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base = Fraction(1, 1)
    context.options = {"quality": str(quality), "compression_level": "4"}
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def _webm(frames_THWC: Frames, rate: Fraction, crf: int) -> bytes:
    file = io.BytesIO()
    # Without "bitexact" the file would hold a random number.
    with av.open(file, "w", format="webm", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libvpx-vp9", rate=rate)
        frames = [_yuv(frame_HWC) for frame_HWC in frames_THWC]
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        stream.bit_rate, stream.gop_size, stream.thread_count = 0, len(frames), 1
        stream.codec_context.colorspace = Colorspace.ITU601
        stream.codec_context.color_range = ColorRange.MPEG
        stream.options = {"crf": str(crf), "deadline": "realtime", "cpu-used": "8"}
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _yuv(frame_HWC: Frames) -> av.VideoFrame:
    """Convert RGB to YUV 4:2:0 by ITU-R BT.601, limited range. WebP has no other, and the WebM says so."""
    odd = [(0, size % CHROMA) for size in frame_HWC.shape[:2]]
    even_HWC = np.pad(frame_HWC, [*odd, (0, 0)], mode="edge")
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even_HWC), format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.MPEG)
