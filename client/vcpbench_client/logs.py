"""The part of the client that uploads training logs: curves over training steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vcpbench_client.asking import Asking
from vcpbench_client.errors import FileError
from vcpbench_client.transport import segment


@dataclass(frozen=True, kw_only=True)
class TrainingLog:
    """The training log of one run of a model.

    Attributes:
        run: The training run; None for checkpoints without one.
        num_rows: Number of steps.
        names: Names of its curves.
        uploaded_at: When it was uploaded last.
        by: Name of the token that uploaded it; None for another team's log.
        steps: The steps, ascending; only from `Client.training_log`.
        curves: By name, a value for each step, None where there is none; only from `Client.training_log`.
    """

    id: str
    model: str
    team: str
    num_rows: int
    names: tuple[str, ...]
    uploaded_at: datetime
    run: str | None = None
    by: str | None = None
    steps: tuple[int, ...] = ()
    curves: dict[str, tuple[float | None, ...]] | None = None


class Logs(Asking):
    """Methods of `Client` for training logs."""

    def upload_log(self, path: str | Path, model: str, *, run: str | None = None) -> TrainingLog:
        """Upload the training log of a run. A new upload replaces it.

        The model's page shows its curves beside the scores of the run's checkpoints.

        Args:
            path: A CSV file. Its first line names the columns: `step`, and one for each curve.
            model: Your team's model, or `TEAM/MODEL`. It must have a checkpoint.
            run: The training run, as its checkpoints name it.

        Raises:
            FileError: If the file cannot be read.
            ApiError: If it is no such log. The message names the line.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise FileError(path, f" cannot be read: {error.strerror or error}.", path=Path(path)) from error
        query, headers = {"model": model, "run": run}, {"Content-Type": "text/csv"}
        return self._asked(TrainingLog, "PUT", "/logs", query=query, content=[content], headers=headers)

    def training_logs(self, model: str) -> tuple[TrainingLog, ...]:
        """The training logs of a model, the last uploaded first, without their curves."""
        return tuple(self._pages(TrainingLog, "/logs", None, {"model": model}))

    def training_log(self, log_id: str) -> TrainingLog:
        """A training log with its curves."""
        return self._get(TrainingLog, f"/logs/{segment(log_id)}")

    def delete_log(self, log_id: str) -> TrainingLog:
        """Delete a training log of your team. Only uploading it again brings it back.

        The request is sent once: if no answer comes, look at `training_logs` before you delete again.
        """
        return self._asked_once(TrainingLog, "DELETE", f"/logs/{segment(log_id)}")
