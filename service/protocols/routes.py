"""`/v1/protocols`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from records.models import ProtocolRow
from records.repositories import datasets
from service.auth import AnyCaller
from service.deps import SessionDep
from service.forms import Word
from service.problems import responses
from service.protocols import service
from vcp_core.catalog.protocols import PROTOCOLS, Protocol, protocol_from

router = APIRouter(prefix="/protocols", tags=["protocols"])


class ProtocolOut(BaseModel):
    """A protocol. People use its name; only the hash decides which results can be compared."""

    name: str = Field(examples=["quick-v1"])
    hash: str
    numbers: Protocol | dict[str, Any] = Field(description="As they were registered.")
    older: bool = Field(
        description="Whether another version made it, and this one cannot run it; its results can be read."
    )


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
    catalog = [
        ProtocolOut(name=one.name, hash=one.hash, numbers=one, older=False) for one in PROTOCOLS.values()
    ]
    known = {one.hash for one in catalog}
    return catalog + [_shown(row) for row in datasets.protocols(session) if row.hash not in known]


@router.get("/{name_or_hash}", responses=responses(404), summary="Show a protocol")
def show(name_or_hash: str, session: SessionDep) -> ProtocolOut:
    """One protocol, by its name or its hash."""
    return _shown(service.find(session, name_or_hash))


@router.post("", status_code=201, responses=responses(404, 409), summary="Register a protocol")
def register(body: ProtocolIn, caller: AnyCaller, session: SessionDep) -> ProtocolOut:
    """Register a protocol of your own: a name, and what differs from `base` (standard-v1 if left out)."""
    protocol = protocol_from(body.model_dump())
    return _shown(service.keep(session, protocol))


def _shown(row: ProtocolRow) -> ProtocolOut:
    numbers = service.numbers_of(row)
    taken = row.name in PROTOCOLS and PROTOCOLS[row.name].hash != row.hash  # by the catalog's of now
    return ProtocolOut(
        name=datasets.longer_name(row) if taken else row.name,
        hash=row.hash,
        numbers=numbers or dict(row.content),
        older=numbers is None,
    )
