"""The suffixes of videos. They decide what a video is, because FFmpeg opens even a text file as one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vcp_core.catalog.errors import DatasetError

# The suffixes of FFmpeg's demuxers of moving pictures (`ffmpeg -demuxers`), and of cameras and recorders;
# case does not matter. Pictures, sound, and pixels without a header (.yuv) are not among them.
SUFFIXES = frozenset(
    """
    .264 .265 .3g2 .3gp .3gp2 .3gpp .amv .apng .asf .av1 .avc .avi .avs2 .avs3 .bik .bk2 .cavs .dav .divx .dv
    .evo .f4v .flc .fli .flv .gif .gxf .h261 .h263 .h264 .h265 .hdmov .hevc .insv .ismv .ivf .k3g .m1v .m2p
    .m2t .m2ts .m2v .m4p .m4v .mj2 .mjpeg .mjpg .mk3d .mkv .mod .mov .mp2v .mp4 .mp4v .mpe .mpeg .mpeg1 .mpeg2
    .mpeg4 .mpg .mpv .mpv2 .mqv .mts .mxf .nsv .nut .nuv .obu .ogm .ogv .ogx .qt .rm .rmvb .roq .smk .swf .tod
    .tp .trp .ts .vc1 .vob .vro .webm .wm .wmv .wtv .xvid .y4m
    """.split()  # noqa: SIM905
)

# Suffixes of files that lie beside videos in many datasets. They are counted, and give no warning.
COMPANIONS = frozenset(
    """
    .7z .aac .ass .bmp .bz2 .cfg .csv .dat .db .doc .docx .flac .gz .h5 .hdf5 .htm .html .info .ini .ipynb
    .jpeg .jpg .json .jsonl .lock .log .m4a .mat .md .md5 .mp3 .nfo .npy .npz .ogg .opus .parquet .pdf .pkl
    .png .ps1 .pt .pth .py .rar .rst .sh .sha1 .sha256 .srt .sub .tar .tgz .thm .tif .tiff .tsv .txt .url .vtt
    .wav .webp .xls .xlsx .xml .yaml .yml .zip
    """.split()  # noqa: SIM905
)
PICTURES = frozenset(".bmp .jpeg .jpg .png .tif .tiff .webp".split())  # noqa: SIM905
_SUFFIX = re.compile(r"\.(?=\w*[^\W\d])[\w-]{1,9}")  # must hold a letter: ".0042" is no suffix


def suffix_of(name: str) -> str:
    """Give the suffix of a file's name in lower case; "" if it has none.

    >>> suffix_of("0.MTS"), suffix_of("v_g01.0042"), suffix_of("README")
    ('.mts', '', '')
    """
    dot = name.rfind(".")
    suffix = name[dot:].lower() if dot > 0 else ""
    return suffix if suffix in SUFFIXES or _SUFFIX.fullmatch(suffix) else ""


def with_more(more: Iterable[str]) -> frozenset[str]:
    """Add a user's suffixes to the known suffixes of videos.

    >>> ".xyz" in with_more(["XYZ"])
    True

    Raises:
        DatasetError: If one of them cannot be the suffix of a file.
    """
    added = {f".{suffix.strip().lstrip('.').lower()}" for suffix in more}
    for suffix in sorted(added):
        if suffix_of(f"video{suffix}") != suffix:
            raise DatasetError(f"{suffix!r} is not a suffix of files. Write it as .xyz.")
    return SUFFIXES | added
