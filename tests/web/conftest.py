"""A board to look at: five evaluations, random weights, and what did not finish."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy.orm import Session

from records.models import DatasetRow, Evaluation, EvaluationState, Job, JobKind, JobState, Shard
from records.repositories import datasets
from tests.served import Served
from tests.service.finished import compare_waiting, ready_dataset
from tests.web import played
from tests.web.read import Page
from vcp_core.catalog.errors import VcpbenchError

LOG = "decoding videos/a.avi\n<b>no frame</b>"
REASON = "UndecodableVideo: videos/a.avi: no frame comes out of the decoder. Mend the file."


@dataclass(frozen=True)
class Site:
    """The service with its pages, and the ids of what is on it."""

    api: Served
    best: UUID
    second: UUID
    control: UUID
    running: UUID
    failed: UUID
    cancelled: UUID

    def get(self, path: str, **headers: str) -> httpx.Response:
        """As a browser asks, with a token."""
        return self.api.client.get(path, headers={"Accept": "text/html", **headers})

    def compare(self, first: UUID, second: UUID) -> None:
        """Have a comparison made."""
        asked = self.api.client.get("/v1/comparisons", params={"first": str(first), "second": str(second)})
        assert asked.status_code == 202, asked.text
        compare_waiting(self.api.database)

    def page(self, path: str, status: int = 200) -> Page:
        """A page, once it is made sure that it is a whole and safe one."""
        answer = self.get(path)
        assert answer.status_code == status, answer.text
        return Page.of(answer)


@pytest.fixture
def site(api: Served) -> Site:
    with api.database.session() as session:
        dataset = ready_dataset(session, "playground", "cd" * 32)
        best = played.finished(session, dataset, "r3d-vcp", seed=1, skill=0.8, step=9000, run="night-3")
        second = played.finished(session, dataset, "r3d-vcp", seed=2, skill=0.75, step=6000, run="night-3")
        played.finished(session, dataset, "c3d/rotation", seed=3, skill=0.5, tilt=-0.2, team="vision")
        played.finished(session, dataset, "collapsed", seed=4, skill=0.0)
        played.finished(session, dataset, "order", seed=5, skill=0.4, tilt=0.3, team="vision")
        control = played.random_weights(session, dataset)
        running = _running(session, dataset)
        failed = played.ended(
            session,
            dataset,
            EvaluationState.FAILED,
            reason=VcpbenchError(REASON),
            log_tail=LOG,
            finished_at=datetime.now(UTC),
        )
        cancelled = played.ended(session, dataset, EvaluationState.CANCELLED)
        found = Site(api, best.id, second.id, control.id, running.id, failed.id, cancelled.id)
    found.compare(second.id, best.id)
    return found


@pytest.fixture
def comparer(api: Served) -> Iterator[None]:
    """Comparisons are made as soon as somebody asks for them."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.02):
            compare_waiting(api.database)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join()


def supersede(site: Site, *steps: int) -> str:
    """Give the videos' name to others, where r3d-vcp goes on; the address of the old board."""
    with site.api.database.session() as session:
        old = datasets.named(session, "playground")
        assert old is not None
        old.retired_at = old.created_at
        session.flush()
        new = ready_dataset(session, "playground", "ef" * 32)
        for seed, step in enumerate(steps, 7):
            played.finished(session, new, "r3d-vcp", seed=seed, skill=0.6, step=step, run="night-3")
    return f"/?dataset={'cd' * 32}&protocol=quick-v1"


def _running(session: Session, dataset: DatasetRow) -> Evaluation:
    """Two shards of four are done, one is half done."""
    begun: Any = datetime.now(UTC) - timedelta(seconds=60)
    evaluation = played.ended(session, dataset, EvaluationState.RUNNING, started_at=begun, num_clips=400)
    states = (JobState.DONE, JobState.DONE, JobState.RUNNING, JobState.QUEUED)
    for number, state in enumerate(states):
        shard = Shard(
            space="x",
            checkpoint_id=evaluation.checkpoint_id,
            dataset_id=dataset.id,
            number=number,
            clips=[],
            num_clips=100,
            key=f"shard-{number}",
        )
        evaluation.shards.append(shard)
        session.flush()
        session.add(
            Job(
                kind=JobKind.EXTRACT,
                queue="gpu",
                team="default",
                shard_id=shard.id,
                state=state,
                done=50 if state is JobState.RUNNING else 0,
                finished_at=datetime.now(UTC) if state is JobState.DONE else None,
                losses=int(number == 1),
                error=VcpbenchError("the worker fell silent") if number == 1 else None,
            )
        )
    session.flush()
    return evaluation
