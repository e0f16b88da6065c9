"""Make the random-weights control of a backbone, its batch norm calibrated on training clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from records import flow, storage
from records.models import Checkpoint, CheckpointState, Evaluation
from records.repositories import checkpoints, evaluations
from records.storage import MissingObject
from vcp_core.catalog.files import sha256_of
from worker.runner import Out
from worker.tasks.ingest import store_weights
from worker.tasks.plan import plan_arguments
from worker.work import Work

STALL_S = 900.0


def calibrate(work: Work) -> None:
    """Make the network, and store its weights like those of an upload."""
    # Any evaluation will do: the control's key hashes dataset and protocol, so all of them agree on both.
    evaluation = work.read(lambda session: evaluations.of_checkpoint(session, work.subject_id)[-1])
    out = work.folder / "weights.safetensors"
    answer = random_weights(work, evaluation, out)
    sha256 = sha256_of(out)  # the child that decoded foreign videos has no say in whose weights these are
    store_weights(work, sha256, out)

    def write(session: Session) -> None:
        row = session.get_one(Checkpoint, work.subject_id)
        row.state = CheckpointState.READY
        row.report = {"backbone": row.backbone, "seed": row.seed, "calibrated_on": answer["device"]}
        flow.checkpoint_ended(session, row)

    work.conclude(write)


def _program_of(work: Work, control: Checkpoint) -> Path | None:
    """Return a local file of a network with a graph's program. None for a backbone of the catalog.

    Raises:
        MissingObject: If no upload with this program is in the store any more.
    """
    if control.graph is None:
        return None
    facts = control.graph_facts
    sha256 = work.read(lambda session: checkpoints.weights_like(session, facts))
    if sha256 is None:
        raise MissingObject("no checkpoint with this program is in the store any more. Upload one again.")
    return work.cached(storage.weights_key(sha256), sha256=sha256)


def random_weights(work: Work, evaluation: Evaluation, out: Path) -> dict[str, Any]:
    """Have the child make and write the weights of a control's evaluation; its answer."""
    return work.in_child(
        "calibrate",
        stall_s=STALL_S,
        decodes=evaluation.dataset,
        runs=evaluation.checkpoint,
        plan=plan_arguments(work, evaluation),
        seed=evaluation.checkpoint.seed,
        like=_program_of(work, evaluation.checkpoint),
        device=work.settings.device,
        out=Out(out),
    )
