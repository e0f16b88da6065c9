"""Answer for things that were deleted: an old link says so, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.orm import Session

from records.models import Deleted
from records.repositories import tombstones
from records.repositories.visibility import Visibility
from service.problems import Gone

_INSTEAD = {
    Deleted.CHECKPOINT: "List those that are there: GET /v1/checkpoints.",
    Deleted.COMPARISON: "One of its evaluations was deleted then. Compare the others: POST /v1/comparisons.",
    Deleted.DATASET: "List those that are there: GET /v1/datasets.",
    Deleted.EVALUATION: "List those that are there: GET /v1/evaluations.",
    Deleted.MODEL: "List those that are there: GET /v1/models.",
}


def check(
    session: Session, kind: Deleted, low: UUID, high: UUID | None = None, *, visible: Visibility
) -> None:
    """Say that something was deleted, if it was. Call it when nothing was found.

    Args:
        session: Of the request.
        kind: What was looked for.
        low: Its id, or the first id that the request may mean.
        high: The last one.
        visible: What the reader sees. Only the team that it belonged to, and administrators, are told who
            deleted it, and nobody else is told of what belonged to a private model.

    Raises:
        Gone: If it was deleted.
    """
    found = tombstones.find(session, kind, low, high or low, visible)
    if found is None:
        return
    by = f" by {found.by}" if visible.is_of(found.team) else ""
    when = f"{moment(found.deleted_at)}{by}"
    raise Gone(
        f"{kind.value.capitalize()} {found.id} was deleted on {when}. {_INSTEAD[kind]}",
        deleted=kind.value,
        deleted_at=found.deleted_at.isoformat(),
    )


def moment(at: datetime) -> str:
    """Write when something was deleted.

    >>> moment(datetime(2026, 11, 30, 12, 5, tzinfo=UTC))
    '2026-11-30 12:05 UTC'
    """
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
