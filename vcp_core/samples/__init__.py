"""A checkpoint that comes with vcpbench, so that there is something to look at; no torch.

README.md beside this file says how it was made and what it scores.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

SAMPLE = "r3d_tiny-vcp.safetensors"


def sample_path() -> Path:
    """Where the sample lies: r3d_tiny, pretrained by VCP on the playground's training side."""
    return Path(str(files(__name__) / SAMPLE))
