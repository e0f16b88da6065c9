"""`/v1/protocols`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from records.models import ProtocolRow
from service.auth import AnyCaller
from service.deps import Limit, Offset, Router, SessionDep
from service.forms import Word
from service.problems import WITH_BODY, responses
from service.protocols import service
from vcp_core.catalog.protocols import Protocol, protocol_from

router = Router(prefix="/protocols", tags=["protocols"])


class ProtocolOut(BaseModel):
    """A protocol. People use its name; only the hash decides which results can be compared."""

    name: str = Field(examples=["quick-v1"])
    hash: str
    numbers: Protocol | dict[str, Any] = Field(description="As they were registered.")
    older: bool = Field(
        description="Whether another version made it, and this one cannot run it; its results can be read."
    )


class ProtocolPage(BaseModel):
    """Some of the protocols. Those of the catalog come first, the others by name."""

    items: list[ProtocolOut]
    total: int


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
def page(session: SessionDep, limit: Limit = 50, offset: Offset = 0) -> ProtocolPage:
    """The catalog's protocols, then those that were registered, by name."""
    found, total = service.page(session, limit=limit, offset=offset)
    return ProtocolPage(items=[_shown(one) for one in found], total=total)


@router.get("/{name_or_hash}", responses=responses(404), summary="Show a protocol")
def show(name_or_hash: str, session: SessionDep) -> ProtocolOut:
    """One protocol, by its name or its hash."""
    return _shown(service.find(session, name_or_hash))


@router.post("", status_code=201, responses=responses(*WITH_BODY, 404, 409), summary="Register a protocol")
def register(body: ProtocolIn, caller: AnyCaller, session: SessionDep) -> ProtocolOut:
    """Register a protocol of your own: a name, and what differs from `base` (standard-v1 if left out)."""
    protocol = protocol_from(body.model_dump())
    return _shown(service.keep(session, protocol))


def _shown(found: Protocol | ProtocolRow) -> ProtocolOut:
    name = service.name_of(found)
    if isinstance(found, Protocol):
        return ProtocolOut(name=name, hash=found.hash, numbers=found, older=False)
    numbers = service.numbers_of(found)
    return ProtocolOut(
        name=name, hash=found.hash, numbers=numbers or dict(found.content), older=numbers is None
    )
