"""The weights of an evaluation's network. If the object is damaged, this job makes it again.

No row changes, because the object's key is its hash. So any number of workers may do this at once, and a
worker that is killed leaves nothing behind that the next attempt could mistake for an object.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog

from records import flow, storage
from records.models import Checkpoint, Evaluation, Origin
from records.storage import DamagedObject
from vcp_core.catalog.errors import CheckpointError, DamagedCheckpoint
from worker.tasks.calibrate import random_weights
from worker.tasks.ingest import read_upload
from worker.work import Work

CANNOT = "its weights were damaged in the store, and cannot be made again: "

log = structlog.get_logger("vcpbench.worker")


def weights_of(work: Work, evaluation: Evaluation) -> Path | None:
    """Return a local file of the network's weights; None for the pixel baseline, which has no weights.

    Raises:
        CheckpointError: If the weights are damaged, and cannot be made again.
    """
    checkpoint = evaluation.checkpoint
    if checkpoint.is_pixels:
        return None
    assert checkpoint.weights_sha256 is not None
    key = storage.weights_key(checkpoint.weights_sha256)
    try:
        return work.cached(key, sha256=checkpoint.weights_sha256)
    except DamagedObject as error:
        log.warning("making weights again", checkpoint=str(checkpoint.id), error=str(error))
    out = work.folder / "weights.safetensors"
    if checkpoint.origin is Origin.UPLOAD:
        made = _from_upload(work, checkpoint, out)
    else:
        made = random_weights(work, evaluation, out)
    if made["weights_sha256"] != checkpoint.weights_sha256:
        _give_up(work, checkpoint)
    work.storage.put_file(key, out)
    return work.cached(key, sha256=checkpoint.weights_sha256)


def _from_upload(work: Work, checkpoint: Checkpoint, out: Path) -> dict[str, Any]:
    # The report names the network that was chosen then. An update may have changed how networks are chosen.
    network = (checkpoint.report or {}).get("network") or checkpoint.prefix
    try:
        return read_upload(work, checkpoint, out, prefix=network)
    except CheckpointError as error:
        raise error.within(CANNOT) from None


def _give_up(work: Work, checkpoint: Checkpoint) -> None:
    if checkpoint.origin is Origin.CONTROL:

        def disown(session: Any) -> None:
            flow.lock(session)
            flow.disown_control(session, session.get_one(Checkpoint, checkpoint.id))

        work.read(disown)
        raise DamagedCheckpoint(
            f"{CANNOT}this device or version calibrates them to other digits. Ask for the evaluation again: "
            "it gets new random weights."
        )
    raise DamagedCheckpoint(
        f"{CANNOT}this version of vcpbench makes other weights of the same file. Upload the file again."
    )
