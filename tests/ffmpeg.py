"""Debian's ffmpeg, the program: the reference for what comes out of a file."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")


def _major() -> int:
    """Of its version: 5 for Debian 12's 5.1.9; 0 where there is none."""
    if shutil.which("ffmpeg") is None:
        return 0
    said = subprocess.run(["ffmpeg", "-version"], check=True, capture_output=True, text=True).stdout
    found = re.match(r"ffmpeg version n?(\d+)", said)
    return int(found[1]) if found else 0


MAJOR = _major()

SIDE = 16  # pixels; frames are compared by pictures of this size


def run_ffmpeg(*arguments: str | Path) -> bytes:
    """What `ffmpeg` writes to its standard output; a file that is there is overwritten."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def frames_of_ffmpeg(path: Path) -> npt.NDArray[np.float64]:
    """Every frame that `ffmpeg` gives of a file, small and grey: shape (N, SIDE, SIDE)."""
    command = [
        *("ffmpeg", "-nostdin", "-v", "quiet", "-threads", "1", "-i", str(path), "-an"),
        *("-fps_mode", "passthrough", "-vf", f"scale={SIDE}:{SIDE}:flags=area", "-pix_fmt", "gray"),
        *("-f", "rawvideo", "-"),
    ]
    pixels = subprocess.run(command, capture_output=True, check=False).stdout
    return np.frombuffer(pixels, np.uint8).reshape(-1, SIDE, SIDE).astype(float)
