"""What a reader may see. Only this module hides private models and all that belongs to them.

A model is public, or it is private: then only its team and administrators see it. Checkpoints, evaluations
and all that hangs on them are seen with their model. A control belongs to no team: whoever sees an evaluation
that needs it sees the control.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, false, func, not_, or_, select, true
from sqlalchemy.orm import Session, aliased

from records.models import (
    Checkpoint,
    CheckpointState,
    Evaluation,
    Model,
    Origin,
    Tombstone,
    evaluation_controls,
)

# Made once: an alias costs a millisecond, and most statements of pages need these. No statement that holds a
# condition of this module may have one of them in its FROM. Otherwise the subquery would mean that row.
_CHECKPOINT, _MODEL, _NEEDING = aliased(Checkpoint), aliased(Model), aliased(Evaluation)


@dataclass(frozen=True, kw_only=True)
class Visibility:
    """The rows that one reader may see, as conditions for statements.

    Attributes:
        team: The reader's team; None for a reader without a token.
        everything: Whether the reader sees everything, as administrators do.
        as_of: In the key of a cache, when a model last became private or public; see `cache_key`.
    """

    team: str | None
    everything: bool = False
    as_of: datetime | None = None

    def is_of(self, team: str) -> bool:
        """Whether the reader belongs to a team, or sees everything."""
        return self.everything or self.team == team

    def is_seen(self, model: Model) -> bool:
        """Whether the reader sees a model that was read already. `models` says the same in SQL."""
        return not model.private or self.is_of(model.team)

    def models(self) -> ColumnElement[bool]:
        """The models that the reader sees. The statement must join `Model`."""
        return not_(self._hides(Model))

    def uploads(self) -> ColumnElement[bool]:
        """The uploads that the reader sees: ready ones, and those of the own team in any state.

        The statement must join `Model`.
        """
        upload = Checkpoint.origin == Origin.UPLOAD
        if self.everything:
            return upload
        ready = Checkpoint.state == CheckpointState.READY
        return and_(upload, or_(ready, Model.team == self.team), self.models())

    def evaluations(self, evaluation: type[Evaluation] = Evaluation) -> ColumnElement[bool]:
        """The evaluations whose model the reader sees. Controls have no model, and pass: see `controls`."""
        if self.everything:
            return true()
        hidden = exists().where(
            _CHECKPOINT.id == evaluation.checkpoint_id,
            _MODEL.id == _CHECKPOINT.model_id,
            self._hides(_MODEL),
        )
        return not_(hidden)

    def controls(self) -> ColumnElement[bool]:
        """The evaluations that are controls of an evaluation that the reader sees."""
        if self.everything:
            return Evaluation.is_control.is_(True)
        needed = exists().where(
            evaluation_controls.c.control_id == Evaluation.id,
            _NEEDING.id == evaluation_controls.c.evaluation_id,
            self.evaluations(_NEEDING),
        )
        return and_(Evaluation.is_control, needed)

    def tombstones(self) -> ColumnElement[bool]:
        """The deleted things that the reader saw."""
        return true() if self.everything else or_(not_(Tombstone.private), Tombstone.team == self.team)

    def all_evaluations(self) -> ColumnElement[bool]:
        """The evaluations that the reader sees, controls included."""
        return or_(and_(not_(Evaluation.is_control), self.evaluations()), self.controls())

    def _hides(self, model: type[Model]) -> ColumnElement[bool]:
        return false() if self.everything else and_(model.private, model.team != self.team)


EVERYTHING = Visibility(team=None, everything=True)


def cache_key(session: Session, visible: Visibility) -> Visibility:
    """Write the same visibility in one way, and with the time of the last change, for the key of a cache.

    Teams without private models see the same, so they share what is kept. A kept answer from before a model
    became private is never found again.
    """
    own = exists().where(Model.private, Model.team == visible.team)
    query = select(select(func.max(Model.privacy_changed_at)).scalar_subquery(), own)
    as_of, has_own = session.execute(query).one()
    team = visible.team if has_own and not visible.everything else None
    return replace(visible, team=team, as_of=as_of)
