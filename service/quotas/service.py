"""Say what a team uses, and refuse what goes beyond its limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from records.repositories import quotas
from records.settings import Settings
from service.auth import Caller
from service.problems import TooMany
from service.quotas.schemas import QuotaIn, QuotaOut, UseOut
from vcp_core.catalog.units import bytes_written
from vcp_core.progress import duration

ASK_AGAIN_S = 3600  # bytes seldom become free by themselves
BYTES_FREE = (
    "Room is free when a checkpoint of the team is deleted. A declared file that got no bytes for a week is "
    "deleted by itself."
)
RAISE = "An administrator may raise the limit: vcpbench admin quota."

log = structlog.get_logger("vcpbench.service")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a team may use; 0 is no limit. `own` names the limits that are not the installation's."""

    num_bytes: int
    uploads_a_day: int
    running: int
    own: frozenset[str] = frozenset()


def limits_of(session: Session, team: str, settings: Settings) -> Limits:
    """What a team may use: its own limits, else the installation's."""
    values = {
        "num_bytes": settings.team_bytes,
        "uploads_a_day": settings.team_uploads_a_day,
        "running": settings.team_running,
    }
    row = quotas.of_team(session, team)
    own = {name: getattr(row, name) for name in values if getattr(row, name, None) is not None}
    return Limits(**(values | own), own=frozenset(own))


def of_team(session: Session, team: str, settings: Settings) -> QuotaOut:
    """What a team uses, and what it may use."""
    limits = limits_of(session, team, settings)
    number, oldest = quotas.under_way(session, team)
    uploads = quotas.uploads(session, team)
    used = {"num_bytes": quotas.num_bytes(session, team), "uploads_a_day": uploads, "running": number}
    frees = {
        "num_bytes": BYTES_FREE,
        "uploads_a_day": _upload_frees(session, team, uploads, limits.uploads_a_day)[0],
        "running": "Room is free when one of them ends."
        + (f" The oldest was asked for at {oldest:%Y-%m-%d %H:%M:%S %Z}." if oldest else ""),
    }
    uses = {
        name: UseOut(
            used=used[name],
            allowed=getattr(limits, name) or None,
            own=name in limits.own,
            frees=frees[name],
        )
        for name in used
    }
    return QuotaOut(team=team, **uses)


def set_limits(session: Session, team: str, wanted: QuotaIn, caller: Caller) -> None:
    """Give a team limits of its own. A limit that is left out stays."""
    given = wanted.model_dump(include=wanted.model_fields_set)
    quotas.put(session, team, by=caller.name, **given)
    log.info("quota set", team=team, by=caller.name, **given)


def check_upload(
    session: Session,
    team: str,
    settings: Settings,
    *,
    sha256: str | None,
    size_bytes: int,
    new: bool = True,
) -> None:
    """Make sure that a team may upload a file. Equal files of a team count once.

    Call it under the flow's lock, before the file's row is made or changed: two uploads at once are counted
    one by one.

    Args:
        session: Of the caller.
        team: The team.
        settings: The installation's limits.
        sha256: Hash of the file; None if it is not known yet.
        size_bytes: Size of the file.
        new: Whether it will be a checkpoint of its own. If not, it only needs room.

    Raises:
        TooMany: If it may not.
    """
    limits = limits_of(session, team, settings)
    if limits.num_bytes:
        counted = quotas.counted_bytes(session, team, sha256=sha256, size_bytes=size_bytes) or 0
        num_bytes = max(0, size_bytes - counted)
        used = quotas.num_bytes(session, team)
        if num_bytes and used + num_bytes > limits.num_bytes:
            raise TooMany(
                f"Team {team!r} stores {bytes_written(used)}, and {bytes_written(limits.num_bytes)} are "
                f"allowed. This file needs {bytes_written(num_bytes)} more. {BYTES_FREE} {RAISE}",
                retry_s=ASK_AGAIN_S,
                limit="bytes stored",
                used=used,
                allowed=limits.num_bytes,
            )
    if limits.uploads_a_day and new:
        used = quotas.uploads(session, team)
        if used >= limits.uploads_a_day:
            frees, left_s = _upload_frees(session, team, used, limits.uploads_a_day)
            raise TooMany(
                f"Team {team!r} uploaded {used} checkpoints within 24 hours, and {limits.uploads_a_day} are "
                f"allowed. {frees} {RAISE}",
                retry_s=max(1, math.ceil(left_s)),
                limit="uploads a day",
                used=used,
                allowed=limits.uploads_a_day,
            )


def check_running(session: Session, team: str, settings: Settings) -> None:
    """Make sure that a team may have one more evaluation under way. Call it under the flow's lock.

    Raises:
        TooMany: If it may not.
    """
    allowed = limits_of(session, team, settings).running
    number, oldest = quotas.under_way(session, team) if allowed else (0, None)
    if oldest is not None and number >= allowed:
        raise TooMany(
            f"Team {team!r} has {number} evaluations that wait or run, and {allowed} are allowed. Room is "
            f"free when one of them ends; the oldest was asked for at {oldest:%Y-%m-%d %H:%M:%S %Z}. {RAISE}",
            limit="running evaluations",
            used=number,
            allowed=allowed,
        )


def _upload_frees(session: Session, team: str, used: int, allowed: int) -> tuple[str, float]:
    """When a team may upload again, in words and in seconds."""
    if not allowed or used < allowed:
        return "An upload stops counting after 24 hours.", 0.0
    left_s = quotas.next_upload_s(session, team, allowed)
    return f"The next upload is possible in {duration(left_s)}.", left_s
