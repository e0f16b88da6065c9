"""Previews: found, asked for, made again after a failure, and forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    cast,
    delete,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Checkpoint, DatasetRow, Evaluation, JobKind, Media, MediaState
from records.repositories import jobs
from records.repositories.visibility import Visibility

FAILED_FOR = timedelta(minutes=10)  # after this time, a request retries what failed


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of previews. The fields are those of `Media`."""

    fingerprint: str
    geometry: str
    protocol_hash: str
    number: int

    @property
    def is_it(self) -> ColumnElement[bool]:
        """The condition on `Media`."""
        return and_(
            Media.fingerprint == self.fingerprint,
            Media.geometry == self.geometry,
            Media.protocol_hash == self.protocol_hash,
            Media.number == self.number,
        )


def find(session: Session, group: Group) -> Media | None:
    """Find the previews of a group, whether they are made or not."""
    return session.scalars(select(Media).where(group.is_it)).one_or_none()


def ended_long_ago(session: Session, row: Media) -> bool:
    """Whether what failed may be tried again: a disk may have been away."""
    query = select(Media.id).where(Media.id == row.id, Media.finished_at < NOW - FAILED_FOR)
    return session.scalar(query) is not None


def make(session: Session, group: Group, dataset_id: UUID, *, team: str | None) -> None:
    """Queue the job that makes the previews of a group, unless they are made or being made."""
    values = {
        "id": uuid4(),
        "dataset_id": dataset_id,
        "fingerprint": group.fingerprint,
        "geometry": group.geometry,
        "protocol_hash": group.protocol_hash,
        "number": group.number,
        "state": MediaState.MAKING,
    }
    made = session.scalar(insert(Media).values(values).on_conflict_do_nothing().returning(Media.id))
    if made is not None:
        jobs.enqueue(session, JobKind.MEDIA, team=team, media_id=made, priority=jobs.LOWEST)


def forget(session: Session, media_id: UUID) -> None:
    """Delete the row of previews, so that they can be made again."""
    session.execute(delete(Media).where(Media.id == media_id))


def networks(
    session: Session, fingerprint: str, protocol_hash: str, visible: Visibility
) -> Sequence[Checkpoint]:
    """One checkpoint of each kind of network that was evaluated on these videos.

    Args:
        session: Of the caller.
        fingerprint: The videos.
        protocol_hash: The protocol of the evaluations; empty for any.
        visible: What the reader sees.
    """
    under = [Evaluation.protocol_hash == protocol_hash] if protocol_hash else []
    ids = (
        select(func.min(cast(Checkpoint.id, Text)))
        .join(Evaluation, Evaluation.checkpoint_id == Checkpoint.id)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .where(DatasetRow.fingerprint == fingerprint, *under, ~Evaluation.is_control)
        .where(visible.evaluations())
        .group_by(
            Checkpoint.backbone,
            Checkpoint.scheme,
            Checkpoint.variant,
            Checkpoint.input_spec,
            cast(Checkpoint.graph, Text),
        )
    )
    found = [UUID(one) for one in session.scalars(ids)]
    return session.scalars(select(Checkpoint).where(Checkpoint.id.in_(found))).unique().all()


def is_shown(session: Session, dataset: DatasetRow) -> bool:
    """Whether people may see previews of a dataset. Equal videos under another name count, too."""
    hidden = exists().where(DatasetRow.fingerprint == dataset.fingerprint, ~DatasetRow.shows_media)
    return dataset.shows_media and not session.scalar(select(hidden))


def show(session: Session, dataset: DatasetRow, shown: bool) -> None:
    """Switch previews of a dataset on or off, for all datasets of its name or with equal videos.

    Switching off deletes the rows of existing previews. A worker then deletes their objects.
    """
    alike = DatasetRow.name == dataset.name
    if dataset.fingerprint is not None:
        alike |= DatasetRow.fingerprint == dataset.fingerprint
    changed = update(DatasetRow).where(alike).values(shows_media=shown)
    fingerprints = session.scalars(changed.returning(DatasetRow.fingerprint)).all()
    if not shown:
        session.execute(delete(Media).where(Media.fingerprint.in_(set(fingerprints))))


def looked_at(session: Session, media_id: UUID) -> None:
    """Note that somebody looks at previews, at most once a day: a read is not a write each time."""
    before = Media.used_at < NOW - timedelta(days=1)
    session.execute(update(Media).where(Media.id == media_id, before).values(used_at=NOW))
