"""`/v1/logs`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response

from records.repositories import logs
from service.auth import AnyCaller, Reader
from service.deps import Limit, Offset, Router, SessionDep
from service.forms import Name
from service.logs import service
from service.logs.schemas import CurvesOut, LogOut, LogPage, shown, with_curves
from service.problems import TooLarge, responses
from vcp_core.catalog.logs import MAX_BYTES, MAX_CURVES, MAX_ROWS, parse

router = Router(prefix="/logs", tags=["logs"])
Modelled = Annotated[str, Query(description="Your team's model, or `TEAM/MODEL`.")]
Run = Annotated[Name | None, Query(description="The training run; left out for checkpoints without one.")]
# As the bytes of an upload: whatever kind `curl -T` names is taken.
CSV = {"requestBody": {"required": True, "content": {"application/octet-stream": {}}}}


async def _received(
    request: Request, content_length: Annotated[int | None, Header(ge=0, include_in_schema=False)] = None
) -> bytes:
    """The body. It is small (`service.limits.BodyLimit`), and no session is open while it arrives."""
    if (content_length or 0) > MAX_BYTES:
        raise TooLarge(f"A training log has at most {MAX_BYTES} bytes. Leave out steps or columns.")
    return await request.body()


Content = Annotated[bytes, Depends(_received)]


@router.put(  # not post: `curl -T` sends PUT, and a new upload replaces the log
    "",
    status_code=201,
    responses={200: {"model": LogOut, "description": "It replaced the log"}, **responses(404, 409, 413)},
    openapi_extra=CSV,
    summary="Upload a training log",
    description=f"""The curves of a run, as CSV: `curl -T log.csv "$URL/v1/logs?model=NAME&run=RUN"`.

The first line names the columns. One is `step`, and every other one is a curve. Steps ascend. A cell is a
finite number, or empty. A log has at most {MAX_ROWS} rows and {MAX_CURVES} curves. The model's page shows the
curves beside the scores of this run. The model must have a checkpoint. A new upload replaces the log (200).
""",
)
def put(
    caller: AnyCaller,
    content: Content,
    session: SessionDep,
    response: Response,
    model: Modelled,
    run: Run = None,
) -> LogOut:
    """Store the curves of a run."""
    row, new = service.put(session, model, run, parse(content), caller)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/logs/{row.id}"
    return shown(row, caller)


@router.get("", responses=responses(404), summary="List the training logs of a model")
def page(
    reader: Reader, session: SessionDep, model: Modelled, limit: Limit = 50, offset: Offset = 0
) -> LogPage:
    """The training logs of a model, the last uploaded first, without their curves."""
    about = service.model_of(session, model, reader)
    found = logs.of_model(session, about.id, limit=limit, offset=offset)
    return LogPage(items=[shown(one, reader) for one in found], total=logs.count(session, about.id))


@router.get("/{log_id}", responses=responses(404), summary="Show a training log")
def show(log_id: UUID, reader: Reader, session: SessionDep) -> CurvesOut:
    """One training log with its curves."""
    return with_curves(service.find(session, log_id, reader), reader)


@router.delete("/{log_id}", responses=responses(403, 404), summary="Delete a training log")
def delete(log_id: UUID, caller: AnyCaller, session: SessionDep) -> LogOut:
    """Delete a training log of your team. To undo this, upload it again."""
    return shown(service.delete(session, log_id, caller), caller)
