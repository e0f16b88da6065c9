"""Damage to small video files of the tests: packets zeroed, files cut off, empty packets put in."""

from __future__ import annotations

import struct
from pathlib import Path

import av
from av.packet import Packet

PLACEHOLDER = {  # filler (AV1: metadata) where muxers look into packets, so that decoders pass over it
    "libdav1d": b"\x2a\x0e\x1f" + b"\xff" * 12 + b"\x80",
    "av1": b"\x2a\x0e\x1f" + b"\xff" * 12 + b"\x80",
    "h264": b"\x00\x00\x00\x0e\x0c" + b"\xff" * 12 + b"\x80",
    "hevc": b"\x00\x00\x00\x0f\x4c\x01" + b"\xff" * 12 + b"\x80",
}
MARK = b"\x82n empty packet!"  # VP9's first byte of a frame that is shown: its muxer looks


def packets(path: Path) -> list[tuple[int, int]]:
    """Where the pictures' bytes lie in the file: (position, size) by packet, in the file's order."""
    data, places = path.read_bytes(), []
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.best("video")):
            if packet.size:
                # `pos` may be where the packet's own header begins, or Ogg's page, or nothing (MPEG-PS).
                begin = packet.pos or (places[-1][0] + 1 if places else 0)
                at = data.find(bytes(packet), begin)
                places.append((at if at >= 0 else begin, packet.size))
    return places


def zero_packet(path: Path, index: int) -> Path:
    """Overwrite a packet's bytes by zeros, as bad blocks of a disk do."""
    position, size = packets(path)[index]
    data = bytearray(path.read_bytes())
    data[position : position + size] = bytes(size)
    path.write_bytes(data)
    return path


def cut(path: Path, index: int) -> Path:
    """Cut the file off in the middle of a packet."""
    position, size = packets(path)[index]
    path.write_bytes(path.read_bytes()[: position + size // 2])
    return path


def with_empty_packet(path: Path, *, at: int) -> Path:
    """Put a packet of no bytes before frame `at`, counted as frames are shown; later ones move on by one.

    AVI's muxer writes one wherever a time is missing. In MP4 and Matroska a packet of some bytes is written
    first, and then the file says that it has none.
    """
    is_avi = path.suffix == ".avi"
    with av.open(str(path)) as source:
        stream = source.streams.best("video")
        name = stream.codec_context.name
        own = [packet for packet in source.demux(stream) if packet.size]
        step = own[0].duration or 1
        shown = [packet.pts if packet.pts is not None else packet.dts for packet in own]
        ranks = [sorted(shown).index(pts) for pts in shown]
        filler = Packet(PLACEHOLDER.get(name, MARK))
        place = next(index for index, rank in enumerate(ranks) if rank >= at)
        entries = [(packet, rank + (rank >= at)) for packet, rank in zip(own, ranks, strict=True)]
        entries.insert(place, (filler, at))
        early = max(index - rank for index, (_, rank) in enumerate(entries))
        other = path.with_stem(f"{path.stem}-empty")
        with av.open(str(other), "w") as container:
            target = container.add_stream_from_template(stream, opaque=True)
            for index, (packet, rank) in enumerate(entries):
                packet.stream, packet.time_base = target, stream.time_base
                packet.pts, packet.dts, packet.duration = rank * step, (index - early) * step, step
                if not (is_avi and packet is filler):
                    container.mux(packet)
    if not is_avi:
        data = bytearray(other.read_bytes())
        begin, size = data.index(bytes(filler)[4:]) - 4, filler.size
        (_empty_block if path.suffix in (".mkv", ".webm") else _empty_sample)(data, begin, size, place)
        other.write_bytes(data)
    return other


def _empty_sample(data: bytearray, begin: int, size: int, index: int) -> None:
    """MP4: sample `index` has no bytes; its bytes are the end of the one before it, or nobody's."""
    if data[begin : begin + size] == MARK:
        data[begin : begin + size] = bytes(size)
    sizes = data.index(b"stsz") + 16
    struct.pack_into(">I", data, sizes + 4 * index, 0)
    place = sizes + 4 * (index - 1) if index else data.index(b"stco") + 12
    struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + size)


def _empty_block(data: bytearray, begin: int, size: int, index: int) -> None:
    """Matroska: a SimpleBlock of its header only, then an element that is void."""
    block = begin - 6  # its name, its size, track, time (2 bytes), flags
    assert data[block] == 0xA3, "not a SimpleBlock with a size of one byte"
    void = bytes([0xEC, 0x80 | (size - 2)]) + bytes(size - 2)
    data[block : begin + size] = bytes([0xA3, 0x84]) + data[begin - 4 : begin] + void
