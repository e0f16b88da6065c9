"""What people gave to an evaluation: notes, aliases of its checkpoint, and links to its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from records.models import Checkpoint, CheckpointState, Evaluation, EvaluationState, Share
from records.repositories import aliases, evaluations, notes, shares
from service.auth import Caller, is_of
from service.notes.schemas import NoteOut, shown
from service.notes.service import may_write
from service.shares.service import may_share


@dataclass(frozen=True, kw_only=True)
class Names:
    """What a page shows of it, and which forms its reader gets.

    Attributes:
        evaluation: The evaluation that the page is about; of a comparison, the second.
        against: Of a comparison, the first evaluation.
        notes: Notes on the evaluation, the oldest first.
        aliases: Aliases that point at its checkpoint, without their `@`.
        shares: Links of the reader's team that open the page.
        may_write: Whether the reader may write notes.
        may_name: Whether the reader may point aliases at the checkpoint.
        may_share: Whether the reader may make links to the page.
    """

    evaluation: UUID
    against: UUID | None = None
    notes: Sequence[NoteOut] = ()
    aliases: Sequence[str] = ()
    shares: Sequence[Share] = ()
    may_write: bool = False
    may_name: bool = False
    may_share: bool = False


def of_evaluation(session: Session, evaluation: Evaluation, reader: Caller | None) -> Names:
    """Notes, aliases and share links of an evaluation."""
    checkpoint = evaluation.checkpoint
    found = notes.of_evaluation(session, evaluation.id)
    done = evaluation.state is EvaluationState.DONE
    return Names(
        evaluation=evaluation.id,
        notes=[shown(note, reader) for note in found],
        aliases=aliases.of_checkpoints(session, [checkpoint.id]).get(checkpoint.id, []),
        shares=[] if reader is None else shares.live_of(session, reader.team, evaluation.id, None),
        may_write=may_write(evaluation, reader),
        may_name=_may_name(checkpoint, reader),
        may_share=done and may_share(evaluation, reader),
    )


def of_comparison(session: Session, first_id: UUID, second_id: UUID, reader: Caller | None) -> Names:
    """The links to a comparison."""
    both = evaluations.these(session, [first_id, second_id])
    return Names(
        evaluation=second_id,
        against=first_id,
        shares=[] if reader is None else shares.live_of(session, reader.team, first_id, second_id),
        may_share=all(may_share(one, reader) for one in both),
    )


def _may_name(checkpoint: Checkpoint, reader: Caller | None) -> bool:
    if checkpoint.model is None or checkpoint.state is not CheckpointState.READY:
        return False
    return is_of(checkpoint.model.team, reader)
