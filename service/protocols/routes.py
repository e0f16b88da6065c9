"""`/v1/protocols`."""

from __future__ import annotations

from records.models import ProtocolRow
from service.auth import AnyCaller
from service.deps import Limit, Offset, Router, SessionDep
from service.problems import WITH_BODY, responses
from service.protocols import service
from service.protocols.schemas import ProtocolIn, ProtocolOut, ProtocolPage
from vcp_core.catalog.protocols import Protocol, protocol_from

router = Router(prefix="/protocols", tags=["protocols"])


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
