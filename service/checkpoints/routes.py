"""`/v1/checkpoints`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from records.repositories import checkpoints
from records.storage import checkpoint_key
from service.auth import AnyCaller, Reader
from service.checkpoints import named, service
from service.checkpoints.named import Among
from service.checkpoints.schemas import (
    INPUT_SPEC,
    PREFIX,
    PRETRAINED_ON,
    PRIVATE,
    VARIANT,
    CheckpointIn,
    CheckpointOut,
    CheckpointPage,
    shown,
)
from service.checkpoints.uploads import CONTENT_RANGE, Uploads
from service.deps import DatabaseDep, Limit, Offset, Router, SessionDep, SettingsDep, StorageDep
from service.forms import Declaration, InputDeclaration, ModelName, Name, Sha256, StepText, Text
from service.problems import WITH_BODY, TooLarge, responses
from service.references import CheckpointId, CheckpointNamed

router = Router(prefix="/checkpoints", tags=["checkpoints"])
FOUND: dict[int | str, dict[str, Any]] = {
    200: {"model": CheckpointOut, "description": "It was there already"}
}
BYTES = {"requestBody": {"required": True, "content": {"application/octet-stream": {}}}}


@router.post(
    "",
    status_code=201,
    responses={**FOUND, **responses(*WITH_BODY, 404, 409)},
    summary="Declare a checkpoint",
)
def declare(
    body: CheckpointIn,
    caller: AnyCaller,
    session: SessionDep,
    storage: StorageDep,
    settings: SettingsDep,
    response: Response,
) -> CheckpointOut:
    """Declare a file. Then `PUT` its bytes to `/v1/checkpoints/{id}/content`.

    If your team has declared the same bytes under the same model, prefix, variant and input before, the
    answer is that checkpoint (200). Facts that it lacks are added. A fact that contradicts it is refused
    (409).
    """
    _fits(body.size_bytes, settings.max_upload_bytes)
    said = body.model_dump(exclude={"size_bytes"})
    facts = service.Facts(**said, private_if_new=settings.new_models_private)
    checkpoint, new = service.declare(
        session, storage, settings, caller.team, facts, body.sha256, body.size_bytes
    )
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/checkpoints/{checkpoint.id}"
    return shown(checkpoint)


@router.put(  # not post: `curl -T` sends PUT
    "/upload",
    status_code=201,
    responses={**FOUND, **responses(404, 409, 413)},
    openapi_extra=BYTES,
    summary="Upload a checkpoint in one go",
)
async def upload(
    request: Request,
    response: Response,
    caller: AnyCaller,
    database: DatabaseDep,
    storage: StorageDep,
    settings: SettingsDep,
    model: Annotated[ModelName, Query(description="Name of the model that the checkpoint belongs to.")],
    backbone: Annotated[
        str | None, Query(description="Its architecture; the service finds it if left out.")
    ] = None,
    sha256: Annotated[Sha256 | None, Query(description="If given, the bytes must have this SHA-256.")] = None,
    run: Annotated[Name | None, Query(description="The training run.")] = None,
    step: Annotated[StepText | None, Query(description="Training step of that run.")] = None,
    pretrained_on: Annotated[Declaration | None, Query(description=PRETRAINED_ON)] = None,
    prefix: Annotated[Declaration | None, Query(description=PREFIX)] = None,
    variant: Annotated[Text | None, Query(description=VARIANT)] = None,
    input_spec: Annotated[InputDeclaration | None, Query(description=INPUT_SPEC)] = None,
    private: Annotated[bool | None, Query(description=PRIVATE)] = None,
    content_length: Annotated[int | None, Header(ge=0, include_in_schema=False)] = None,
) -> CheckpointOut:
    """Upload in one go: `curl -T model.pt "$URL/v1/checkpoints/upload?model=NAME"`.

    If your team has declared the same bytes under the same model, prefix, variant and input before, the
    answer is that checkpoint (200). Facts that it lacks are added. A fact that contradicts it is refused
    (409).
    """
    facts = service.Facts(
        model=model,
        sha256=sha256,
        backbone=backbone,
        run=run,
        step=step,
        pretrained_on=pretrained_on,
        prefix=prefix,
        variant=variant,
        input_spec=input_spec,
        private=private,
        private_if_new=settings.new_models_private,
    )
    _fits(content_length or 0, settings.max_upload_bytes)
    uploads = Uploads(database=database, storage=storage, settings=settings, request=request)
    with request.app.state.open_uploads.counted(caller.team):
        checkpoint, new = await uploads.whole(request.stream(), caller.team, facts, content_length or 0)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/checkpoints/{checkpoint.id}"
    return checkpoint


@router.put(
    "/{checkpoint_id}/content",
    responses=responses(404, 409),
    openapi_extra=BYTES,
    summary="Send a checkpoint's bytes",
)
async def content(
    checkpoint_id: CheckpointId,
    request: Request,
    caller: AnyCaller,
    database: DatabaseDep,
    storage: StorageDep,
    settings: SettingsDep,
    content_range: Annotated[
        str | None,
        Header(
            description="`bytes FIRST-LAST/ALL`, to continue after `received_bytes`.",
            json_schema_extra={"pattern": CONTENT_RANGE.pattern},
        ),
    ] = None,
) -> CheckpointOut:
    """Send the bytes of a declared checkpoint, at once or in parts one after the other.

    After a broken connection, `received_bytes` of `GET /v1/checkpoints/{id}` says where to continue. Without
    a range, the upload starts again. Once all bytes are stored, sending them again changes nothing.
    """
    uploads = Uploads(database=database, storage=storage, settings=settings, request=request)
    with request.app.state.open_uploads.counted(caller.team):
        return await uploads.part(checkpoint_id, caller.team, request.stream(), content_range)


@router.get(
    "/{checkpoint_id:named}/content",
    responses={200: {"content": {"application/octet-stream": {}}}, **responses(404, 409)},
    response_class=StreamingResponse,
    summary="Download a checkpoint",
)
def download(
    checkpoint_id: CheckpointNamed, caller: AnyCaller, session: SessionDep, storage: StorageDep
) -> StreamingResponse:
    """The file as it was uploaded. You can download your team's files; an administrator can download all."""
    found = service.uploaded_file(session, checkpoint_id, caller)
    headers = {
        "Content-Length": str(found.size_bytes),
        "Content-Disposition": f'attachment; filename="{found.id}"',
        "ETag": f'"{found.sha256}"',
    }
    chunks = storage.stream(checkpoint_key(found.sha256 or ""), sha256=found.sha256)
    return StreamingResponse(chunks, media_type="application/octet-stream", headers=headers)


@router.get("", summary="List checkpoints")
def page(
    reader: Reader,
    session: SessionDep,
    model: Annotated[str | None, Query(description="Only of this model.")] = None,
    team: Annotated[str | None, Query(description="Only of this team.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> CheckpointPage:
    """Checkpoints, newest first. Only its own team sees a checkpoint that is not ready or was rejected."""
    found, total = checkpoints.page(
        session,
        among=Among.seen_by(reader).where,
        model=model,
        team=team,
        limit=limit,
        offset=offset,
    )
    return CheckpointPage(items=[shown(checkpoint, reader) for checkpoint in found], total=total)


@router.get("/{checkpoint_id:named_checkpoint}", responses=responses(404, 409), summary="Show a checkpoint")
def show(checkpoint_id: CheckpointNamed, reader: Reader, session: SessionDep) -> CheckpointOut:
    """One checkpoint: its state, and how far its upload is. Until it is ready, only its own team sees it."""
    return shown(named.find(session, checkpoint_id, Among.seen_by(reader)), reader)


def _fits(size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise TooLarge(
            f"The file has {size_bytes} bytes, and this installation takes at most {max_bytes} "
            "(VCPBENCH_MAX_UPLOAD_BYTES)."
        )
