"""DELETE of evaluations, checkpoints, models and retired datasets."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path

from service.auth import Admin, AnyCaller
from service.deletions import service
from service.deletions.schemas import DeletionOut, DryRun, RetiredPage
from service.deps import Limit, Offset, Router, SessionDep
from service.models.schemas import MODEL
from service.problems import responses
from service.references import CheckpointNamed, EvaluationNamed

router = Router()


@router.delete(
    "/evaluations/{evaluation_id:named}",
    responses=responses(403, 404, 409),
    summary="Delete an evaluation",
    tags=["evaluations"],
)
def evaluation(
    evaluation_id: EvaluationNamed, caller: AnyCaller, session: SessionDep, dry_run: DryRun = False
) -> DeletionOut:
    """Delete an evaluation of your team for good. If it is under way, it is cancelled first.

    Its scores, notes, maps and comparisons go at once, and its features with the next sweep. What other
    evaluations need stays. Links and addresses that named it then answer 410.
    """
    return service.evaluation(session, evaluation_id, caller, dry_run=dry_run)


@router.delete(
    "/checkpoints/{checkpoint_id:named_checkpoint}",
    responses=responses(404, 409),
    summary="Delete a checkpoint",
    tags=["checkpoints"],
)
def checkpoint(
    checkpoint_id: CheckpointNamed, caller: AnyCaller, session: SessionDep, dry_run: DryRun = False
) -> DeletionOut:
    """Delete a checkpoint of your team for good, with all its evaluations.

    Its file and weights go with the next sweep, unless another checkpoint has the same. Aliases that point at
    it end. Their histories say when.
    """
    return service.checkpoint(session, checkpoint_id, caller, dry_run=dry_run)


@router.delete("/models/{model:path}", responses=responses(404), summary="Delete a model", tags=["models"])
def model(
    model: Annotated[str, Path(description=MODEL)],
    caller: AnyCaller,
    session: SessionDep,
    dry_run: DryRun = False,
) -> DeletionOut:
    """Delete a model of your team for good, with all its checkpoints, their evaluations, tags and logs.

    Its names are free again.
    """
    return service.model(session, model, caller, dry_run=dry_run)


@router.get("/retired-datasets", responses=responses(403), summary="List retired datasets", tags=["datasets"])
def retired(admin: Admin, session: SessionDep, limit: Limit = 50, offset: Offset = 0) -> RetiredPage:
    """Datasets that lost their names, the last retired first. Their results stay until they are deleted."""
    return service.retired(session, limit=limit, offset=offset)


@router.delete(
    "/retired-datasets/{dataset_id}",
    responses=responses(403, 404, 409),
    summary="Delete a retired dataset",
    tags=["datasets"],
)
def dataset(dataset_id: UUID, admin: Admin, session: SessionDep, dry_run: DryRun = False) -> DeletionOut:
    """Delete a retired dataset for good, with all evaluations on it, of every team. Its files stay."""
    return service.dataset(session, dataset_id, admin, dry_run=dry_run)
