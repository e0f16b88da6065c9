"""`/v1/protocols`."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from records.repositories import datasets
from service.auth import AnyCaller
from service.deps import SessionDep
from service.forms import Word
from service.problems import responses
from service.protocols import service
from vcp_core.catalog.protocols import PROTOCOLS, Protocol, protocol_from

router = APIRouter(prefix="/protocols", tags=["protocols"])


class ProtocolOut(BaseModel):
    """A protocol: its name is for people, its hash is what counts."""

    name: str = Field(examples=["quick-v1"])
    hash: str
    numbers: Protocol


class ProtocolIn(BaseModel):
    """A name, and what differs from `base`; the fields are those of `numbers` in the answer."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [{"name": "short-videos", "base": "quick-v1", "cloze": {"gap": 0, "remote_gap": 0}}]
        },
    )

    name: Word
    base: str = Field("standard-v1", description="A protocol of the catalog.")


@router.get("", summary="List protocols")
def every(session: SessionDep) -> list[ProtocolOut]:
    """The catalog's protocols, and those that were registered."""
    own = [Protocol.model_validate(row.content) for row in datasets.protocols(session)]
    return [
        _shown(protocol) for protocol in [*PROTOCOLS.values(), *(p for p in own if p.name not in PROTOCOLS)]
    ]


@router.get("/{name_or_hash}", responses=responses(404), summary="Show a protocol")
def show(name_or_hash: str, session: SessionDep) -> ProtocolOut:
    """One protocol, by its name or its hash."""
    return _shown(Protocol.model_validate(service.find(session, name_or_hash).content))


@router.post("", status_code=201, responses=responses(404, 409), summary="Register a protocol")
def register(body: ProtocolIn, caller: AnyCaller, session: SessionDep) -> ProtocolOut:
    """Register a protocol of your own: a name, and what differs from `base` (standard-v1 if left out)."""
    protocol = protocol_from(body.model_dump())
    return _shown(Protocol.model_validate(service.keep(session, protocol).content))


def _shown(protocol: Protocol) -> ProtocolOut:
    return ProtocolOut(name=protocol.name, hash=protocol.hash, numbers=protocol)
