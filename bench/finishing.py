"""Counts the statements and rows by which an evaluation of many shards is planned, followed and finished.

python -m bench.finishing                        250, 500, 1,000 and 2,000 shards
python -m bench.finishing --shards 100 400       other numbers of shards
python -m bench.finishing --json                 the numbers for programs

One process does what workers do, on a real PostgreSQL that also holds 100,000 shards of earlier evaluations.
It plans, then claims, renews and finishes every shard, and polls the progress now and then. No clip is
forwarded. Rows are those that PostgreSQL read in tables and in indexes. Nothing is timed, so the table hardly
depends on the machine. Exits with 1 if the statements or the rows of a shard's transactions grow with the
number of shards, or those of planning and polling grow faster than that number.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import event, select, text, update
from sqlalchemy.orm import Session

from records import flow, migrate
from records.db import Database
from records.models import (
    Checkpoint,
    CheckpointState,
    DatasetRow,
    DatasetState,
    Evaluation,
    EvaluationState,
    Job,
    JobState,
    Origin,
    ProtocolRow,
    Shard,
)
from records.repositories import evaluations, jobs, progress, queue, shards
from records.repositories.jobs import Claim
from stack.engines import start_engines

CLAIM_PLAN, PLAN, CLAIM, RENEW, FINISH, POLL = (
    "claim the plan",
    "plan",
    "claim a shard",
    "renew its lease",
    "finish a shard",
    "poll the progress",
)
EACH_SHARD = (CLAIM, RENEW, FINISH)
EARLIER = 100_000  # shards of earlier evaluations: of few rows, PostgreSQL rightly reads the whole table
POLLS = 8
# Largest power of the number of shards with which a mean may grow. How many rows the end of a shard reads
# depends on random ids (`jobs.any_shard_missing`): from 250 to 2,000 shards the mean grows by a fifth, and
# rarely fourfold. If it read all shards, the mean would grow eightfold.
POWER_OF_SHARD, POWER_OF_ALL = 0.75, 1.25
# Tuples that the scans of tables and indexes returned in this connection. PostgreSQL keeps those of earlier
# transactions in the sum for a second, so only a difference within one transaction means something.
ROWS = text(
    """
    SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(oid)
                        + CASE relkind WHEN 'r' THEN pg_stat_get_xact_tuples_fetched(oid) ELSE 0 END), 0)
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')
    """
)

FILL = text(
    """
    WITH cut AS (
        INSERT INTO shard (id, space, checkpoint_id, dataset_id, number, clips, num_clips, key)
        SELECT gen_random_uuid(), 'earlier', :checkpoint, :dataset, i, '[]', 1, 'earlier/' || i
        FROM generate_series(1, :shards) AS i RETURNING id, number
    ), needed AS (INSERT INTO evaluation_shard (evaluation_id, shard_id) SELECT :evaluation, id FROM cut)
    INSERT INTO job (id, kind, queue, team, shard_id, state, crashes, outages, losses, done, started_at)
    SELECT gen_random_uuid(), 'extract', 'gpu', 't' || number % 9, id, 'done', 0, 0, 0, 1,
        clock_timestamp() - number * interval '1 second'
    FROM cut
    """
)


@dataclass
class Cost:
    """What the transactions of one kind cost.

    Attributes:
        times: How many transactions.
        statements: Of all of them.
        rows: That all of them read.
        most_rows: That one of them read.
    """

    times: int = 0
    statements: int = 0
    rows: int = 0
    most_rows: int = 0

    def add(self, statements: int, rows: int) -> None:
        """Count one more transaction."""
        self.times, self.statements, self.rows = (
            self.times + 1,
            self.statements + statements,
            self.rows + rows,
        )
        self.most_rows = max(self.most_rows, rows)

    def each(self) -> dict[str, float]:
        """Return the numbers of a transaction on average."""
        return {"statements": self.statements / self.times, "rows": self.rows / self.times}


class Counter:
    """Counts what the transactions of one database cost."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.costs: defaultdict[str, Cost] = defaultdict(Cost)
        self._statements = 0
        event.listen(database.engine, "before_cursor_execute", self._count)

    def stop(self) -> None:
        """Count no more."""
        event.remove(self.database.engine, "before_cursor_execute", self._count)

    def _count(self, *_: Any) -> None:
        self._statements += 1

    @contextmanager
    def transaction(self, kind: str) -> Iterator[Session]:
        """Open a transaction whose cost is counted under this name."""
        with self.database.session() as session:
            before = session.scalar(ROWS)
            self._statements = 0
            yield session
            session.flush()
            statements = self._statements
            self.costs[kind].add(statements, int(session.scalar(ROWS) - before))


def ask(database: Database) -> UUID:
    """Ask for an evaluation of new weights on a dataset that is ready, and return the evaluation's id."""
    with database.session() as session:
        flow.lock(session)
        dataset = session.scalars(select(DatasetRow).where(DatasetRow.name == "bench")).one_or_none()
        if dataset is None:
            dataset = DatasetRow(name="bench", source={}, state=DatasetState.READY, fingerprint="0" * 64)
            session.add(ProtocolRow(hash="bench", name="bench", content={}))
        weights = Checkpoint(origin=Origin.UPLOAD, state=CheckpointState.READY, backbone="r3d_tiny")
        session.add_all([dataset, weights])
        session.flush()
        found, _ = flow.find_or_create(session, weights, dataset, "bench", team="bench")
        return found.id


def fill(database: Database, num_shards: int = EARLIER) -> None:
    """Insert a finished evaluation of many shards, and let PostgreSQL count its rows."""
    earlier = ask(database)
    with database.session() as session:
        found = session.get_one(Evaluation, earlier)
        found.state = EvaluationState.DONE
        facts = {"evaluation": found.id, "checkpoint": found.checkpoint_id, "dataset": found.dataset_id}
        session.execute(FILL, {**facts, "shards": num_shards})
        session.execute(update(Job).where(Job.evaluation_id == found.id).values(state=JobState.DONE))
    analyse(database)


def analyse(database: Database) -> None:
    """Let PostgreSQL vacuum and count rows now, as autovacuum does within a minute."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def plan(session: Session, claim: Claim, num_shards: int) -> None:
    """End the job of planning with so many shards of one clip."""
    flow.lock(session)
    assert jobs.finish(session, claim)
    row = session.get_one(Evaluation, claim.subject_id)
    row.num_clips, row.unavailable = num_shards, {}
    facts = {"space": str(row.id), "checkpoint_id": row.checkpoint_id, "dataset_id": row.dataset_id}
    shards = [
        Shard(**facts, number=number, clips=[], num_clips=1, key=f"{row.id}/{number}")
        for number in range(num_shards)
    ]
    session.add_all(shards)
    session.flush()
    flow.planned(session, row, [shard.id for shard in shards], [])


def finish_shard(session: Session, claim: Claim) -> None:
    """End the job of a shard, as `worker.tasks.extract` does."""
    flow.lock(session)
    assert jobs.finish(session, claim)
    facts: dict[str, Any] = {"device": "none", "counts": {}, "sha256": "0" * 64, "size_bytes": 0}
    shards.keep_facts(session, claim.subject_id, **facts)
    flow.shard_done(session, claim.subject_id)


def poll(session: Session, evaluation_id: UUID) -> None:
    """Read what the page of an evaluation reads."""
    found = session.get_one(Evaluation, evaluation_id)
    progress.progress(session, found)
    queue.next_jobs(session, found)
    evaluations.job_lines(session, found)


def run(counter: Counter, num_shards: int, *, polls: int = POLLS) -> None:
    """Ask for an evaluation and do all its jobs but the scoring.

    Raises:
        AssertionError: If its scoring is not queued exactly when the last shard is done.
    """
    evaluation_id, worker = ask(counter.database), uuid4()

    def claim(kind: str) -> Claim:
        with counter.transaction(kind) as session:
            found = jobs.claim(session, ("cpu", "gpu"), worker_id=worker, lease_s=3600)
        assert found is not None
        return found

    def state() -> EvaluationState:
        with counter.database.session() as session:
            return session.get_one(Evaluation, evaluation_id).state

    claimed = claim(CLAIM_PLAN)
    with counter.transaction(PLAN) as session:
        plan(session, claimed, num_shards)
    analyse(counter.database)
    for number in range(num_shards):
        if number % max(1, num_shards // polls) == 0:
            assert state() is EvaluationState.RUNNING
            with counter.transaction(POLL) as session:
                poll(session, evaluation_id)
        claimed = claim(CLAIM)
        with counter.transaction(RENEW) as session:
            assert jobs.renew(session, claimed, lease_s=3600, done=1, total=1)
        with counter.transaction(FINISH) as session:
            finish_shard(session, claimed)
    assert state() is EvaluationState.SCORING
    with counter.database.session() as session:
        jobs.cancel_own(session, session.get_one(Evaluation, evaluation_id))


def measure(database: Database, nums_shards: Sequence[int]) -> dict[int, dict[str, Cost]]:
    """Run an evaluation of each of these sizes, and return the costs by size and kind of transaction."""
    found = {}
    for num_shards in nums_shards:
        counter = Counter(database)
        run(counter, num_shards)
        counter.stop()
        found[num_shards] = dict(counter.costs)
    return found


def growth(found: Mapping[int, Mapping[str, Cost]], kind: str, what: str) -> float:
    """How much larger a mean is with the most shards than with the fewest."""
    fewest, most = (found[num_shards][kind].each()[what] for num_shards in (min(found), max(found)))
    return most / fewest


def missed(found: Mapping[int, Mapping[str, Cost]]) -> list[str]:
    """The limits that are missed, in words."""
    lines = []
    for kind, what in itertools.product((*EACH_SHARD, PLAN, POLL), ("statements", "rows")):
        power = POWER_OF_SHARD if kind in EACH_SHARD or what == "statements" else POWER_OF_ALL
        limit = (max(found) / min(found)) ** power
        if (times := growth(found, kind, what)) > limit:
            lines.append(
                f"{kind}: {times:.1f} times as many {what} with {max(found):,} shards as with "
                f"{min(found):,}; at most {limit:.1f}"
            )
    return lines


def table(found: Mapping[int, Mapping[str, Cost]]) -> str:
    """The lines for people."""
    lines = [f"{'shards':>7}  {'transaction':<20}{'times':>7}{'statements':>12}{'rows':>10}{'most rows':>11}"]
    for num_shards, costs in found.items():
        for kind, cost in costs.items():
            each = cost.each()
            lines.append(
                f"{num_shards:>7,}  {kind:<20}{cost.times:>7,}{each['statements']:>12.1f}"
                f"{each['rows']:>10,.1f}{cost.most_rows:>11,}"
            )
    return "\n".join(lines)


def main() -> int:
    """Print a line for each kind of transaction and number of shards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shards", nargs="+", type=int, default=[250, 500, 1000, 2000])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, start_engines(Path(folder), durable=False) as engines:
        migrate.upgrade(engines.database_url)
        database = Database(engines.database_url)
        fill(database)
        found = measure(database, arguments.shards)
        database.dispose()
    lines = missed(found)
    if arguments.json:
        costs = {
            num: {kind: asdict(cost) for kind, cost in by_kind.items()} for num, by_kind in found.items()
        }
        print(json.dumps({"costs": costs, "missed": lines}, indent=2))
    else:
        print("\n".join([table(found), *lines]))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
