"""Ask again for evaluations of a leaderboard that older versions made."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from sqlalchemy.orm import Session

from records import flow
from records.db import Database
from records.models import CheckpointState, DatasetRow, DatasetState, Evaluation, ProtocolRow
from records.repositories import datasets, evaluations
from records.repositories.jobs import LOW
from service.evaluations.schemas import ReevaluationIn, ReevaluationOut
from service.problems import Conflict, NotFound
from service.protocols import service as protocols
from vcp_core.catalog.validation import quoted
from vcp_core.catalog.versions import engine

AT_A_TIME = 50  # evaluations in one transaction, because it holds the flow's lock, which others wait for


def reevaluate(
    database: Database, wanted: ReevaluationIn, *, note: Callable[[Session], None]
) -> ReevaluationOut:
    """Ask for the evaluations of a board that other versions made, at low priority.

    Args:
        database: Holds the evaluations.
        wanted: The board.
        note: Writes the audit log, before the first of several transactions that ask.

    Raises:
        UnknownName: If there is no such protocol.
        NotFound: If no other version has results there.
        Conflict: If this engine made that board, or cannot run its protocol.
    """
    with database.session() as session:
        protocol = protocols.find(session, wanted.protocol)
        protocols.check_runnable(protocol)
        dataset, old = _board(session, wanted, protocol)
        note(session)
    out = ReevaluationOut(dataset=dataset.name, protocol=protocol.name, asked=[], there=[], left_out={})
    for first in range(0, len(old), AT_A_TIME):
        with database.session() as session:
            flow.lock(session)
            for evaluation_id in old[first : first + AT_A_TIME]:
                _again(session, session.get_one(Evaluation, evaluation_id), dataset.id, out)
    return out


def _board(session: Session, wanted: ReevaluationIn, protocol: ProtocolRow) -> tuple[DatasetRow, list[UUID]]:
    """Find the board's dataset and its evaluations, one for each checkpoint, the oldest first."""
    if wanted.engine == engine():
        raise Conflict("This version of vcpbench made that board, so it need not be evaluated again.")
    dataset = datasets.of_leaderboard(session, wanted.dataset)
    fingerprint = dataset.fingerprint if dataset else None
    old = (
        evaluations.by_other_versions(session, fingerprint, protocol.hash, engine=wanted.engine)
        if fingerprint
        else []
    )
    if dataset is None or not old:
        made_by = f" by {quoted(wanted.engine)}" if wanted.engine else " of another version"
        raise NotFound(f"No results{made_by} on {quoted(wanted.dataset)} under {protocol.name}.")
    if dataset.state is not DatasetState.READY:
        raise Conflict(f"The dataset {dataset.name} is {dataset.state.value}: {dataset.reason}")
    return dataset, old


def _again(session: Session, old: Evaluation, dataset_id: UUID, out: ReevaluationOut) -> None:
    if old.checkpoint.state is not CheckpointState.READY:
        out.left_out[str(old.id)] = f"its checkpoint is {old.checkpoint.state.value}"
        return
    dataset = session.get_one(DatasetRow, dataset_id)
    found, new = flow.find_or_create(
        session, old.checkpoint, dataset, old.protocol_hash, team=old.team, priority=LOW
    )
    (out.asked if new else out.there).append(found.id)
