"""Measures the cost of a leaderboard of 2,000 rows over real HTTP: the page, JSON and CSV.

python -m bench.leaderboard              starts engines of its own
python -m bench.leaderboard --rows 5000  a larger board
python -m bench.leaderboard --worth      what three shortcuts save on a page of 200 rows, in one process
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import Row, Select, insert, text
from sqlalchemy.orm import Session

from records import migrate
from records.db import Database
from records.kept import Kept
from records.models import (
    Checkpoint,
    CheckpointState,
    DatasetRow,
    DatasetState,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    Model,
    Origin,
    ScoreRow,
    Shard,
)
from records.repositories import datasets, leaderboard
from service.web import leaderboard as web_leaderboard
from service.web.pages import ENVIRONMENT
from service.web.parameters import DEFAULT_METRICS, FACTS, LeaderboardParameters
from stack.engines import start_engines
from vcp_core.catalog.protocols import PROTOCOLS

NUM_METRICS = 38  # that an evaluation has under quick-v1
METRICS = (*DEFAULT_METRICS, *(f"cloze.other.{index}" for index in range(NUM_METRICS - len(DEFAULT_METRICS))))
NUM_SHARDS = 870  # 13,320 videos with some 17 clips each, 256 clips a shard
CHUNK = 500
PAGES = 15  # of a turn: a full collection comes with one in eight


def fill(session: Session, num_rows: int) -> UUID:
    """Insert evaluations of twenty models and a running one; return the running one's id."""
    rng = random.Random(0)  # noqa: S311 - invented scores
    dataset = DatasetRow(name="bench", source={}, state=DatasetState.READY, fingerprint="0" * 64)
    models = [Model(team=f"team-{index % 4}", name=f"model-{index}") for index in range(20)]
    session.add_all([dataset, *models])
    session.flush()
    protocol = datasets.keep_protocol(session, PROTOCOLS["quick-v1"])
    assert protocol is not None
    for begin in range(0, num_rows, CHUNK):
        indices = range(begin, min(begin + CHUNK, num_rows))
        checkpoints = [_checkpoint(models[index % len(models)].id, index) for index in indices]
        evaluations = [
            _evaluation(checkpoint["id"], dataset.id, protocol.hash, index)
            for checkpoint, index in zip(checkpoints, indices, strict=True)
        ]
        scores = [_score(one["id"], metric, rng) for one in evaluations for metric in METRICS]
        session.execute(insert(Checkpoint), checkpoints)
        session.execute(insert(Evaluation), evaluations)
        session.execute(insert(ScoreRow), scores)
    return _running(session, evaluations[-1])


def _running(session: Session, like: dict[str, Any]) -> UUID:
    """Insert a half-done evaluation with as many shards as UCF101 has under standard-v1."""
    now = datetime.now(UTC)
    model_id = session.get_one(Checkpoint, like["checkpoint_id"]).model_id
    assert model_id is not None
    weights = _checkpoint(model_id, 0)
    session.execute(insert(Checkpoint), [weights])
    row = Evaluation(**{**like, "id": uuid4(), "checkpoint_id": weights["id"], "finished_at": None})
    row.state, row.started_at, row.num_clips = EvaluationState.RUNNING, now, 256 * NUM_SHARDS
    facts = {"space": "bench", "checkpoint_id": weights["id"], "dataset_id": row.dataset_id, "clips": []}
    row.shards = [Shard(**facts, number=n, num_clips=256, key=f"{n}") for n in range(NUM_SHARDS)]
    session.add(row)
    session.flush()
    for number, shard in enumerate(row.shards):
        done = number < NUM_SHARDS // 2
        state = JobState.DONE if done else JobState.QUEUED
        ended = now if done else None
        job = Job(
            kind=JobKind.EXTRACT, queue="gpu", team="bench", shard_id=shard.id, state=state, finished_at=ended
        )
        session.add(job)
    session.flush()
    return row.id


def _checkpoint(model_id: UUID, index: int) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "model_id": model_id,
        "origin": Origin.UPLOAD,
        "state": CheckpointState.READY,
        "backbone": "r3d",
        "step": 1000 * index,
    }


def _evaluation(checkpoint_id: UUID, dataset_id: UUID, protocol_hash: str, index: int) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "checkpoint_id": checkpoint_id,
        "dataset_id": dataset_id,
        "protocol_hash": protocol_hash,
        "team": "bench",
        "is_control": False,
        "state": EvaluationState.DONE,
        "finished_at": datetime.now(UTC) + timedelta(seconds=index),
    }


def _score(evaluation: UUID, metric: str, rng: random.Random) -> dict[str, Any]:
    value, control = rng.uniform(20, 90), rng.uniform(15, 30)
    return {
        "evaluation_id": evaluation,
        "metric": metric,
        "benchmark": metric.partition(".")[0],
        "value": value,
        "low": value - 4,
        "high": value + 4,
        "num_videos": 3783,
        "num_units": 500,
        "units": "group",
        "chance": 20.0,
        "control": control,
        "lift": value - control,
        "lift_low": value - control - 5,
        "lift_high": value - control + 5,
        "pixels": control + 5,
        "above_pixels_low": value - control - 10,
        "above_pixels_high": value - control,
        "headline": "." in metric and metric.count(".") == 1,
    }


def _wait(client: httpx.Client, served: subprocess.Popen[bytes]) -> None:
    while served.poll() is None:
        try:
            client.get("/v1/health").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("the service did not start")


def measure(client: httpx.Client, pid: int, path: str, repeats: int) -> None:
    """Print milliseconds of all requests but the first: until the answer begins, and of the service's CPU.

    The least is what a request takes while nothing else wants the machine.
    """
    waits, cpu = [], []
    for _ in range(repeats + 1):
        before, begun = _cpu_s(pid), time.perf_counter()
        with client.stream("GET", path) as answer:  # it begins once the page is whole
            waits.append(1000 * (time.perf_counter() - begun))
            answer.raise_for_status()
            size = sum(len(chunk) for chunk in answer.iter_raw())
        cpu.append(1000 * (_cpu_s(pid) - before))
    columns = waits[0], min(waits[1:]), statistics.median(waits[1:]), statistics.median(cpu[1:]), size / 1000
    print(f"{path:<60}" + "".join(f"{column:>8.0f}" for column in columns))


def _cpu_s(pid: int) -> float:
    """CPU time of all threads, to the nanosecond; /proc/PID/stat would count in steps of 10 ms."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def as_text(session: Session, query: Select[Any]) -> Sequence[Row[Any]]:
    """`records.repositories.leaderboard._fetch` without PostgreSQL's binary form."""
    return session.connection().execute(query).all()


def worth(session: Session, rounds: int) -> None:
    """Print mean CPU milliseconds of a page of 200 rows as it is served, and with one thing changed.

    The variants take turns, so that what else the machine does falls on all of them.
    """
    variants: dict[str, dict[str, Any]] = {
        "as served": {},
        "the first time": {"scores": Kept(0), "cells": Kept(0)},
        "without kept scores": {"scores": Kept(0)},
        "without kept cells": {"cells": Kept(0)},
        "the first time, numbers as text": {"scores": Kept(0), "cells": Kept(0), "fetch": as_text},
        "without gc.freeze": {},
        "the first time, without gc.freeze": {"scores": Kept(0), "cells": Kept(0)},
    }
    plain = {"scores": leaderboard.KEPT, "cells": web_leaderboard.KEPT, "fetch": leaderboard._fetch}
    places = {
        "scores": (leaderboard, "KEPT"),
        "cells": (web_leaderboard, "KEPT"),
        "fetch": (leaderboard, "_fetch"),
    }
    spent: dict[str, list[float]] = {name: [] for name in variants}
    collections = dict.fromkeys(variants, 0)
    for _ in range(rounds):
        for name, changes in variants.items():
            for part, chosen in {**plain, **changes}.items():
                setattr(*places[part], chosen)
            gc.collect()
            if "without gc.freeze" not in name:
                gc.freeze()
            before = gc.get_stats()[2]["collections"]
            spent[name].append(_page_ms(session))
            collections[name] += gc.get_stats()[2]["collections"] - before
            gc.unfreeze()
    for name, measured in spent.items():
        share = collections[name] / (rounds * PAGES)
        print(f"{name:<36}{statistics.median(measured):>8.1f}{min(measured):>8.1f}{share:>8.2f}")
    begun = time.process_time()
    gc.collect()
    collection_ms = 1000 * (time.process_time() - begun)
    print(f"one full collection: {collection_ms:.0f} ms, {len(gc.get_objects())} objects")


def _page_ms(session: Session) -> float:
    """CPU milliseconds of a page of 200 rows, a mean over `PAGES`."""
    template = ENVIRONMENT.get_template("leaderboard.html")
    facts = {"here": "/", "theme": None, "logged_in": False, "reported": (), "facts": FACTS}
    begun = time.process_time()
    for _ in range(PAGES):
        found = web_leaderboard.show(session, LeaderboardParameters(limit=200), None)
        assert found is not None
        template.render(**facts, board=found, parameters=found.parameters)
    return 1000 * (time.process_time() - begun) / PAGES


def main() -> None:
    """Print the cost of the pages of a large leaderboard."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--worth", action="store_true")
    parser.add_argument("--port", type=int, default=8971)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, start_engines(Path(folder), durable=False) as engines:
        migrate.upgrade(engines.database_url)
        database = Database(engines.database_url)
        with database.session() as session:
            running = fill(session, arguments.rows)
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))  # as autovacuum does within a minute
        if arguments.worth:
            print(f"{arguments.rows} rows, CPU ms a page{'':<11}median   least  full collections a page")
            with database.session() as session:
                worth(session, arguments.repeats)
            return
        database.dispose()
        settings = {
            "VCPBENCH_DATABASE_URL": engines.database_url,
            "VCPBENCH_BROKER_URL": engines.broker_url,
            "VCPBENCH_STORE_URL": f"file://{folder}/objects",
            "VCPBENCH_PUBLIC_READ": "true",
            "VCPBENCH_PORT": str(arguments.port),
        }
        served = subprocess.Popen([sys.executable, "-m", "service"], env={**os.environ, **settings})
        url = f"http://127.0.0.1:{arguments.port}"
        print(f"{arguments.rows} rows{'':<35}{'first':>17}{'least':>8}{'median':>8}{'CPU ms':>8}{'kB':>8}")
        with httpx.Client(base_url=url, timeout=60) as client:
            _wait(client, served)
            for path in (
                "/?limit=200",
                "/?limit=200&offset=1800",
                "/?limit=200&offset=1800&sort=-cloze.recall.remote&latest=true",
                "/v1/leaderboard?dataset=bench&limit=200",
                "/v1/leaderboard?dataset=bench&limit=200&offset=1800",
                "/v1/leaderboard.csv?dataset=bench&limit=200&offset=1800",
                "/?limit=500",
                "/v1/leaderboard?dataset=bench&limit=500",
                f"/evaluations/{running}/progress",
            ):
                measure(client, served.pid, path, arguments.repeats)
        served.terminate()
        served.wait(20)


if __name__ == "__main__":
    main()
