"""Find protocols by name or hash. Those of the catalog always exist."""

from __future__ import annotations

from pydantic import ValidationError
from sqlalchemy.orm import Session

from records.models import ProtocolRow
from records.repositories import datasets
from service.limits import MAX_ROWS
from service.problems import Conflict
from vcp_core.catalog.errors import ProtocolError, UnknownName
from vcp_core.catalog.protocols import PROTOCOLS, Protocol


def keep(session: Session, protocol: Protocol) -> ProtocolRow:
    """Find or make the protocol's row. The same numbers keep the name under which they were first stored.

    Raises:
        Conflict: If other numbers have the name.
    """
    if protocol.name in PROTOCOLS and PROTOCOLS[protocol.name].hash != protocol.hash:
        raise Conflict(
            f"{protocol.name!r} is a protocol of the catalog, with other numbers. Choose another name."
        )
    row = datasets.keep_protocol(session, protocol)
    if row is None and protocol.name in PROTOCOLS:  # of an older catalog, whose results keep their numbers
        datasets.rename_protocol(session, protocol.name)
        row = datasets.keep_protocol(session, protocol)
    if row is None:
        raise Conflict(f"There is a protocol {protocol.name!r} with other numbers. Choose another name.")
    return row


def page(session: Session, *, limit: int, offset: int = 0) -> tuple[list[Protocol | ProtocolRow], int]:
    """The catalog's protocols, then the other stored ones by name, and how many there are."""
    catalog = list(PROTOCOLS.values())
    first = catalog[offset : offset + limit]
    hashes = [one.hash for one in catalog]
    rows, num_rows = datasets.protocols(
        session, without=hashes, limit=limit - len(first), offset=max(0, offset - len(catalog))
    )
    return [*first, *rows], len(catalog) + num_rows


def names(session: Session) -> tuple[list[str], int]:
    """The names of as many protocols as one page has, and how many protocols there are."""
    found, total = page(session, limit=MAX_ROWS)
    return [name_of(one) for one in found], total


def name_of(found: Protocol | ProtocolRow) -> str:
    """The name under which a protocol is found now: a stored one loses its name to the catalog's."""
    taken = found.name in PROTOCOLS and PROTOCOLS[found.name].hash != found.hash
    return datasets.longer_name(found) if taken and isinstance(found, ProtocolRow) else found.name


def numbers_of(row: ProtocolRow) -> Protocol | None:
    """The protocol of a row; None if this version cannot run it.

    It may have other numbers in protocols, make other frames, or have a lower ceiling for one of the numbers.
    """
    found = _runnable(row)
    return found if isinstance(found, Protocol) else None


def _runnable(row: ProtocolRow) -> Protocol | str:
    """The protocol of a row, or why this version cannot run it."""
    try:
        found = Protocol.model_validate(row.content)
        found.check()
    except ProtocolError as error:
        return str(error).removesuffix(".")
    except ValidationError:
        return "its numbers are others"
    return found if found.hash == row.hash else "its numbers are others"


def check_runnable(row: ProtocolRow) -> None:
    """Make sure that this version can run the protocol.

    Raises:
        Conflict: If it cannot.
    """
    found = _runnable(row)
    if not isinstance(found, Protocol):
        raise Conflict(
            f"The protocol {row.name!r} was made by another version of vcpbench and cannot run: {found}. "
            "Its results can be read. Choose another protocol for new ones: GET /v1/protocols."
        )


def find(session: Session, name_or_hash: str) -> ProtocolRow:
    """The protocol of that name or hash.

    Raises:
        UnknownName: If there is none.
    """
    for protocol in PROTOCOLS.values():
        if name_or_hash in (protocol.name, protocol.hash):
            return keep(session, protocol)
    found = datasets.protocol(session, name_or_hash)
    if found is None:
        raise UnknownName("protocol", name_or_hash, names(session)[0])
    return found
