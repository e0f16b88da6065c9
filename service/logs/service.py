"""Add, replace and delete training logs."""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from records.models import LogRow, Model
from records.repositories import checkpoints, locks, logs
from service.auth import Caller, is_of
from service.checkpoints.named import Among
from service.models import service as models
from service.problems import Conflict, Forbidden, NotFound
from service.references import Latest
from vcp_core.catalog.logs import TrainingLog
from vcp_core.catalog.validation import quoted

log = structlog.get_logger("vcpbench.service")
MAX_LOGS = 100  # of one model


def put(
    session: Session, wanted: str, run: str | None, found: TrainingLog, caller: Caller
) -> tuple[LogRow, bool]:
    """Add the log of a run, or replace it.

    Returns:
        The log, and whether it is new.

    Raises:
        NotFound: If the caller's team has no such model.
        Conflict: If the model has too many logs.
    """
    model = models.find(session, wanted, caller)
    locks.take(session, logs.lock_of(model))  # two uploads at once would make two logs of one run
    new = logs.of_run(session, model.id, run) is None
    number = logs.count(session, model.id)
    if new and number >= MAX_LOGS:
        raise Conflict(
            f"Model {model.name!r} has {number} training logs, and {MAX_LOGS} are allowed. Delete one first."
        )
    return logs.put(session, model, run, found, by=caller.name), new


def model_of(session: Session, wanted: str, reader: Caller | None) -> Model:
    """Find the model whose logs a reader asks for: the own team's first, then `TEAM/MODEL`.

    Raises:
        NotFound: If there is none.
    """
    among = Among.seen_by(reader)
    own = [(among.team, wanted)] if among.team is not None else []
    found = checkpoints.first_model(session, own + Latest(model=wanted).teams, among.where)
    if found is None:
        raise NotFound(f"No model {quoted(wanted)}. List them: GET /v1/models.")
    return found


def find(session: Session, log_id: UUID, reader: Caller | None) -> LogRow:
    """Find a log whose model the reader may see.

    Raises:
        NotFound: If there is none.
    """
    found = logs.get(session, log_id)
    if found is not None:
        called = [(found.model.team, found.model.name)]
        if checkpoints.first_model(session, called, Among.seen_by(reader).where):
            return found
    raise NotFound(f"No training log {log_id}. List those of a model: GET /v1/logs?model=MODEL.")


def delete(session: Session, log_id: UUID, caller: Caller) -> LogRow:
    """Delete a log, and return it.

    Raises:
        NotFound: If there is no such log.
        Forbidden: If it is another team's.
    """
    found = find(session, log_id, caller)
    if not is_of(found.model.team, caller):
        raise Forbidden(
            f"Training log {log_id} belongs to team {found.model.team!r}, and only this team deletes it."
        )
    logs.delete(session, found)
    log.info("training log deleted", log=str(log_id), model=str(found.model_id), by=caller.name)
    return found
