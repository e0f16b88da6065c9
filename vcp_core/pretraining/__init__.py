"""Training: the proxy task of Video Cloze Procedure, and recognition by finetuning (PROTOCOL 7 and 4).

    pretrain("playground", Path("runs/r3d"), PretrainConfig(backbone="r3d"))
    finetune("runs/r3d/best.safetensors", "ucf101:/data/UCF101", Path("runs/ucf"), FinetuneConfig())

Both end with checkpoints that upload as they are, and go on from where they were killed when they are
called again.

    config.py        the numbers of a run
    start.py         a dataset, a folder and numbers in; pretraining
    finetuning.py    train all of a checkpoint's network, test the best
    loop.py          the loop that both share
    tasks.py         cloze questions, and recognition
    examples.py      which clips, which crop, which option
    frames.py        decoded frames, kept
    batches.py       examples' pixels, read ahead
    augmentation.py  colours and sides of a whole example
    rearrange.py     the options of a whole batch, on its device
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
