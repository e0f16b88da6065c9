"""Measures how one evaluation gets faster with more workers, if forwarding a shard only sleeps.

python -m bench.scaling                                      1, 2, 4, 8 and 16 workers; shards of 0.5 s
python -m bench.scaling --workers 1 2 --shards 8 --sleep-s 0.2    a try
python -m bench.scaling --json                               the numbers for programs

It starts PostgreSQL, Valkey and the API, and as many workers of the bench (bench/worker.py) as a line says.
Whatever keeps workers from sleeping costs efficiency: claims, locks, wake-ups, child processes. Each line is
one evaluation of other weights. Its time is from the first start of a shard to the last end, by the clock of
the database. Controls and children are ready before. More workers get more shards, so that all lines take
about as long. Efficiency is a worker's time for a shard with one worker, over that with n workers.

Exits with 1 if the efficiency of the most workers is below 85 %, or the median database time of a shard is
20 ms or more. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from bench.installation import BenchFailed, Installation, running
from bench.rehearsal import account
from bench.rehearsal.manifest import NUM_TEST, NUM_TRAIN
from records.models import Evaluation, Job, Shard, evaluation_shards

DATASET, PROTOCOL = "scaling", "scaling"
# One clip a video, and one video a shard, so that a shard costs nothing but its sleep.
NUMBERS = {
    "name": PROTOCOL,
    "base": "quick-v1",
    "grid": {"num_clips": 1},
    "control": {"seeds": [0], "calibration_clips": 1, "pixels": False},
}
LEAST_EFFICIENCY, MOST_DATABASE_MS = 0.85, 20.0
LOOK_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Line:
    """One evaluation.

    Attributes:
        workers: How many workers there were.
        shards: How many shards they did.
        seconds: From the first start of a shard to the last end.
        shares: Shards of the worker with the fewest, over shards of the worker with the most.
        shard_ms: Median database time of a shard: calls of the driver, with waiting for locks.
        job_ms: Median database time of a job of any kind.
        session_ms: Median time of a shard's sessions: its database time, and Python's work between the calls.
        server_ms: Time that PostgreSQL worked, for all clients, over the number of shards.
    """

    workers: int
    shards: int
    seconds: float
    shares: float
    shard_ms: float
    job_ms: float
    session_ms: float
    server_ms: float


def measure(folder: Path, num_workers: int, num_shards: int, sleep_s: float) -> Line:
    """Run two evaluations with so many workers, and return the line of the second.

    The first one makes the controls, and lets every worker start its child.
    """
    worker = ["--extraction", "sleep", "--sleep-s", str(sleep_s)]
    worker += ["--part", str(num_shards / (NUM_TRAIN + NUM_TEST))]
    measured = Installation(folder, num_workers, worker=worker, settings={"SHARD_CLIPS": "1"})
    with running(measured) as installation:
        installation.post("datasets", {"name": DATASET, "location": str(folder)})
        installation.post("protocols", NUMBERS)
        _finish(installation, 0)
        before, server_before = len(installation.reports()), _server_ms(installation)
        evaluation_id = _finish(installation, 1)
        reports = installation.reports()[before:]
        server_ms = _server_ms(installation) - server_before
        shards, seconds, shares = _extracted(installation, evaluation_id)
    own = account.by_job(reports)["extract"]
    return Line(
        workers=num_workers,
        shards=shards,
        seconds=seconds,
        shares=shares,
        shard_ms=own["median_ms"],
        job_ms=account.by_job({**line, "kind": "all"} for line in reports)["all"]["median_ms"],
        session_ms=own["session_ms"],
        server_ms=server_ms / shards,
    )


def _server_ms(installation: Installation) -> float:
    with installation.database.session() as session:
        return float(account.server(session)["active_ms"])


def _finish(installation: Installation, number: int) -> str:
    asked = installation.ask("r3d_tiny", number, DATASET, PROTOCOL)
    while not installation.look(asked.id).ended:
        time.sleep(LOOK_S)
    return asked.id


def _extracted(installation: Installation, evaluation_id: str) -> tuple[int, float, float]:
    """Shards of an evaluation, seconds of their extraction, and how evenly workers shared them."""
    query = (
        select(func.count(), func.min(Job.started_at), func.max(Job.finished_at))
        .select_from(Evaluation)
        .join(evaluation_shards, evaluation_shards.c.evaluation_id == Evaluation.id)
        .join(Shard, Shard.id == evaluation_shards.c.shard_id)
        .join(Job, Job.shard_id == Shard.id)
        .where(Evaluation.id == evaluation_id)
    )
    with installation.database.session() as session:
        shards, begun, ended = session.execute(query).one()
        shares = session.scalars(query.with_only_columns(func.count()).group_by(Job.worker_id)).all()
    fewest = min(shares) if len(shares) == installation.num_workers else 0
    assert begun is not None
    assert ended is not None
    return shards, (ended - begun).total_seconds(), fewest / max(shares)


def efficiency(lines: list[Line], line: Line) -> float:
    """How well `line.workers` workers were used, next to those of the first line: 1 is perfect."""
    first_s, own_s = (one.workers * one.seconds / one.shards for one in (lines[0], line))
    return first_s / own_s


def missed(lines: list[Line]) -> list[str]:
    """The limits that are missed, in words."""
    said, last = [], lines[-1]
    if (found := efficiency(lines, last)) < LEAST_EFFICIENCY:
        said.append(
            f"efficiency of {last.workers} workers: {100 * found:.0f} %; "
            f"at least {100 * LEAST_EFFICIENCY:.0f} %"
        )
    if last.shard_ms >= MOST_DATABASE_MS:
        said.append(
            f"database time of a shard: {last.shard_ms:.1f} ms with {last.workers} workers; "
            f"less than {MOST_DATABASE_MS:.0f} ms"
        )
    return said


HEADER = (
    f"{'workers':>7}{'shards':>8}{'seconds':>9}{'efficiency':>12}{'fewest/most':>13}"
    f"{'ms a shard':>12}{'ms a job':>10}{'with Python':>13}{'PostgreSQL ms':>15}"
)


def row(lines: list[Line]) -> str:
    """The last line for people."""
    line = lines[-1]
    return (
        f"{line.workers:>7}{line.shards:>8}{line.seconds:>9.1f}{100 * efficiency(lines, line):>10.0f} %"
        f"{line.shares:>13.2f}{line.shard_ms:>12.1f}{line.job_ms:>10.1f}{line.session_ms:>13.1f}{line.server_ms:>15.1f}"
    )


def main() -> int:
    """Print a line for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--shards", type=int, default=20, help="for each worker; at least 40 in all")
    parser.add_argument("--sleep-s", type=float, default=0.5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    lines: list[Line] = []
    if not arguments.json:
        print(HEADER)
    for num_workers in sorted(arguments.workers):
        num_shards = max(40, num_workers * arguments.shards)
        with tempfile.TemporaryDirectory(prefix="scaling-") as folder:
            try:
                lines.append(measure(Path(folder), num_workers, num_shards, arguments.sleep_s))
            except BenchFailed as error:
                print(f"{num_workers} workers: {error}", file=sys.stderr)
                return 1
        if not arguments.json:
            print(row(lines), flush=True)
    said = missed(lines)
    if arguments.json:
        found: list[dict[str, Any]] = [{**asdict(one), "efficiency": efficiency(lines, one)} for one in lines]
        print(json.dumps({"lines": found, "missed": said}, indent=2))
    else:
        print("\n".join(said))
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
