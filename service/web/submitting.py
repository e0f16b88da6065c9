"""The page that says how to submit: what an evaluation would take, for a chosen dataset and backbone."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from records.settings import Settings
from records.storage import Storage
from service.auth import Caller
from service.estimates import service
from service.estimates.schemas import EstimateOut


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the reader chose; the backbone is empty if none is chosen yet."""

    dataset: str
    protocol: str
    backbone: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The estimate, or why there is none."""

    estimate: EstimateOut | None = None
    reason: str = ""


def estimate(
    session: Session, storage: Storage, settings: Settings, chosen: Choice, reader: Caller | None
) -> Shown | None:
    """The estimate of a choice; None while no backbone is chosen.

    Raises:
        UnknownName: If there is no such dataset, protocol or backbone.
    """
    if not chosen.backbone:
        return None
    reason = service.why_not(session, chosen.dataset)
    if reason is not None:
        return Shown(reason=reason)
    found = service.estimate(
        session, storage, settings, chosen.dataset, chosen.protocol, chosen.backbone, reader
    )
    return Shown(estimate=found)
