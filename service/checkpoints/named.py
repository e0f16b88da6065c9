"""Find the checkpoint that a request names, among those that its sender may see or use."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from records.models import Checkpoint, Deleted
from records.repositories import aliases, checkpoints
from records.repositories.visibility import Visibility
from service import gone
from service.auth import Caller
from service.problems import Gone, NotFound
from service.references import (
    LATEST,
    MOST_TOLD,
    Alias,
    Beginning,
    Latest,
    ambiguous,
    parse,
    parse_id,
)
from service.visible import visible_to
from vcp_core.catalog.validation import quoted

KIND = "checkpoint"


@dataclass(frozen=True, kw_only=True)
class Among:
    """The checkpoints that a request may mean.

    Attributes:
        where: A condition on `Checkpoint` and `Model`.
        visible: What the sender sees.
        team: The team of a model that is named without its team; None if the reader has no team.
        only: Whether only this team's checkpoints are allowed.
    """

    where: ColumnElement[bool]
    visible: Visibility
    team: str | None
    only: bool = False

    @classmethod
    def seen_by(cls, reader: Caller | None) -> Among:
        """The checkpoints that a reader may see."""
        visible = visible_to(reader)
        return cls(where=visible.uploads(), visible=visible, team=visible.team)

    @classmethod
    def usable_by(cls, caller: Caller) -> Among:
        """The checkpoints that a caller may evaluate and download: the team's own; all for administrators."""
        return cls.seen_by(caller) if caller.admin else cls.of(caller.team)

    @classmethod
    def of(cls, team: str) -> Among:
        """The checkpoints of a team."""
        return cls(where=checkpoints.owned(team), visible=Visibility(team=team), team=team, only=True)

    def none(self, of_what: str) -> NotFound:
        """Make the error for a checkpoint that is not among these."""
        if self.only:
            return NotFound(f"Team {self.team!r} has no checkpoint {of_what}.")
        return NotFound(f"No checkpoint {of_what}. List them: GET /v1/checkpoints.")


def find(session: Session, wanted: str, among: Among) -> Checkpoint:
    """Find the checkpoint that a text names.

    Raises:
        InvalidRequest: If the text names no checkpoint.
        NotFound: If there is none.
        Ambiguous: If several ids begin with the text.
    """
    reference = parse(wanted, KIND)
    if isinstance(reference, Latest):
        return _latest(session, reference, among)
    if isinstance(reference, Alias):
        return _aliased(session, reference, among)
    return _beginning(session, reference, among)


def id_of(session: Session, wanted: str, among: Among) -> UUID:
    """Find the id that a text names. A complete id is returned without looking for its checkpoint.

    Raises:
        InvalidRequest: If the text names no checkpoint.
        NotFound: If there is none.
        Ambiguous: If several ids begin with the text.
    """
    reference = parse(wanted, KIND)
    whole = reference.whole if isinstance(reference, Beginning) else None
    return whole or find(session, wanted, among).id


def by_id(session: Session, wanted: str, among: Among) -> Checkpoint:
    """Find a checkpoint by its id or the first characters of it.

    Uploads use this: `MODEL@latest` and an alias always mean a checkpoint that has its bytes already.

    Raises:
        InvalidRequest: If the text is no id, nor the first characters of one.
        NotFound: If there is none.
        Ambiguous: If several ids begin with the text.
    """
    return _beginning(session, parse_id(wanted, KIND), among)


def _beginning(session: Session, reference: Beginning, among: Among) -> Checkpoint:
    found = checkpoints.between(session, reference.low, reference.high, among.where, MOST_TOLD + 1)
    if not found:
        gone.check(session, Deleted.CHECKPOINT, reference.low, reference.high, visible=among.visible)
        whole = reference.whole
        raise among.none(str(whole) if whole else f"has an id that begins with {reference.text!r}")
    if len(found) > 1:
        raise ambiguous(KIND, reference.text, [(one.id, _words(one)) for one in found])
    return found[0]


def _words(checkpoint: Checkpoint) -> str:
    assert checkpoint.model is not None
    step = "" if checkpoint.step is None else f" at step {checkpoint.step}"
    return f"{checkpoint.model.team}/{checkpoint.model.name}{step}"


def _aliased(session: Session, reference: Alias, among: Among) -> Checkpoint:
    """Find the checkpoint that an alias points at."""
    team = reference.team or among.team
    if team is None:
        raise NotFound(f"An alias belongs to a team. Name the team: TEAM/@{reference.name}.")
    move = aliases.current(session, team, reference.name, among.visible)
    if move is None or move.checkpoint_id is None:
        _check_lost(session, team, reference.name, among.visible)
        raise NotFound(f"Team {quoted(team)} has no alias @{reference.name}. List them: GET /v1/aliases.")
    target = move.checkpoint_id
    found = checkpoints.between(session, target, target, among.where, 1)
    if not found:
        raise among.none(f"{target}, at which @{reference.name} of team {team!r} points")
    return found[0]


def _check_lost(session: Session, team: str, name: str, visible: Visibility) -> None:
    """Say so if an alias ended because its checkpoint was deleted."""
    deleted_at = aliases.lost(session, team, name, visible)
    if deleted_at is not None:
        raise Gone(
            f"The checkpoint at which @{name} of team {quoted(team)} pointed was deleted on "
            f"{gone.moment(deleted_at)}. Point the alias at another one: PUT /v1/aliases/{name}.",
            deleted=Deleted.CHECKPOINT.value,
            deleted_at=deleted_at.isoformat(),
        )


def _latest(session: Session, reference: Latest, among: Among) -> Checkpoint:
    """Find the newest checkpoint of a model: the team's own `NAME` first, then another `TEAM/NAME`."""
    own = [(among.team, reference.model)] if among.team is not None else []
    found = checkpoints.latest(session, own + reference.teams, among.where)
    if found is not None:
        return found
    whose = "No team has a" if among.team is None else f"Team {among.team!r} has no"
    others = checkpoints.teams_with(session, reference.model, among.where)[:MOST_TOLD]
    hint = " or ".join(f"{team}/{reference.model}{LATEST}" for team in others)
    raise NotFound(
        f"{whose} checkpoint of a model {quoted(reference.model)}."
        + (f" Did you mean {hint}?" if hint else " List them: GET /v1/models.")
    )
