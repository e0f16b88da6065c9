"""What an evaluation through the service cost: from rows of the database, files and reports of workers."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from records.db import Base

# Jobs by kind, those of the evaluation apart from those of its controls. `job_s` adds up all jobs, of which
# several run at once; `wall_s` is from the first start to the last end.
JOBS = text(
    """
    SELECT job.kind,
        CASE WHEN job.kind = 'calibrate' THEN false
             WHEN job.kind IN ('ingest', 'index', 'compare') THEN true
             ELSE coalesce(job.evaluation_id = mine.id, shard.checkpoint_id = mine.checkpoint_id) END AS own,
        count(*) AS jobs,
        count(*) FILTER (WHERE job.state = 'done') AS done,
        sum(job.crashes + job.outages + job.losses) AS retries,
        sum(job.losses) AS losses,
        coalesce(sum(extract(epoch FROM job.finished_at - job.started_at)), 0)::float8 AS job_s,
        coalesce(extract(epoch FROM max(job.finished_at) - min(job.started_at)), 0)::float8 AS wall_s,
        coalesce(sum(shard.num_clips), 0)::int AS clips,
        coalesce(sum((shard.counts->>'forwarded_clips')::int), 0)::int AS forwarded
    FROM job CROSS JOIN (SELECT * FROM evaluation WHERE id = :evaluation) AS mine
    LEFT JOIN shard ON shard.id = job.shard_id
    GROUP BY 1, 2 ORDER BY min(job.created_at)
    """
)
SERVER = text(
    """
    SELECT active_time AS active_ms, xact_commit AS commits, pg_database_size(current_database()) AS bytes
    FROM pg_stat_database WHERE datname = current_database()
    """
)


def jobs(session: Session, evaluation_id: UUID | str) -> list[dict[str, Any]]:
    """Jobs of an evaluation and its controls by kind, in the order in which kinds began."""
    rows = session.execute(JOBS, {"evaluation": str(evaluation_id)})
    return [dict(row._mapping) for row in rows]


def database(session: Session) -> dict[str, Any]:
    """Rows and bytes by table, bytes in all, and the time that PostgreSQL worked."""
    num = session.execute(text("SELECT count(*) FROM evaluation WHERE state = 'done'")).scalar_one()
    tables = {}
    for table in Base.metadata.sorted_tables:
        rows = session.execute(select(func.count()).select_from(table)).scalar_one()
        tables[table.name] = {
            "rows": rows,
            "bytes": session.execute(select(func.pg_total_relation_size(table.name))).scalar_one(),
        }
    return {"evaluations": num, "tables": tables, **server(session)}


def server(session: Session) -> dict[str, Any]:
    """The time that PostgreSQL worked since the start (`active_ms`), commits, and bytes."""
    return dict(session.execute(SERVER).one()._mapping)


def by_job(reports: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """What attempts at jobs spent with the database, by kind of job: `bench.worker.Spent`."""
    kinds: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in reports:
        kinds[line["kind"]].append(line)
    return {
        kind: {
            "attempts": len(lines),
            "median_ms": 1000 * statistics.median(line["database_s"] for line in lines),
            "most_ms": 1000 * max(line["database_s"] for line in lines),
            "session_ms": 1000 * statistics.median(line["session_s"] for line in lines),
            "sessions": statistics.median(line["sessions"] for line in lines),
        }
        for kind, lines in kinds.items()
    }


def disk(objects: Path, videos: Path | None) -> dict[str, int]:
    """Bytes of the store by the first part of keys, and of the videos."""
    kinds = {f"store: {one.name}": one for one in sorted(objects.iterdir()) if one.is_dir()}
    if videos is not None:
        kinds["videos"] = videos
    return {kind: size_of(folder) for kind, folder in kinds.items()}


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
