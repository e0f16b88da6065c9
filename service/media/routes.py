"""`/v1/media`."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from service.auth import Reader
from service.deps import Router, SessionDep, StorageDep
from service.forms import ProtocolHash, VideoKey, Word
from service.media import ranges, service
from service.media.service import Wanted
from service.problems import responses
from vcp_core.catalog.previews import CLIP, STRIP

router = Router(prefix="/media", tags=["media"])
TYPES = {STRIP: "image/webp", CLIP: "video/webm"}
ASK_AGAIN_S = 3
# The forms of InputSpec's words; `read_geometry` says what is wrong with a text.
_FRAME = r"resize=[0-9]{2,3}x[0-9]{2,3},crop=[0-9]{2,3}"
OF_VIDEO = f"^{_FRAME}$"
OF_QUESTION = f"^frames=[0-9]{{1,2}},stride=[0-9]{{1,2}},{_FRAME}$"
OfVideo = Annotated[
    str, Path(description="What the network sees of a frame.", json_schema_extra={"pattern": OF_VIDEO})
]
OfQuestion = Annotated[
    str, Path(description="What the network sees of a clip.", json_schema_extra={"pattern": OF_QUESTION})
]
Key = Annotated[VideoKey, Path(description="The first half of the SHA-256 of the video's id.")]
OfProtocol = Annotated[ProtocolHash, Path(description="Hash of the protocol.")]
Form = Annotated[Literal["webp", "webm"], Path(description="A picture of frames, or a clip.")]
Number = Annotated[int, Path(description="Number of the video's question.", ge=0, le=9999)]


class BeingMade(BaseModel):
    """A worker makes the preview. Ask again after the seconds of `Retry-After`."""

    detail: str = "The preview is not made yet. A worker makes it once no evaluation waits. Ask again."


_CONTENT = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in TYPES.values()}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": _CONTENT},
    202: {"model": BeingMade, "description": "Not made yet"},
    206: {"description": "The bytes that `Range` asked for", "content": _CONTENT},
    304: {"description": "The preview is the one of `If-None-Match`"},
    **responses(404, 416),
}


@router.get(
    "/{dataset_id}/{geometry}/videos/{key}.{form}",
    responses=_RESPONSES,
    response_class=Response,
    summary="Show a video",
)
def of_video(
    request: Request,
    dataset_id: UUID,
    geometry: OfVideo,
    key: Key,
    form: Form,
    reader: Reader,
    session: SessionDep,
    storage: StorageDep,
) -> Response:
    """A video as a network sees it: eight of its frames in one picture, or at most 72 of them as a clip.

    The first request has a worker make it, and is answered 202 with `Retry-After`. Ask again after as many
    seconds.
    """
    wanted = Wanted(dataset_id=dataset_id, geometry=geometry, key=key, form=form)
    return _answer(request, wanted, reader, session, storage)


@router.get(
    "/{dataset_id}/{geometry}/questions/{protocol_hash}/{key}/{number}/{option}.{form}",
    responses=_RESPONSES,
    response_class=Response,
    summary="Show a cloze question",
)
def of_question(
    request: Request,
    dataset_id: UUID,
    geometry: OfQuestion,
    protocol_hash: OfProtocol,
    key: Key,
    number: Number,
    option: Word,
    form: Form,
    reader: Reader,
    session: SessionDep,
    storage: StorageDep,
) -> Response:
    """A question's three clips, with an option in the blank: side by side as a clip, or as one picture.

    A column of the picture has four frames of a clip: before the blank, in the blank, after the blank. A
    worker makes both as it makes those of a video.
    """
    wanted = Wanted(
        dataset_id=dataset_id,
        geometry=geometry,
        key=key,
        form=form,
        protocol_hash=protocol_hash,
        number=number,
        option=option,
    )
    return _answer(request, wanted, reader, session, storage)


def _answer(
    request: Request, wanted: Wanted, reader: Reader, session: SessionDep, storage: StorageDep
) -> Response:
    found = service.find(session, storage, wanted, reader)
    if found is not None:
        return ranges.serve(request, found.content, media_type=TYPES[wanted.form], sha256=found.sha256)
    # Not an error: for one, browsers would print a line for each picture of a page.
    headers = {"Retry-After": str(ASK_AGAIN_S), "Cache-Control": "no-store"}
    return JSONResponse(BeingMade().model_dump(), status_code=202, headers=headers)
