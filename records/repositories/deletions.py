"""What a deletion takes: counted, and deleted. `records.deletion` has the order, and the reasons."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    ScalarSelect,
    Select,
    Uuid,
    any_,
    delete,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from records.db import NOW, Base
from records.models import (
    ENDED,
    AliasMove,
    Checkpoint,
    CheckpointState,
    Comparison,
    DatasetRow,
    Deleted,
    Evaluation,
    Job,
    LogRow,
    MapRow,
    Media,
    Model,
    Note,
    Shard,
    Share,
    UploadPart,
    comparison_members,
    evaluation_controls,
    evaluation_shards,
)
from records.repositories import aliases
from records.repositories.jobs import NO_TEAM
from records.repositories.tombstones import Origin
from records.repositories.visibility import EVERYTHING, Visibility

Ids = frozenset[UUID]
NONE: Ids = frozenset()
UNSEEN = {"synchronize_session": False}  # loaded rows are read again afterwards


@dataclass(frozen=True, kw_only=True)
class Doomed:
    """Ids of what a deletion takes, by table. What hangs on these rows goes with them."""

    evaluations: Ids = NONE
    controls: Ids = NONE
    checkpoints: Ids = NONE
    models: Ids = NONE
    datasets: Ids = NONE

    @property
    def all_evaluations(self) -> Ids:
        """Evaluations, and controls that only these need."""
        return self.evaluations | self.controls


@dataclass(frozen=True, kw_only=True)
class Line:
    """Some things of one kind.

    Attributes:
        kind: The kind, in the plural.
        count: How many.
        size_bytes: Their size in the store; None for rows without objects.
        names: Names of a few, where a reader must know which.
    """

    kind: str
    count: int
    size_bytes: int | None = None
    names: tuple[str, ...] = ()


def of_evaluation(evaluation: Evaluation) -> Doomed:
    """What goes with an evaluation."""
    return Doomed(evaluations=frozenset([evaluation.id]))


def of_checkpoint(session: Session, checkpoint: Checkpoint) -> Doomed:
    """What goes with a checkpoint: its evaluations."""
    ids = frozenset([checkpoint.id])
    return Doomed(checkpoints=ids, evaluations=_evaluated(session, ids))


def of_model(session: Session, model: Model) -> Doomed:
    """What goes with a model: its checkpoints and their evaluations."""
    ids = frozenset(session.scalars(select(Checkpoint.id).where(Checkpoint.model_id == model.id)))
    return Doomed(models=frozenset([model.id]), checkpoints=ids, evaluations=_evaluated(session, ids))


def of_dataset(session: Session, dataset: DatasetRow) -> Doomed:
    """What goes with a dataset: its evaluations, and controls on it that no other evaluation needs."""
    on_it = Evaluation.dataset_id == dataset.id
    own = frozenset(session.scalars(select(Evaluation.id).where(on_it, ~Evaluation.is_control)))
    needed = exists().where(
        evaluation_controls.c.control_id == Evaluation.id, evaluation_controls.c.evaluation_id.not_in(own)
    )
    controls = session.scalars(select(Evaluation.id).where(on_it, Evaluation.is_control, ~needed))
    return Doomed(datasets=frozenset([dataset.id]), evaluations=own, controls=frozenset(controls))


def _evaluated(session: Session, checkpoint_ids: Ids) -> Ids:
    of_these = _among(Evaluation.checkpoint_id, checkpoint_ids)
    return frozenset(session.scalars(select(Evaluation.id).where(of_these)))


def going(session: Session, doomed: Doomed, *, team: str | None) -> list[Line]:
    """Count what a deletion takes, by kind. Kinds of which nothing goes are left out.

    Objects that only other teams than `team` hold count as going: nobody is told that another team has a
    file. What another team made with its own private model is not counted. If `team` is None, the truth is
    told.
    """
    evaluations = doomed.all_evaluations
    pointing = aliases.of_checkpoints(session, list(doomed.checkpoints))
    names = sorted(f"@{name}" for found in pointing.values() for name in found)
    lines = [
        Line(kind="models", count=len(doomed.models)),
        Line(kind="datasets", count=len(doomed.datasets)),
        Line(kind="checkpoints", count=len(doomed.checkpoints)),
        Line(kind="evaluations", count=len(doomed.evaluations)),
        Line(kind="controls", count=len(doomed.controls)),
        _sized(session, "uploaded files", _files(doomed, team, shared=False)),
        _sized(session, "parts of uploads", _parts(doomed)),
        _sized(session, "weights", _weights(doomed, team, shared=False)),
        _sized(session, "features", _features(doomed, team, shared=False)),
        _sized(session, "previews", _previews(doomed, shared=False)),
        _count(session, "maps", MapRow, _maps(evaluations), ~_hides(team, MapRow.like_id)),
        _count(
            session,
            "comparisons",
            Comparison,
            _compares(evaluations),
            ~_hides(team, Comparison.first_id, Comparison.second_id, others=_members()),
        ),
        _count(session, "notes", Note, _among(Note.evaluation_id, evaluations)),
        _count(session, "share links", Share, _shares(evaluations)),
        _count(session, "training logs", LogRow, _among(LogRow.model_id, doomed.models)),
        Line(kind="aliases", count=len(names), names=tuple(names)),
    ]
    return [line for line in lines if line.count]


def staying(session: Session, doomed: Doomed, *, team: str | None) -> list[Line]:
    """Count what stays, because other checkpoints, evaluations or datasets use it, too; as `going`."""
    evaluations = doomed.all_evaluations
    controls = select(func.count(evaluation_controls.c.control_id.distinct())).where(
        _among(evaluation_controls.c.evaluation_id, evaluations),
        ~_among(evaluation_controls.c.control_id, doomed.controls),
    )
    lines = [
        _sized(session, "uploaded files", _files(doomed, team, shared=True)),
        _sized(session, "weights", _weights(doomed, team, shared=True)),
        _sized(session, "features", _features(doomed, team, shared=True)),
        _sized(session, "previews", _previews(doomed, shared=True)),
        Line(kind="controls", count=session.scalar(controls) or 0),
    ]
    return [line for line in lines if line.count]


def _files(doomed: Doomed, team: str | None, *, shared: bool) -> Select[int, int]:
    """Uploaded files of checkpoints. If `shared`, those of which another checkpoint has the same bytes."""
    other = aliased(Checkpoint)
    held = exists().where(
        other.sha256 == Checkpoint.sha256,
        other.state != CheckpointState.DECLARED,
        ~_among(other.id, doomed.checkpoints),
        _is_of(other, team),
    )
    stored = (_among(Checkpoint.id, doomed.checkpoints), Checkpoint.state != CheckpointState.DECLARED)
    return _each_once(Checkpoint.sha256, Checkpoint.size_bytes, *stored, held if shared else ~held)


def _weights(doomed: Doomed, team: str | None, *, shared: bool) -> Select[int, int]:
    other = aliased(Checkpoint)
    held = exists().where(
        other.weights_sha256 == Checkpoint.weights_sha256,
        ~_among(other.id, doomed.checkpoints),
        _is_of(other, team),
    )
    stored = (_among(Checkpoint.id, doomed.checkpoints), Checkpoint.weights_sha256.is_not(None))
    which = held if shared else ~held
    return _each_once(Checkpoint.weights_sha256, Checkpoint.weights_bytes, *stored, which)


def _is_of(checkpoint: type[Checkpoint], team: str | None) -> ColumnElement[bool]:
    """Whether a checkpoint is a team's; True if no team is given."""
    return true() if team is None else checkpoint.model_id.in_(select(Model.id).where(Model.team == team))


def _parts(doomed: Doomed) -> Select[int, int]:
    mine = _among(UploadPart.checkpoint_id, doomed.checkpoints)
    return _each_once(UploadPart.key, UploadPart.size_bytes, mine)


def _features(doomed: Doomed, team: str | None, *, shared: bool) -> Select[int, int]:
    """Features of evaluations. If `shared`, those that other evaluations need, too."""
    needed = _needed_shards(doomed)
    others = _needed_elsewhere(doomed, team)
    kept = Shard.swept_at.is_(None)
    return _each_once(Shard.key, Shard.size_bytes, needed, kept, others if shared else ~others)


def _needed_shards(doomed: Doomed) -> ColumnElement[bool]:
    """The shards that these evaluations need."""
    needed = evaluation_shards.c
    ids = select(needed.shard_id).where(_among(needed.evaluation_id, doomed.all_evaluations))
    return Shard.id.in_(ids)


def _needed_elsewhere(doomed: Doomed, team: str | None) -> ColumnElement[bool]:
    others = evaluation_shards.alias()
    needed = (others.c.shard_id == Shard.id, ~_among(others.c.evaluation_id, doomed.all_evaluations))
    if team is None:
        return exists().where(*needed)
    return exists().where(*needed, others.c.evaluation_id == Evaluation.id, Evaluation.team == team)


def _previews(doomed: Doomed, *, shared: bool) -> Select[int, int]:
    """Previews of datasets. If `shared`, those that another dataset of equal videos takes over."""
    other = _twin_of(Media.fingerprint, doomed)
    return _each_once(
        Media.id,
        Media.size_bytes,
        _among(Media.dataset_id, doomed.datasets),
        exists(other) if shared else ~exists(other),
    )


def _twin_of(fingerprint: Any, doomed: Doomed) -> Select[UUID]:
    """The newest other dataset with this fingerprint."""
    other = aliased(DatasetRow)
    same = (other.fingerprint == fingerprint, ~_among(other.id, doomed.datasets))
    newest = other.retired_at.desc().nulls_first()
    return select(other.id).where(*same).order_by(newest, other.id).limit(1).correlate_except(other)


def _each_once(
    name: InstrumentedAttribute[Any], size: InstrumentedAttribute[Any], *where: ColumnElement[bool]
) -> Select[int, int]:
    """Count the objects with different names, and add up their sizes."""
    each = select(func.max(size).label("size")).where(*where).group_by(name).subquery()
    return select(func.count(), func.coalesce(func.sum(each.c.size), 0)).select_from(each)


def _sized(session: Session, kind: str, query: Select[int, int]) -> Line:
    count, size_bytes = session.execute(query).one()
    return Line(kind=kind, count=count, size_bytes=int(size_bytes))


def _count(session: Session, kind: str, table: type[Base], *where: ColumnElement[bool]) -> Line:
    return Line(kind=kind, count=session.scalar(select(func.count()).select_from(table).where(*where)) or 0)


def _hides(
    team: str | None, *ids: InstrumentedAttribute[Any], others: Select[UUID] | None = None
) -> ColumnElement[bool]:
    """Whether one of these evaluations is hidden from a team; False if no team is given."""
    visible = EVERYTHING if team is None else Visibility(team=team)
    evaluation = aliased(Evaluation)
    among = [evaluation.id == one for one in ids]
    if others is not None:
        among.append(evaluation.id.in_(others))
    return exists().where(or_(*among), not_(visible.evaluations(evaluation)))


def _maps(ids: Ids) -> ColumnElement[bool]:
    return or_(_among(MapRow.evaluation_id, ids), _among(MapRow.like_id, ids))


def _shares(ids: Ids) -> ColumnElement[bool]:
    return or_(_among(Share.evaluation_id, ids), _among(Share.second_id, ids))


def _compares(ids: Ids) -> ColumnElement[bool]:
    """The comparisons that an evaluation among these is a part of."""
    members = comparison_members.c
    many = select(members.comparison_id).where(_among(members.evaluation_id, ids))
    two = or_(_among(Comparison.first_id, ids), _among(Comparison.second_id, ids))
    return or_(two, Comparison.id.in_(many))


def _among(
    column: ColumnElement[Any] | InstrumentedAttribute[Any], ids: Collection[UUID]
) -> ColumnElement[bool]:
    """Whether a column has one of these ids: one parameter, however many there are."""
    return column == any_(literal(list(ids), ARRAY(Uuid)))


def live_evaluations(session: Session, doomed: Doomed) -> Sequence[Evaluation]:
    """Those of the evaluations that have not ended."""
    live = select(Evaluation).where(_among(Evaluation.id, doomed.evaluations), Evaluation.state.not_in(ENDED))
    return session.scalars(live).unique().all()


def jobs_of(session: Session, doomed: Doomed) -> Sequence[UUID]:
    """Ids of the jobs about all that goes, but for those of evaluations and their features."""
    ids = doomed.all_evaluations
    about = (
        select(Job.id).where(_among(Job.checkpoint_id, doomed.checkpoints)),
        select(Job.id).where(_among(Job.dataset_id, doomed.datasets)),
        select(Job.id).join(Comparison, Comparison.id == Job.comparison_id).where(_compares(ids)),
        select(Job.id).join(MapRow, MapRow.id == Job.map_id).where(_maps(ids)),
        select(Job.id).join(Media, Media.id == Job.media_id).where(_among(Media.dataset_id, doomed.datasets)),
    )
    return [one for query in about for one in session.scalars(query)]


def origins(session: Session, doomed: Doomed) -> Mapping[Deleted, dict[UUID, Origin]]:
    """Where all that goes and has an address comes from, by kind and id. Datasets belong to administrators.

    A control is as private as one of the evaluations that need it, and a comparison as one of its parts.
    """
    needs = evaluation_controls.c
    needing = select(needs.evaluation_id).where(needs.control_id == Evaluation.id).correlate(Evaluation)
    hides, hides_part = _private_team(Evaluation.id, needing), _private_team(Comparison.first_id, _members())
    queries: dict[Deleted, Select[UUID, datetime, Any, bool]] = {
        Deleted.EVALUATION: select(
            Evaluation.id,
            Evaluation.created_at,
            func.coalesce(hides, Evaluation.team),
            hides.is_not(None),
        ).where(_among(Evaluation.id, doomed.all_evaluations)),
        Deleted.COMPARISON: select(
            Comparison.id,
            Comparison.created_at,
            func.coalesce(hides_part, Job.team),
            hides_part.is_not(None),
        )
        .outerjoin(Job, Job.comparison_id == Comparison.id)
        .where(_compares(doomed.all_evaluations), Comparison.members_key.is_not(None)),
        Deleted.CHECKPOINT: select(Checkpoint.id, Checkpoint.created_at, Model.team, Model.private)
        .join(Model, Model.id == Checkpoint.model_id)
        .where(_among(Checkpoint.id, doomed.checkpoints)),
        Deleted.MODEL: select(Model.id, Model.created_at, Model.team, Model.private).where(
            _among(Model.id, doomed.models)
        ),
        Deleted.DATASET: select(DatasetRow.id, DatasetRow.created_at, literal(NO_TEAM), false()).where(
            _among(DatasetRow.id, doomed.datasets)
        ),
    }
    return {
        kind: {
            one: Origin(made_at, team or NO_TEAM, private)
            for one, made_at, team, private in session.execute(query)
        }
        for kind, query in queries.items()
    }


def _members() -> Select[UUID]:
    """The evaluations of a comparison of many. The statement must select from `Comparison`."""
    members = comparison_members.c
    return select(members.evaluation_id).where(members.comparison_id == Comparison.id).correlate(Comparison)


def _private_team(one: InstrumentedAttribute[UUID], others: Select[UUID]) -> ScalarSelect[str | None]:
    """The team of a private model among those of an evaluation and of others; null if all are public."""
    evaluation = aliased(Evaluation)
    team = select(func.min(Model.team)).join(Checkpoint, Checkpoint.model_id == Model.id)
    team = team.join(evaluation, evaluation.checkpoint_id == Checkpoint.id)
    return (
        team.where(Model.private, or_(evaluation.id == one, evaluation.id.in_(others)))
        .correlate(one.class_)
        .scalar_subquery()
    )


def end_shares(session: Session, doomed: Doomed) -> None:
    """Let the links to these evaluations say that what they opened was deleted."""
    ended = update(Share).where(_shares(doomed.all_evaluations))
    session.execute(ended.values(evaluation_id=None, second_id=None, deleted_at=NOW))


def end_aliases(session: Session, doomed: Doomed) -> None:
    """Let aliases that point at these checkpoints end, and let their histories say when."""
    moves = update(AliasMove).where(_among(AliasMove.checkpoint_id, doomed.checkpoints))
    private = select(Model.private).join(Checkpoint, Checkpoint.model_id == Model.id)
    private = private.where(Checkpoint.id == AliasMove.checkpoint_id)
    ended = moves.values(checkpoint_id=None, deleted_at=NOW, deleted_private=private.scalar_subquery())
    session.execute(ended)


def forget_features(session: Session, doomed: Doomed) -> None:
    """Delete the shards that only these evaluations need. The others belong to an evaluation that stays."""
    needs = evaluation_shards.c
    links = delete(evaluation_shards).where(_among(needs.evaluation_id, doomed.all_evaluations))
    freed = session.scalars(links.returning(needs.shard_id)).all()
    needed = exists().where(needs.shard_id == Shard.id)
    session.execute(delete(Shard).where(_among(Shard.id, freed), ~needed), execution_options=UNSEEN)
    heir = (
        select(Evaluation.id)
        .join(evaluation_shards, needs.evaluation_id == Evaluation.id)
        .where(needs.shard_id == Shard.id)
        .order_by(Evaluation.id)
        .limit(1)
    )
    lost = or_(_among(Shard.checkpoint_id, doomed.checkpoints), _among(Shard.dataset_id, doomed.datasets))
    session.execute(
        update(Shard)
        .where(lost)
        .values(
            checkpoint_id=heir.with_only_columns(Evaluation.checkpoint_id).scalar_subquery(),
            dataset_id=heir.with_only_columns(Evaluation.dataset_id).scalar_subquery(),
        ),
        execution_options=UNSEEN,
    )


def hand_over(session: Session, doomed: Doomed) -> None:
    """Give controls and previews that others need to another dataset of equal videos."""
    old = aliased(DatasetRow)
    of_it = select(old.fingerprint).where(old.id == Evaluation.dataset_id)
    fingerprint = of_it.correlate(Evaluation).scalar_subquery()  # two levels up, so it must be said
    kept = (_among(Evaluation.dataset_id, doomed.datasets), ~_among(Evaluation.id, doomed.all_evaluations))
    for table, column, which in (
        (Evaluation, fingerprint, kept),
        (Media, Media.fingerprint, (_among(Media.dataset_id, doomed.datasets),)),
    ):
        twin = _twin_of(column, doomed).scalar_subquery()
        session.execute(
            update(table).where(*which, twin.is_not(None)).values(dataset_id=twin),
            execution_options=UNSEEN,
        )


def forget_rows(session: Session, doomed: Doomed) -> None:
    """Delete the rows. What hangs on them goes by the database's rules, but for what was ended before."""
    ids = doomed.all_evaluations
    for rows in (
        delete(Comparison).where(_compares(ids)),
        delete(MapRow).where(_maps(ids)),
        delete(Evaluation).where(_among(Evaluation.id, doomed.evaluations)),
        delete(Evaluation).where(_among(Evaluation.id, doomed.controls)),  # after those that needed them
        delete(Checkpoint).where(_among(Checkpoint.id, doomed.checkpoints)),
        delete(Model).where(_among(Model.id, doomed.models)),
        delete(DatasetRow).where(_among(DatasetRow.id, doomed.datasets)),
    ):
        session.execute(rows, execution_options=UNSEEN)
    session.expire_all()
