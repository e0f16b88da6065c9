"""Attacks by requests. Each takes a `Stage`, attacks, and says what was answered."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from sqlalchemy import text
from vcpbench_client import Client
from vcpbench_client import Evaluation as Asked

from bench.installation import BenchFailed, Installation
from bench.load import Filled
from records.db import NOW
from records.models import Evaluation, EvaluationState

PATIENCE_S = 600.0
ENGINE = "of an attack"
# No worker takes the jobs: there is no such queue.
WIDE = (
    """INSERT INTO shard (id, space, checkpoint_id, dataset_id, number, clips, num_clips, key)
       SELECT gen_random_uuid(), :engine, :checkpoint, :dataset, n, '[]', 1, n
       FROM generate_series(1, :number) n""",
    "INSERT INTO evaluation_shard SELECT :evaluation, id FROM shard WHERE space = :engine",
    """INSERT INTO job (id, kind, queue, team, shard_id, state, crashes, outages, losses, done)
       SELECT gen_random_uuid(), 'extract', 'nobody', 'attacker', id, 'queued', 0, 0, 0, 0
       FROM shard WHERE space = :engine""",
)
MANY_CONTROLS = (
    """INSERT INTO evaluation
           (id, checkpoint_id, dataset_id, protocol_hash, engine, team, is_control, state, finished_at)
       SELECT gen_random_uuid(), :checkpoint, :dataset, :protocol, :engine || n, 'attacker', true, 'done',
              now()
       FROM generate_series(1, :number) n""",
    """INSERT INTO evaluation_control
       SELECT :evaluation, id FROM evaluation WHERE engine LIKE :engine || '%' AND is_control""",
)
DELETED = (
    "DELETE FROM job USING shard WHERE job.shard_id = shard.id AND space = :engine",
    "DELETE FROM evaluation_shard USING shard WHERE shard_id = shard.id AND space = :engine",
    "DELETE FROM shard WHERE space = :engine",
    """DELETE FROM evaluation_control USING evaluation
       WHERE control_id = id AND engine LIKE :engine || '%'""",
    "DELETE FROM evaluation WHERE engine LIKE :engine || '%'",
)
HALF_A_HEAD = b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX-Slow: "


@dataclass
class Stage:
    """What attacks need.

    Attributes:
        installation: The attacked installation.
        headers: Of the attacker's token.
        token: The attacker's token.
        filled: Finished evaluations with predictions.
        checkpoint: A checkpoint of the attacker's, which is ready.
        dataset: A registered dataset of few videos.
    """

    installation: Installation
    headers: Mapping[str, str]
    token: str
    filled: Filled
    checkpoint: str
    dataset: str

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request of the attacker's."""
        return httpx.request(
            method, self.installation.url + path, headers=self.headers, timeout=PATIENCE_S, **more
        )

    def client(self) -> Client:
        """The attacker's client."""
        return Client(self.installation.url, self.token, patience_s=PATIENCE_S)

    def follow(self, evaluation: Asked) -> Asked:
        """Wait until an evaluation has ended."""
        deadline = time.monotonic() + PATIENCE_S
        with self.client() as client:
            while not (found := client.evaluation(evaluation.id)).ended:
                if time.monotonic() > deadline:
                    raise BenchFailed(f"{found.id} is {found.state} after {PATIENCE_S:.0f} s")
                time.sleep(0.5)
        return found


def ten_thousand_seeds(stage: Stage) -> str:
    """A protocol of 10,000 control seeds, and one of 10^9 clips a video."""
    bodies = [
        {"name": "seeds", "base": "quick-v1", "control": {"seeds": list(range(10_000))}},
        {"name": "clips", "base": "quick-v1", "grid": {"num_clips": 10**9}},
    ]
    answers = [stage.send("POST", "/v1/protocols", json=body) for body in bodies]
    return "; ".join(f"{answer.status_code}: {answer.json()['detail'][:70]}" for answer in answers)


def largest_plan(stage: Stage) -> str:
    """The largest protocol that is allowed, on all videos; cancelled after 20 s."""
    body = {"name": "largest", "base": "quick-v1", "grid": {"num_clips": 1000}}
    assert stage.send("POST", "/v1/protocols", json=body).status_code in (200, 201)
    with stage.client() as client:
        asked = client.evaluate(stage.checkpoint, stage.dataset, "largest")
        time.sleep(20)
        begun = time.monotonic()
        answer = stage.send("POST", f"/v1/evaluations/{asked.id}/cancel")
    return f"cancelled by {answer.status_code} after {time.monotonic() - begun:.1f} s"


def many_slashes(stage: Stage) -> str:
    """45 requests at once for the page of a model with 150 slashes in its name."""
    return _at_once(stage, 45, lambda number: "/models/" + "/".join("a" * 150) + f"/{number}")


def many_comparisons(stage: Stage) -> str:
    """60 different comparisons at once."""
    pairs = list(combinations(stage.filled.evaluations[:12], 2))[:60]
    return _at_once(stage, len(pairs), lambda n: f"/v1/comparisons?first={pairs[n][0]}&second={pairs[n][1]}")


def five_thousand_requests(stage: Stage) -> str:
    """5,000 requests for the board by one token, as fast as the service answers."""
    path = "/v1/leaderboard?dataset=playground-136&protocol=quick-v1"
    return _at_once(stage, 5000, lambda number: path, threads=32)


def half_sent_requests(stage: Stage) -> str:
    """1,100 connections that send half a head, and nothing more."""
    address = urlsplit(stage.installation.url)
    with ExitStack() as stack:
        opened = 0
        for _ in range(1100):
            try:
                line = socket.create_connection((address.hostname or "", address.port or 0), 5)
            except OSError:
                break
            stack.enter_context(line)
            line.sendall(HALF_A_HEAD)
            opened += 1
        time.sleep(5)
    return f"{opened} opened, served all the same"


def wide_evaluation(stage: Stage) -> str:
    """An evaluation with 50,000 jobs, cancelled; its rows are written by the bench."""
    with written(stage, WIDE, 50_000) as evaluation:
        begun = time.monotonic()
        answer = stage.send("POST", f"/v1/evaluations/{evaluation}/cancel")
        return f"{answer.status_code} after {time.monotonic() - begun:.2f} s"


def many_controls(stage: Stage) -> str:
    """An evaluation with 10,000 controls, as earlier versions allowed; its rows are written by the bench."""
    paths = ("/v1/evaluations", "/evaluations")
    with written(stage, MANY_CONTROLS, 10_000) as evaluation:
        begun = time.monotonic()
        statuses = [stage.send("GET", f"{path}/{evaluation}").status_code for path in paths]
        return f"{statuses} after {time.monotonic() - begun:.2f} s"


@contextmanager
def written(stage: Stage, statements: Sequence[str], number: int) -> Iterator[UUID]:
    """Write an evaluation of the attacker's, and what the statements add to it. Delete all at the end."""
    with stage.installation.database.session() as session:
        like = session.get_one(Evaluation, stage.filled.evaluations[0])
        row = Evaluation(
            checkpoint_id=UUID(stage.checkpoint),
            dataset_id=like.dataset_id,
            protocol_hash=like.protocol_hash,
            team="attacker",
            is_control=False,
            state=EvaluationState.RUNNING,
            engine=ENGINE,
            started_at=NOW,
        )
        session.add(row)
        session.flush()
        given = {
            "evaluation": row.id,
            "checkpoint": row.checkpoint_id,
            "dataset": row.dataset_id,
            "protocol": row.protocol_hash,
            "number": number,
            "engine": ENGINE,
        }
        for statement in statements:
            session.execute(text(statement), given)
        found = row.id
    try:
        yield found
    finally:
        with stage.installation.database.session() as session:
            for statement in DELETED:
                session.execute(text(statement), {"engine": ENGINE})


def _at_once(stage: Stage, number: int, path: Callable[[int], str], threads: int | None = None) -> str:
    limits = httpx.Limits(max_connections=threads or number)
    with (
        httpx.Client(
            base_url=stage.installation.url, headers=stage.headers, timeout=PATIENCE_S, limits=limits
        ) as client,
        ThreadPoolExecutor(threads or number) as pool,
    ):
        statuses = Counter(pool.map(lambda one: client.get(path(one)).status_code, range(number)))
    return ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
