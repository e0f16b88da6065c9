"""Choose the stream of a file that is its video."""

from __future__ import annotations

import av
from av.container import InputContainer
from av.stream import Discard, Disposition

from vcp_core.catalog.errors import UndecodableVideo
from vcp_core.video import reasons

TEXT_AS_PICTURES = "tty"  # FFmpeg's container that draws a text file as pictures of a terminal


def choose_stream(container: InputContainer) -> tuple[av.VideoStream, str]:
    r"""Choose the stream that FFmpeg takes for the best video.

    Attached pictures (cover art, pictures of chapters) are never the video. From here on the container skips
    all other streams.

    Returns:
        The stream, and its description if the file has several videos ("" if it has one).

    Raises:
        UndecodableVideo: If the file has no video, or FFmpeg has no decoder for the video's codec.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".y4m") as file:
    ...     _ = file.write(b"YUV4MPEG2 W32 H32 F25:1 C420\n" + b"FRAME\n" + bytes(1536)), file.flush()
    ...     with av.open(file.name) as container:
    ...         stream, description = choose_stream(container)
    ...         stream.type, description
    ('video', '')
    """
    videos = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    if not videos or container.format.name == TEXT_AS_PICTURES:
        kinds = {stream.type for stream in container.streams}
        raise UndecodableVideo(reasons.of_no_video(container.name, kinds), path=container.name)
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream) or stream not in videos:  # FFmpeg may prefer a picture
        # `max` gives the first of equals: the first default stream, or else the first one.
        stream = max(videos, key=lambda one: bool(one.disposition & Disposition.default))
    if stream.codec_context is None:
        raise UndecodableVideo(reasons.NO_DECODER, path=container.name)
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    return stream, _describe(stream, videos) if len(videos) > 1 else ""


def _describe(stream: av.VideoStream, videos: list[av.VideoStream]) -> str:
    """Describe a stream, as in "stream 1 of 0, 1: h264 320x240"."""
    indices = ", ".join(str(video.index) for video in videos)
    codec = stream.codec_context
    return f"stream {stream.index} of {indices}: {codec.name} {codec.width}x{codec.height}"
