"""Delete what the caller's team owns, or say what that would take."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from records import deletion, flow
from records.deletion import Subject
from records.models import Checkpoint, Deleted, Evaluation, Model
from records.repositories import datasets, names
from service import gone
from service.auth import Caller
from service.checkpoints import named as checkpoints
from service.checkpoints.named import Among
from service.deletions.schemas import DeletionOut, RetiredOut, RetiredPage, lines
from service.evaluations import named as evaluations
from service.problems import Conflict, Forbidden, NotFound
from service.references import Latest
from service.visible import visible_to
from vcp_core.catalog.validation import quoted


def evaluation(session: Session, wanted: str, caller: Caller, *, dry_run: bool) -> DeletionOut:
    """Delete an evaluation of the caller's team. An administrator deletes any.

    Raises:
        NotFound: If there is none.
        Gone: If it was deleted before.
        Forbidden: If it is another team's.
        Conflict: If it is a control, which others share.
    """
    _lock(session, dry_run)
    found = evaluations.find(session, wanted, caller)
    if found.is_control:
        raise Conflict(
            f"Evaluation {found.id} is a control, which all evaluations beside it share. "
            "A sweep deletes a control that no evaluation needs any more."
        )
    if found.team != caller.team and not caller.admin:
        raise Forbidden(f"Evaluation {found.id} belongs to team {found.team!r}.")
    return _deleted(session, found, caller, dry_run)


def checkpoint(session: Session, wanted: str, caller: Caller, *, dry_run: bool) -> DeletionOut:
    """Delete a checkpoint of the caller's team, with its evaluations. An administrator deletes any.

    Raises:
        NotFound: If the team has none.
        Gone: If it was deleted before.
    """
    _lock(session, dry_run)
    found = checkpoints.find(session, wanted, Among.usable_by(caller))
    return _deleted(session, found, caller, dry_run)


def model(session: Session, wanted: str, caller: Caller, *, dry_run: bool) -> DeletionOut:
    """Delete a model of the caller's team, with its checkpoints. An administrator deletes any.

    Raises:
        NotFound: If the team has none.
    """
    _lock(session, dry_run)
    return _deleted(session, _model(session, wanted, caller), caller, dry_run)


def _model(session: Session, wanted: str, caller: Caller) -> Model:
    """Find a model by its name, or by a former name; also one without checkpoints."""
    for team, name in [(caller.team, wanted), *Latest(model=wanted).teams]:
        if caller.admin or team == caller.team:
            found = names.owner(session, team, name)
            if found is not None:
                return found
    raise NotFound(f"Team {caller.team!r} has no model {quoted(wanted)}. List them: GET /v1/models.")


def dataset(session: Session, dataset_id: UUID, caller: Caller, *, dry_run: bool) -> DeletionOut:
    """Delete a retired dataset, with all evaluations on it.

    Raises:
        NotFound: If there is none.
        Gone: If it was deleted before.
        Conflict: If the dataset still has its name.
    """
    _lock(session, dry_run)
    found = datasets.get(session, dataset_id)
    if found is None:
        gone.check(session, Deleted.DATASET, dataset_id, visible=visible_to(caller))
        raise NotFound(f"No dataset {dataset_id}. List the retired ones: GET /v1/retired-datasets.")
    if found.retired_at is None:
        raise Conflict(
            f"Dataset {dataset_id} still has its name, {quoted(found.name)}. Retire it first: "
            f"DELETE /v1/datasets/{found.name}."
        )
    return _deleted(session, found, caller, dry_run)


def retired(session: Session, *, limit: int, offset: int) -> RetiredPage:
    """Datasets that lost their names, the last retired first."""
    found, total = datasets.retired(session, limit=limit, offset=offset)
    items = [RetiredOut.model_validate({**_facts(row), "num_evaluations": number}) for row, number in found]
    return RetiredPage(items=items, total=total)


def _facts(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("id", "name", "fingerprint", "retired_at")}


def _lock(session: Session, dry_run: bool) -> None:
    if not dry_run:
        flow.lock(session)  # before the subject is read: workers change it under the same lock


def _deleted(session: Session, subject: Subject, caller: Caller, dry_run: bool) -> DeletionOut:
    # What the answer says is read first: afterwards, the row is gone.
    model = _model_of(subject)
    facts = {
        "kind": _kind(subject),
        "id": subject.id,
        "name": _name(subject),
        "team": model and model.team,
        "model": model and model.name,
        "dry_run": dry_run,
    }
    team = None if caller.admin else caller.team
    if dry_run:
        account = deletion.account(session, subject, team=team)
    else:
        account = deletion.delete(session, subject, by=caller.name, team=team)
    return DeletionOut.model_validate({**facts, "goes": lines(account.goes), "stays": lines(account.stays)})


def _kind(subject: Subject) -> str:
    kinds = {Checkpoint: Deleted.CHECKPOINT, Evaluation: Deleted.EVALUATION, Model: Deleted.MODEL}
    return kinds.get(type(subject), Deleted.DATASET).value


def _model_of(subject: Subject) -> Model | None:
    if isinstance(subject, Evaluation):
        return subject.checkpoint.model
    if isinstance(subject, Checkpoint):
        return subject.model
    return subject if isinstance(subject, Model) else None


def _name(subject: Subject) -> str:
    """What people call it."""
    if isinstance(subject, Evaluation):
        return f"{_name(subject.checkpoint)} on {subject.dataset.name} under {subject.protocol.name}"
    if isinstance(subject, Checkpoint):
        step = "" if subject.step is None else f" at step {subject.step}"
        return f"{_name(subject.model)}{step}" if subject.model else "random weights"
    return f"{subject.team}/{subject.name}" if isinstance(subject, Model) else subject.name
