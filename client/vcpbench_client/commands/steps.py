"""The step that a file's name tells, such as `epoch=1-step=2000.ckpt`."""

from __future__ import annotations

import re
from pathlib import Path

# As vcp_core.checkpoints.trainers reads names. A bare number may count anything: `checkpoint-12` is an epoch
# of timm's and a step of transformers'.
STEP = re.compile(r"(?<![a-z])(?:step|iter(?:ation)?)[=_-]?(\d{1,18})(?![\d.]*\d)", re.IGNORECASE)


def step_in_name(file: Path) -> int | None:
    """The step that the file's name tells; None if it tells none, or several.

    >>> step_in_name(Path("epoch=1-step=2000.ckpt"))
    2000
    >>> step_in_name(Path("checkpoint-2000.pt")) is None
    True
    """
    found = {int(digits) for digits in STEP.findall(file.stem)}
    return found.pop() if len(found) == 1 else None
