"""Which leaderboards there are, and what one can be asked for: metrics, engines, teams, backbones, runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, String, bindparam, cast, exists, func, select
from sqlalchemy.orm import Session, aliased

from records.models import Checkpoint, DatasetRow, Evaluation, Model, ProtocolRow, ScoreRow
from records.repositories.leaderboard import DONE, LeaderboardKey, is_of
from records.repositories.visibility import Visibility
from vcp_core.catalog.versions import engine

NEWEST = 20  # offer the metrics of so many evaluations as columns: reading all takes longer than a page


@dataclass(frozen=True, kw_only=True)
class LeaderboardInfo:
    """A board that has results.

    Attributes:
        dataset: Name of the dataset; its last name if it has none now.
        own_name: The catalog's name of the dataset; None if the catalog does not know it.
        fingerprint: Fingerprint of the videos.
        protocol: Name of the protocol.
        hash: Hash of the protocol.
        engine: The engine that made the results.
        num_results: Finished evaluations without controls.
        newest: When the newest of these evaluations ended.
        superseded: Whether no named dataset has these videos any more.
    """

    dataset: str
    own_name: str | None
    fingerprint: str
    protocol: str
    hash: str
    engine: str
    num_results: int
    newest: datetime | None
    superseded: bool

    @property
    def board(self) -> LeaderboardKey:
        """The leaderboard's key."""
        return LeaderboardKey(fingerprint=self.fingerprint, protocol_hash=self.hash, engine=self.engine)

    @property
    def older(self) -> bool:
        """Whether another version made its results."""
        return self.engine != engine()

    @property
    def key(self) -> str:
        """The dataset's word in an address: the fingerprint if other videos may have the name now."""
        return self.fingerprint if self.superseded else self.dataset


def list_leaderboards(session: Session, visible: Visibility) -> list[LeaderboardInfo]:
    """Boards with results that a reader sees.

    First come those of datasets that have a name now, and of these those by this engine. The one with the
    newest result is before others.
    """
    key = (Evaluation.dataset_id, Evaluation.protocol_hash, Evaluation.engine)
    counted = (  # before the joins, so that these see a row for each board and not for each result
        select(*key, func.count().label("number"), func.max(Evaluation.finished_at).label("newest"))
        .where(Evaluation.is_control.is_(False), DONE, visible.evaluations())
        .group_by(*key)
        .subquery()
    )
    named = aliased(DatasetRow)
    name = func.coalesce(named.name, func.max(DatasetRow.name))
    superseded = named.name.is_(None)
    newest = func.max(counted.c.newest)
    query = (
        select(
            name,
            func.max(DatasetRow.own_name),
            DatasetRow.fingerprint,
            ProtocolRow.name,
            ProtocolRow.hash,
            counted.c.engine,
            cast(func.sum(counted.c.number), BigInteger),
            newest,
            superseded,
        )
        .select_from(counted)
        .join(DatasetRow, DatasetRow.id == counted.c.dataset_id)
        .outerjoin(named, (named.fingerprint == DatasetRow.fingerprint) & named.retired_at.is_(None))
        .join(ProtocolRow, ProtocolRow.hash == counted.c.protocol_hash)
        .group_by(named.name, DatasetRow.fingerprint, ProtocolRow.name, ProtocolRow.hash)
        .group_by(counted.c.engine)
        .order_by(superseded, counted.c.engine != engine())
        .order_by(newest.desc().nulls_last(), name, ProtocolRow.name)
    )
    return [
        LeaderboardInfo(
            dataset=dataset,
            own_name=own_name,
            fingerprint=print_ or "",
            protocol=protocol,
            hash=hash_,
            engine=made_by,
            num_results=number,
            newest=newest,
            superseded=old,
        )
        for dataset, own_name, print_, protocol, hash_, made_by, number, newest, old in session.execute(query)
    ]


def newest_metrics(session: Session, board: LeaderboardKey, visible: Visibility) -> dict[str, str]:
    """The metrics of the newest evaluations, which columns can show, each with its better direction."""
    newest = (
        select(Evaluation.id)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .where(Evaluation.is_control.is_(False), is_of(board), visible.evaluations())
        .order_by(Evaluation.finished_at.desc().nulls_last())
        .limit(NEWEST)
    )
    query = select(ScoreRow.metric, ScoreRow.better)
    there = session.execute(query.where(ScoreRow.evaluation_id.in_(newest.scalar_subquery())).distinct())
    return {metric: better for metric, better in there}


def all_metrics(session: Session, board: LeaderboardKey, visible: Visibility) -> dict[str, str]:
    """The metrics of all evaluations of a leaderboard, each with its better direction."""
    query = (
        select(ScoreRow.metric, ScoreRow.better)
        .join(Evaluation, Evaluation.id == ScoreRow.evaluation_id)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .where(Evaluation.is_control.is_(False), is_of(board), visible.evaluations())
    )
    return {metric: better for metric, better in session.execute(query.distinct())}


def known(session: Session, names: Iterable[str], visible: Visibility) -> set[str]:
    """The metrics among these that any evaluation of any leaderboard has, of those that a reader sees."""
    name = func.unnest(bindparam(None, list(names), type_=ARRAY(String))).column_valued("name")
    scored = exists().where(
        ScoreRow.metric == name, Evaluation.id == ScoreRow.evaluation_id, visible.evaluations()
    )
    return set(session.scalars(select(name).where(scored)))


def engines(session: Session, fingerprint: str, protocol_hash: str, visible: Visibility) -> list[str]:
    """Engines with results of these videos under this protocol, the one with the newest result first."""
    query = (
        select(Evaluation.engine)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .where(
            DONE,
            Evaluation.is_control.is_(False),
            DatasetRow.fingerprint == fingerprint,
            Evaluation.protocol_hash == protocol_hash,
            visible.evaluations(),
        )
        .group_by(Evaluation.engine)
    )
    return list(session.scalars(query.order_by(func.max(Evaluation.finished_at).desc().nulls_last())))


def choices(session: Session, board: LeaderboardKey, visible: Visibility) -> dict[str, list[str]]:
    """Teams, backbones and runs that a board can be filtered by."""
    query = (
        select(Model.team, Checkpoint.backbone, Checkpoint.run)
        .select_from(Evaluation)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .join(Model, Model.id == Checkpoint.model_id)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .where(is_of(board), visible.models())
        .distinct()
    )
    rows = session.execute(query).all()
    names = ("team", "backbone", "run")
    return {
        name: sorted({str(row[position]) for row in rows if row[position]})
        for position, name in enumerate(names)
    }
