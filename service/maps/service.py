"""Show the map of an evaluation's test videos: read a stored one, or ask a worker to draw it."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from records.kept import Kept
from records.models import Evaluation, JobKind, JobState, MapRow, MapState
from records.repositories import live, locks, maps
from service import room
from service.auth import Caller
from service.evaluations import named
from service.evaluations.service import check_done
from service.evaluations.waiting import drawing
from service.limits import MAX_LIVE_MAPS
from service.maps.schemas import MapOut, MapProgress
from service.problems import Conflict
from service.reasons import text_for
from vcp_core.scoring.maps import MAP_VERSION, VideoMap

_KEPT: Kept[UUID, VideoMap] = Kept(8)  # a page shows two
MOST = 0.999  # largest fraction of a map that is not done; 1 means done


def ask(session: Session, wanted: str, against: str | None, reader: Caller | None = None) -> MapOut:
    """Show the map of an evaluation. A worker draws a missing one.

    With `against`, the map begins at the other evaluation's map. So a missing map of the other one is drawn
    first, and what is told meanwhile is about that one.

    Raises:
        NotFound: If an evaluation does not exist.
        Conflict: If one is not done, or they do not stand on the same videos.
        TooMany: If the map is new, and too many of the reader's team are under way.
    """
    one = named.find(session, wanted, reader)
    check_done(one, reader)
    if against is None:
        return _shown(session, _found_or_made(session, one, None, reader), one, None, reader)
    other = named.find(session, against, reader)
    check_done(other, reader)
    _check_same_videos(one, other)
    first = _found_or_made(session, other, None, reader)
    if first.state is not MapState.DONE:
        return _shown(session, first, one, other.id, reader)
    return _shown(session, _found_or_made(session, one, other.id, reader), one, other.id, reader)


def _found_or_made(
    session: Session, evaluation: Evaluation, like_id: UUID | None, reader: Caller | None
) -> MapRow:
    team = reader.team if reader else None
    found = maps.find(session, evaluation.id, like_id, version=MAP_VERSION)
    if found is None:
        locks.take(session, live.lock_name(JobKind.MAP, team))
        found = maps.find(session, evaluation.id, like_id, version=MAP_VERSION)  # another's, by now
    if found is None:
        room.check(live.count(session, JobKind.MAP, team), team, what="maps", allowed=MAX_LIVE_MAPS)
        found = maps.make(session, evaluation.id, like_id, version=MAP_VERSION, team=team)
    return found


def _check_same_videos(one: Evaluation, other: Evaluation) -> None:
    if one.dataset.fingerprint != other.dataset.fingerprint:
        raise Conflict(
            f"The evaluations stand on different videos: {one.dataset.fingerprint} and "
            f"{other.dataset.fingerprint}. Two maps side by side need the same videos."
        )


def _content(row: MapRow) -> VideoMap:
    """Read the positions and answers of a map that is done. It never changes, so a few are kept in memory."""
    found = _KEPT.get(row.id)
    if found is None:
        found = VideoMap.model_validate(row.content)
        _KEPT.put(row.id, found)
    return found


def _shown(
    session: Session, row: MapRow, evaluation: Evaluation, against: UUID | None, reader: Caller | None
) -> MapOut:
    job = maps.job_of(session, row)
    running = row.state is MapState.WAITING and job is not None and job.state is JobState.RUNNING
    done = job.done / job.total if job is not None and job.total else 0.0
    stands = drawing(session, row, reader)
    is_drawn = row.state is MapState.DONE and row.evaluation_id == evaluation.id
    content = _content(row) if is_drawn else None
    return MapOut(
        state="running" if running else row.state.value,
        reason=text_for(row.reason, reader, evaluation.dataset),
        waiting_for=stands.waiting_for,
        progress=MapProgress(fraction=1.0 if content else min(done, MOST), stage=stands.stage),
        evaluation=evaluation.id,
        against=against,
        map=content,
    )
