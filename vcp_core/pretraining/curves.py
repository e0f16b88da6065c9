"""A run's curves for TensorBoard, written beside its log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vcp_core.catalog.errors import TrainingError
from vcp_core.pretraining.devices import INSTALL

STEPS = 20  # number of steps that one point of the loss curve averages


class Curves:
    """Writes curves of every epoch (loss, accuracy, accuracy of each answer, learning rate) and of the loss.

    Args:
        folder: The folder for `tensorboard --logdir`.
        step: The step that the run goes on from. TensorBoard hides points that were written beyond it.

    Raises:
        TrainingError: If tensorboardX is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise TrainingError(f"TensorBoard's files need {error.name}. Install it: {INSTALL}") from error
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)
        self._losses: list[float] = []

    def step(self, step: int, loss: float) -> None:
        """Write the mean loss of every `STEPS` steps: an epoch of UCF101 has a thousand steps."""
        self._losses.append(loss)
        if len(self._losses) == STEPS:
            self._writer.add_scalar("loss/steps", sum(self._losses) / STEPS, step)
            self._losses.clear()

    def add(self, row: Mapping[str, Any]) -> None:
        """Write the points of an epoch's row of the log."""
        step = row["step"]
        self._writer.add_scalar("learning rate", row["lr"], step)
        for side, values in (("train", row), ("held out", row.get("held_out"))):
            if values:
                self._writer.add_scalar(f"loss/{side}", values["loss"], step)
                self._writer.add_scalar(f"accuracy/{side}", values["accuracy"], step)
                for answer, percent in values["accuracy_of"].items():
                    self._writer.add_scalar(f"accuracy of {answer}/{side}", percent, step)
        self._writer.flush()

    def close(self) -> None:
        """Write all pending points, and close the file."""
        self._writer.close()
