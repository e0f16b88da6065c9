"""What the sender of a request may see."""

from __future__ import annotations

from records.repositories.visibility import Visibility
from service.auth import Caller


def visible_to(reader: Caller | None) -> Visibility:
    """What a reader may see: public models, and those of the own team. Administrators see everything."""
    if reader is None:
        return Visibility(team=None)
    return Visibility(team=reader.team, everything=reader.admin)
