"""Training: the proxy task of Video Cloze Procedure, and recognition by finetuning (PROTOCOL 7 and 4).

    pretrain("playground", Path("runs/r3d"), PretrainConfig(backbone="r3d"))
    finetune("runs/r3d/best.safetensors", "ucf101:/data/UCF101", Path("runs/ucf"), FinetuneConfig())

Both write checkpoints that can be uploaded unchanged. A run that was killed goes on from its last saved state
when the same call is made again.
docs/pretraining.md says how long a run takes.

    config.py        the numbers of a run
    start.py         starts a run with a dataset, a folder and numbers; pretraining
    finetuning.py    trains all of a checkpoint's network, and tests the best epoch
    loop.py          the training loop of both
    tasks.py         the two tasks: cloze questions and recognition
    examples.py      draws clips, crop and option of an example
    frames.py        keeps decoded frames
    batches.py       reads examples' pixels ahead
    augmentation.py  colour jitter and mirroring of a whole example
    rearrange.py     applies options to a whole batch on its device
    network.py       a backbone with one linear layer
    devices.py       one process or several
    runs.py          a run's folder
    curves.py        curves for TensorBoard
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vcp_core.pretraining.config import FinetuneConfig, PretrainConfig

if TYPE_CHECKING:
    from vcp_core.pretraining.finetuning import Finetuned, finetune
    from vcp_core.pretraining.start import Machine, Trained, precheck, pretrain

_FINETUNE = ("Finetuned", "finetune")

__all__ = [
    "FinetuneConfig",
    "Finetuned",
    "Machine",
    "PretrainConfig",
    "Trained",
    "finetune",
    "precheck",
    "pretrain",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "finetuning" if name in _FINETUNE else "start"
    return getattr(importlib.import_module(f"vcp_core.pretraining.{home}"), name)
