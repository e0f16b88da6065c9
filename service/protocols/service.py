"""Protocols by name or hash; the catalog's are always there."""

from __future__ import annotations

from sqlalchemy.orm import Session

from records.models import ProtocolRow
from records.repositories import datasets
from service.problems import Conflict
from vcp_core.catalog.errors import UnknownName
from vcp_core.catalog.protocols import PROTOCOLS, Protocol


def keep(session: Session, protocol: Protocol) -> ProtocolRow:
    """The protocol's row; the same numbers keep the name under which they came first.

    Raises:
        Conflict: If other numbers have the name.
    """
    if protocol.name in PROTOCOLS and PROTOCOLS[protocol.name].hash != protocol.hash:
        raise Conflict(
            f"{protocol.name!r} is a protocol of the catalog, with other numbers. Choose another name."
        )
    row = datasets.keep_protocol(session, protocol)
    if row is None:
        raise Conflict(f"There is a protocol {protocol.name!r} with other numbers. Choose another name.")
    return row


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
