"""Convert an uploaded file into canonical weights, or reject it with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from records import flow, storage
from records.models import Checkpoint, CheckpointState
from records.repositories import objects
from records.storage import DamagedObject, MissingObject
from vcp_core.catalog.errors import CheckpointError, DamagedCheckpoint, ReaderFailed
from vcp_core.catalog.leaks import declaration
from worker.runner import Out
from worker.work import Work

MAX_NAME = 100  # characters, as at upload
STALL_S = 3600.0  # the sandbox has limits of its own, by the file's size


def ingest(work: Work) -> None:
    """Read the file in the sandbox, and store its weights."""
    checkpoint = work.read(lambda session: session.get_one(Checkpoint, work.subject_id))
    out = work.folder / "weights.safetensors"
    answer = read_upload(work, checkpoint, out, prefix=checkpoint.prefix)
    store_weights(work, answer["weights_sha256"], out)

    def write(session: Session) -> None:
        row = session.get_one(Checkpoint, work.subject_id)
        row.state = CheckpointState.READY
        row.backbone = answer["report"]["backbone"]
        row.graph = answer["report"]["graph"]
        row.scheme = answer["report"]["scheme"]
        row.report = answer["report"]
        _name(row)
        flow.checkpoint_ended(session, row)

    work.conclude(write)


def store_weights(work: Work, sha256: str, path: Path) -> None:
    """Store the weights of the checkpoint that the job is about. The row names them before they are stored.

    The name keeps a sweep from deleting an equal object that was left behind, just after it is replaced.
    """

    def name(session: Session) -> None:
        objects.about_to_name(session)
        row = session.get_one(Checkpoint, work.subject_id)
        row.weights_sha256, row.weights_bytes = sha256, path.stat().st_size

    work.prepare(name)
    work.storage.put_file(storage.weights_key(sha256), path)


def read_upload(work: Work, checkpoint: Checkpoint, out: Path, *, prefix: str | None) -> dict[str, Any]:
    """Have the child read an uploaded file in the sandbox and write its weights; its answer.

    Raises:
        DamagedCheckpoint: If the stored file is not the one that was uploaded. Nobody else has its bytes.
        MissingObject: If it is not in the store. A disk may be away for a while, so the job is tried again.
        CheckpointError: If the sandbox refuses it.
    """
    assert checkpoint.sha256 is not None
    try:
        path = work.storage.fetch(
            storage.checkpoint_key(checkpoint.sha256), work.folder, sha256=checkpoint.sha256
        )
    except MissingObject:
        raise MissingObject("the uploaded file is not in the store any more. Upload it again.") from None
    except DamagedObject:
        raise DamagedCheckpoint(
            "the uploaded file was damaged in the store: its SHA-256 is no longer the one that was uploaded. "
            "Upload it again."
        ) from None
    try:
        return work.in_child(
            "ingest",
            stall_s=STALL_S,
            path=path,
            out=Out(out),
            backbone=None if checkpoint.graph else checkpoint.backbone,  # a graph's name is no choice
            prefix=prefix,
            variant=checkpoint.variant,
            input_spec=checkpoint.input_spec,
        )
    except (CheckpointError, ReaderFailed) as error:
        raise error.about(None) from None  # the path of the worker's copy means nothing to the file's owner


def _name(row: Checkpoint) -> None:
    """Fill in run, step and training data from the file where the uploader left them out.

    If the file counts only epochs, the epoch becomes the step. If the declared step differs from the file's,
    the declared step stays, and the report notes the difference.
    """
    assert row.report is not None
    said = row.report.get("training") or {}
    if row.run is None and said.get("run") is not None:
        row.run = said["run"][:MAX_NAME]
    if row.step is None:
        row.step = said.get("epoch") if said.get("step") is None else said["step"]
    elif said.get("step") not in (None, row.step):
        note = f"the declared step is {row.step}; {said['sources']['step']} is {said['step']}"
        row.report = {**row.report, "notes": [*row.report["notes"], note]}
    if row.pretrained_on is None and row.report.get("origin"):
        row.pretrained_on = declaration(row.report["origin"])
