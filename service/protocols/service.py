"""Find protocols by name or hash. Those of the catalog always exist."""

from __future__ import annotations

from pydantic import ValidationError
from sqlalchemy.orm import Session

from records.models import ProtocolRow
from records.repositories import datasets
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


def numbers_of(row: ProtocolRow) -> Protocol | None:
    """The protocol of a row; None if this version has other numbers in protocols, or makes other frames."""
    try:
        found = Protocol.model_validate(row.content)
        found.check_frames()
    except (ValidationError, ProtocolError):
        return None
    return found if found.hash == row.hash else None


def check_runnable(row: ProtocolRow) -> None:
    """Make sure that this version can run the protocol.

    Raises:
        Conflict: If it cannot.
    """
    if numbers_of(row) is None:
        raise Conflict(
            f"The protocol {row.name!r} was made by another version of vcpbench, which cannot run here. Its "
            "results can be read. Choose another protocol for new ones: GET /v1/protocols."
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
        known = {row.name for row in datasets.protocols(session)} | set(PROTOCOLS)
        raise UnknownName("protocol", name_or_hash, known)
    return found
