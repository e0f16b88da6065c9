"""Point aliases at checkpoints, and remove aliases."""

from __future__ import annotations

from sqlalchemy.orm import Session

from records import flow
from records.models import AliasMove, Checkpoint, CheckpointState
from records.repositories import aliases
from service.auth import Caller
from service.checkpoints import named
from service.checkpoints.named import Among
from service.problems import Conflict, Forbidden, NotFound
from service.visible import visible_to
from vcp_core.catalog.validation import quoted

MAX_ALIASES = 100  # of a team
MOST_MOVES = 100  # of an alias's history that are told


def point(session: Session, name: str, wanted: str, caller: Caller) -> tuple[AliasMove, Checkpoint]:
    """Point an alias at a checkpoint. The alias belongs to the checkpoint's team.

    Raises:
        NotFound: If the caller's team has no such checkpoint.
        Conflict: If the checkpoint is not ready, or the team has too many aliases.
    """
    flow.lock(session)  # a worker may be about to reject the checkpoint
    among = Among.usable_by(caller)
    checkpoint = named.find(session, wanted, among)
    assert checkpoint.model is not None
    if checkpoint.state is not CheckpointState.READY:
        raise Conflict(
            f"Checkpoint {checkpoint.id} is {checkpoint.state.value}. An alias points at a ready one."
        )
    team = checkpoint.model.team
    before = aliases.current(session, team, name, among.visible)
    if before is not None and before.checkpoint_id == checkpoint.id:
        return before, checkpoint
    if before is None and (number := aliases.count(session, team)) >= MAX_ALIASES:
        raise Conflict(
            f"Team {team!r} has {number} aliases, and {MAX_ALIASES} are allowed. "
            "Remove one first: DELETE /v1/aliases/NAME."
        )
    return aliases.move(session, team, name, checkpoint.id, by=caller.name), checkpoint


def remove(session: Session, name: str, team: str | None, caller: Caller) -> None:
    """Remove an alias. Its history stays.

    Raises:
        Forbidden: If it is another team's.
        NotFound: If there is none.
    """
    whose = team or caller.team
    if whose != caller.team and not caller.admin:
        raise Forbidden(f"Alias @{name} belongs to team {quoted(whose)}.")
    if aliases.current(session, whose, name, visible_to(caller)) is None:
        raise NotFound(f"Team {quoted(whose)} has no alias @{name}. List them: GET /v1/aliases.")
    aliases.move(session, whose, name, None, by=caller.name)
