"""Read the training step from a file's name, such as `epoch=1-step=2000.ckpt`."""

from __future__ import annotations

import re
from pathlib import Path

# The same rule as in vcp_core.checkpoints.trainers. A bare number may count anything: `checkpoint-12` is an
# epoch in timm and a step in transformers.
STEP = re.compile(r"(?<![a-z])(?:step|iter(?:ation)?)[=_-]?(\d{1,18})(?![\d.]*\d)", re.IGNORECASE)


def step_in_name(file: Path) -> int | None:
    """The step in the file's name, or None if the name has no step or several.

    >>> step_in_name(Path("epoch=1-step=2000.ckpt"))
    2000
    >>> step_in_name(Path("checkpoint-2000.pt")) is None
    True
    """
    found = {int(digits) for digits in STEP.findall(file.stem)}
    return found.pop() if len(found) == 1 else None
