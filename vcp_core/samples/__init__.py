"""A sample checkpoint that is part of vcpbench, so that users can try it without weights of their own.

README.md in this folder says how the sample was made and what it scores. No torch.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

SAMPLE = "r3d_tiny-vcp.safetensors"


def sample_path() -> Path:
    """The path of the sample: r3d_tiny, pretrained by VCP on the playground's training side.

    >>> sample_path().name
    'r3d_tiny-vcp.safetensors'
    """
    return Path(str(files(__name__) / SAMPLE))
