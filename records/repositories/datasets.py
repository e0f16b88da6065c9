"""Datasets and protocols."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from records.models import DatasetRow, Evaluation, ProtocolRow
from vcp_core.catalog.protocols import Protocol


def named(session: Session, name: str) -> DatasetRow | None:
    """The dataset that has this name now."""
    query = select(DatasetRow).where(DatasetRow.name == name, DatasetRow.retired_at.is_(None))
    return session.scalars(query).one_or_none()


def get(session: Session, dataset_id: UUID) -> DatasetRow | None:
    """A dataset by its id, named or not."""
    return session.get(DatasetRow, dataset_id)


def retired(session: Session, *, limit: int, offset: int = 0) -> tuple[list[tuple[DatasetRow, int]], int]:
    """Datasets that lost their names, the last retired first, with the number of evaluations on each.

    The second value is how many there are.
    """
    query = select(DatasetRow).where(DatasetRow.retired_at.is_not(None))
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    on_it = (Evaluation.dataset_id == DatasetRow.id, ~Evaluation.is_control)
    number = select(func.count()).select_from(Evaluation).where(*on_it).scalar_subquery()
    ordered = query.order_by(DatasetRow.retired_at.desc(), DatasetRow.id).limit(limit).offset(offset)
    return [(row, count) for row, count in session.execute(ordered.add_columns(number))], total


def of_leaderboard(session: Session, name_or_fingerprint: str) -> DatasetRow | None:
    """The dataset that has this name now, or the last dataset of this fingerprint, named or not."""
    newest = DatasetRow.retired_at.desc().nulls_first()
    query = select(DatasetRow).where(DatasetRow.fingerprint == name_or_fingerprint).order_by(newest)
    return named(session, name_or_fingerprint) or session.scalars(query.limit(1)).one_or_none()


def superseded(session: Session, fingerprints: Iterable[str | None]) -> set[str]:
    """The fingerprints among these that no named dataset has now. A missing fingerprint is left out."""
    wanted = {one for one in fingerprints if one is not None}
    still = select(DatasetRow.fingerprint).where(
        DatasetRow.fingerprint.in_(wanted), DatasetRow.retired_at.is_(None)
    )
    return wanted - set(session.scalars(still))


def names(session: Session) -> Sequence[str]:
    """The names of all datasets that have a name now."""
    query = select(DatasetRow.name).where(DatasetRow.retired_at.is_(None))
    return session.scalars(query.order_by(DatasetRow.name)).all()


def among(session: Session, names: Collection[str]) -> Sequence[DatasetRow]:
    """The datasets that have these names now."""
    query = select(DatasetRow).where(DatasetRow.retired_at.is_(None), DatasetRow.name.in_(names))
    return session.scalars(query).all()


def shows_media(session: Session, name: str) -> bool:
    """Whether a new dataset of this name shows previews.

    It inherits the setting of the last dataset of this name.
    """
    query = select(DatasetRow.shows_media).where(DatasetRow.name == name)
    return session.scalar(query.order_by(DatasetRow.created_at.desc()).limit(1)) is not False


def manifest_made(session: Session, dataset_id: UUID, sha256: str) -> None:
    """Note the hash of a manifest that was made again, of the same videos."""
    session.execute(update(DatasetRow).where(DatasetRow.id == dataset_id).values(manifest_sha256=sha256))


def keep_protocol(session: Session, protocol: Protocol) -> ProtocolRow | None:
    """Find or make the protocol's row. Return None if another protocol has its name."""
    row = session.get(ProtocolRow, protocol.hash)
    if row is not None:  # nearly always: each read of a board asks, and shall write nothing
        return row
    content = protocol.model_dump(mode="json")
    values = {"hash": protocol.hash, "name": protocol.name, "content": content}
    session.execute(insert(ProtocolRow).values(values).on_conflict_do_nothing())
    return session.get(ProtocolRow, protocol.hash)


def rename_protocol(session: Session, name: str) -> None:
    """Add the hash to a protocol's name, so that other numbers can have the name."""
    row = session.scalars(select(ProtocolRow).where(ProtocolRow.name == name)).one()
    row.name = longer_name(row)
    session.flush()


def longer_name(row: ProtocolRow) -> str:
    """The name of a protocol whose name now belongs to other numbers."""
    return f"{row.name}-{row.hash[:8]}"


def protocol(session: Session, name_or_hash: str) -> ProtocolRow | None:
    """A protocol by its name or its hash."""
    by_name = select(ProtocolRow).where(ProtocolRow.name == name_or_hash)
    return session.scalars(by_name).one_or_none() or session.get(ProtocolRow, name_or_hash)


def protocols(
    session: Session, *, without: Collection[str], limit: int, offset: int = 0
) -> tuple[Sequence[ProtocolRow], int]:
    """Protocols that were used or registered, by name, and how many there are.

    Args:
        session: Of the caller.
        without: Hashes of protocols to leave out.
        limit: Rows of a page.
        offset: Rows before it.
    """
    query = select(ProtocolRow).where(ProtocolRow.hash.not_in(without))
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    return session.scalars(query.order_by(ProtocolRow.name).limit(limit).offset(offset)).all(), total
