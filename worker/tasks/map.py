"""Draw the map of an evaluation's test videos, and store it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from records import damage
from records.db import NOW
from records.models import Evaluation, MapRow, MapState, Shard
from records.repositories import evaluations, maps, shards
from vcp_core.catalog.errors import StorageError, VcpbenchError
from worker.runner import Out
from worker.tasks.features import DamagedFeatures, features_of
from worker.tasks.plan import plan_arguments
from worker.work import Work

LOOK_AGAIN_S = 15.0
REMADE_FIRST = VcpbenchError("its features are made again first, because they were deleted after long disuse")
STALL_S = 7200.0  # t-SNE reports no progress; 20,000 videos take minutes (bench/map.py)


class Needs(NamedTuple):
    """Everything that drawing reads from the database."""

    version: str
    evaluation: Evaluation
    shards: list[Shard]
    lacks_features: bool  # retention deleted some, or workers are making them again
    predictions: dict[str, dict[str, Any]]
    like: dict[str, Any] | None  # the map that this one begins at


def draw_map(work: Work) -> None:
    """Draw the map of one evaluation, or the map that begins at another evaluation's."""
    needs = work.read(lambda session: _needs(session, work))
    if needs.lacks_features:

        def remake(session: Session) -> None:
            damage.remake_features(session, session.get_one(Evaluation, needs.evaluation.id))

        work.postpone(remake, REMADE_FIRST, pause_s=LOOK_AGAIN_S)
        return
    out = work.folder / "map.json"
    try:
        paths = features_of(work, needs.shards)
    except DamagedFeatures as damaged:
        work.change(partial(damage.features_of_done_damaged, damaged=damaged.shards))
        # As an outage of the store, which it is: the job is tried again, up to 10 times in half an hour.
        raise StorageError("the features are damaged in the store, and are made again") from None
    work.in_child(
        "draw_map",
        stall_s=STALL_S,
        plan=plan_arguments(work, needs.evaluation),
        features=paths,
        predictions=work.to_file("predictions", needs.predictions),
        like=None if needs.like is None else work.to_file("like", needs.like),
        version=needs.version,
        out=Out(out),
    )
    content = json.loads(out.read_text(encoding="utf-8"))

    def write(session: Session) -> None:
        row = session.get_one(MapRow, work.subject_id)
        row.state, row.content, row.finished_at = MapState.DONE, content, NOW
        shards.used(session, row.evaluation)

    work.conclude(write)


def _needs(session: Session, work: Work) -> Needs:
    row = session.get_one(MapRow, work.subject_id)
    like = row.like_id and maps.find(session, row.like_id, None, version=row.version)
    if row.like_id is not None and like is None:
        raise VcpbenchError(
            f"The map of evaluation {row.like_id}, at which this map begins, is gone. Ask again."
        )
    evaluation = row.evaluation
    return Needs(
        version=row.version,
        evaluation=evaluation,
        shards=sorted(evaluation.shards, key=lambda shard: shard.key),
        lacks_features=bool(shards.unmade(session, evaluation)),
        predictions=evaluations.predictions(session, evaluation.id),
        like=like.content if like else None,
    )
