"""What the script of the page to submit sends: a declaration, bytes, and a request for an evaluation.

These are the API's routes at addresses of their own, for a browser that is logged in. The protocol is the
API's: the file is declared, and its bytes come in parts and can be resumed. A logged-in browser can send
only these requests and the forms in writing.py.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Request, Response

from service.auth import PageSender
from service.checkpoints import routes as checkpoints
from service.checkpoints.schemas import CheckpointIn, CheckpointOut
from service.deps import DatabaseDep, Router, SessionDep, SettingsDep, StorageDep
from service.evaluations import routes as evaluations
from service.evaluations.schemas import EvaluationIn, EvaluationOut
from service.references import CheckpointId

router = Router(prefix="/submit", include_in_schema=False)


@router.post("/checkpoints", status_code=201)
def declare(
    body: CheckpointIn,
    sender: PageSender,
    session: SessionDep,
    storage: StorageDep,
    settings: SettingsDep,
    response: Response,
) -> CheckpointOut:
    """Declare a file, as `POST /v1/checkpoints` does."""
    return checkpoints.declare(body, sender, session, storage, settings, response)


@router.put("/checkpoints/{checkpoint_id}/content")
async def content(
    checkpoint_id: CheckpointId,
    request: Request,
    sender: PageSender,
    database: DatabaseDep,
    storage: StorageDep,
    settings: SettingsDep,
    content_range: Annotated[str | None, Header()] = None,
) -> CheckpointOut:
    """Take bytes, as `PUT /v1/checkpoints/{id}/content` does."""
    return await checkpoints.content(
        checkpoint_id, request, sender, database, storage, settings, content_range
    )


@router.post("/evaluations", status_code=201)
def evaluate(
    body: EvaluationIn, sender: PageSender, session: SessionDep, settings: SettingsDep, response: Response
) -> EvaluationOut:
    """Ask for an evaluation, as `POST /v1/evaluations` does."""
    return evaluations.create(body, sender, session, settings, response)
