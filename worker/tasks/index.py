"""Make the manifest of a registered dataset."""

from __future__ import annotations

from sqlalchemy.orm import Session

from records import flow, storage
from records.models import DatasetRow, DatasetState
from worker.work import Work

STALL_S = 600.0


def index(work: Work) -> None:
    """Read every video, and store the manifest."""
    dataset = work.read(lambda session: session.get_one(DatasetRow, work.subject_id))
    out = work.folder / "manifest.json"
    answer = work.in_child(
        "index", affinity=None, stall_s=STALL_S, source=dataset.source, name=dataset.name, out=str(out)
    )
    work.storage.put_file(storage.manifest_key(dataset.id), out)

    def write(session: Session) -> None:
        row = session.get_one(DatasetRow, work.subject_id)
        row.state = DatasetState.READY
        row.fingerprint, row.own_name, row.summary = (
            answer[fact] for fact in ("fingerprint", "own_name", "summary")
        )
        flow.dataset_ended(session, row)

    work.conclude(write)
