"""An uploaded file -> canonical weights, or a reason why not."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from records import flow, storage
from records.models import Checkpoint, CheckpointState
from vcp_core.catalog.errors import StorageError, VcpbenchError
from vcp_core.catalog.leaks import declaration
from worker.work import Work

MAX_NAME = 100  # characters, as at upload
STALL_S = 3600.0  # the sandbox has limits of its own, by the file's size


def ingest(work: Work) -> None:
    """Read the file in the sandbox, and keep its weights."""
    checkpoint = work.read(lambda session: session.get_one(Checkpoint, work.subject_id))
    assert checkpoint.sha256 is not None
    path = work.storage.fetch(storage.checkpoint_key(checkpoint.sha256), work.folder)
    out = work.folder / "weights.safetensors"
    try:
        answer = work.in_child(
            "ingest",
            affinity=None,
            stall_s=STALL_S,
            path=str(path),
            out=str(out),
            backbone=checkpoint.backbone,
            prefix=checkpoint.prefix,
            input_spec=checkpoint.input_spec,
        )
    except StorageError:
        raise
    except VcpbenchError as error:  # its text names the path here, which means nothing to its owner
        raise type(error).__new__(type(error), str(error).removeprefix(f"{path}: ")) from None
    work.storage.put_file(storage.weights_key(answer["weights_sha256"]), out)

    def write(session: Session) -> None:
        row = session.get_one(Checkpoint, work.subject_id)
        row.state = CheckpointState.READY
        row.backbone = answer["report"]["backbone"]
        row.report = answer["report"]
        row.weights_sha256 = answer["weights_sha256"]
        _name(row, answer["report"].get("origin"))
        flow.checkpoint_ended(session, row)

    work.conclude(write)


def _name(row: Checkpoint, origin: dict[str, Any] | None) -> None:
    """What the uploader left out of run, step and training data, as the file's own header says it."""
    if origin is None:
        return
    if row.run is None and row.step is None:
        row.run, row.step = origin["run"][:MAX_NAME], origin["step"]
    if row.pretrained_on is None:
        row.pretrained_on = declaration(origin)
