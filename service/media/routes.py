"""`/v1/media`."""

from __future__ import annotations

from typing import Annotated, Any
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
Number = Annotated[int, Path(description="Number of the video's question.", ge=0, le=9999)]


class BeingMade(BaseModel):
    """A worker makes the preview. Ask again after the seconds of `Retry-After`."""

    detail: str = "The preview is not made yet. A worker makes it once no evaluation waits. Ask again."


def _described(form: str) -> dict[int | str, dict[str, Any]]:
    content = {TYPES[form]: {"schema": {"type": "string", "format": "binary"}}}
    return {
        200: {"content": content},
        202: {"model": BeingMade, "description": "Not made yet"},
        206: {"description": "The bytes that `Range` asked for", "content": content},
        304: {"description": "The preview is the one of `If-None-Match`"},
        **responses(404, 416),
    }


@router.get(
    "/{dataset_id}/{geometry}/videos/{key}.webp",
    responses=_described(STRIP),
    response_class=Response,
    summary="Show frames of a video",
)
def video_strip(
    request: Request,
    dataset_id: UUID,
    geometry: OfVideo,
    key: Key,
    reader: Reader,
    session: SessionDep,
    storage: StorageDep,
) -> Response:
    """Eight frames of a video in one picture, as a network sees them.

    The first request has a worker make it, and is answered 202 with `Retry-After`. Ask again after as many
    seconds.
    """
    wanted = Wanted(dataset_id=dataset_id, geometry=geometry, key=key, form=STRIP)
    return _answer(request, wanted, reader, session, storage)


@router.get(
    "/{dataset_id}/{geometry}/videos/{key}.webm",
    responses=_described(CLIP),
    response_class=Response,
    summary="Play a video",
)
def video_clip(
    request: Request,
    dataset_id: UUID,
    geometry: OfVideo,
    key: Key,
    reader: Reader,
    session: SessionDep,
    storage: StorageDep,
) -> Response:
    """At most 72 frames of a video, as a network sees them. It is made as the picture is."""
    wanted = Wanted(dataset_id=dataset_id, geometry=geometry, key=key, form=CLIP)
    return _answer(request, wanted, reader, session, storage)


@router.get(
    "/{dataset_id}/{geometry}/questions/{protocol_hash}/{key}/{number}/{option}.webp",
    responses=_described(STRIP),
    response_class=Response,
    summary="Show frames of a cloze question",
)
def question_strip(
    request: Request,
    dataset_id: UUID,
    geometry: OfQuestion,
    protocol_hash: OfProtocol,
    key: Key,
    number: Number,
    option: Word,
    reader: Reader,
    session: SessionDep,
    storage: StorageDep,
) -> Response:
    """Four frames of each of a question's three clips, with an option in the blank.

    A column is a clip: before the blank, in the blank, after the blank. The picture is made as that of a
    video is.
    """
    wanted = Wanted(
        dataset_id=dataset_id,
        geometry=geometry,
        key=key,
        form=STRIP,
        protocol_hash=protocol_hash,
        number=number,
        option=option,
    )
    return _answer(request, wanted, reader, session, storage)


@router.get(
    "/{dataset_id}/{geometry}/questions/{protocol_hash}/{key}/{number}/{option}.webm",
    responses=_described(CLIP),
    response_class=Response,
    summary="Play a cloze question",
)
def question_clip(
    request: Request,
    dataset_id: UUID,
    geometry: OfQuestion,
    protocol_hash: OfProtocol,
    key: Key,
    number: Number,
    option: Word,
    reader: Reader,
    session: SessionDep,
    storage: StorageDep,
) -> Response:
    """A question's three clips side by side, with an option in the blank."""
    wanted = Wanted(
        dataset_id=dataset_id,
        geometry=geometry,
        key=key,
        form=CLIP,
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
