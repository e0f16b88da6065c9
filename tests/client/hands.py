"""A worker that needs no video: it does the jobs of the real queue, with answers that the file itself gives.

A checkpoint's file is the header of a safetensors file, which is JSON: which of the test videos it answers
rightly, or why it is to be rejected.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from records import flow
from records.db import NOW, Database
from records.models import (
    BenchmarkRow,
    Checkpoint,
    CheckpointState,
    Comparison,
    Evaluation,
    JobKind,
    ScoreRow,
    Worker,
)
from records.repositories import jobs
from records.storage import Storage, checkpoint_key
from tests.patience import DEADLINE_S
from tests.service.finished import compare_now
from vcp_core.catalog.errors import NotACheckpoint, VcpbenchError
from vcp_core.catalog.protocols import Protocol
from vcp_core.results.types import Predictions, Provenance, Results
from vcp_core.scoring.scores import score_benchmark
from worker.tasks.ingest import _name

CLASSES = ("run", "sit", "wave")
NUM_VIDEOS = 100


def write_model(path: Path, right: range | list[int], **more: Any) -> Path:
    """A file of a model that answers these videos rightly, of `NUM_VIDEOS`; `more` makes other bytes."""
    header = json.dumps({"right": list(right), **more}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


def answers(right: list[int]) -> Predictions:
    """Recognition, without luck: the label is the last that the others think of."""
    labels = [CLASSES[place % 3] for place in range(NUM_VIDEOS)]
    wanted = set(right)

    def order(place: int, label: str) -> list[str]:
        others = [name for name in CLASSES if name != label]
        return [label, *others] if place in wanted else [*others, label]

    ranked = [order(place, label) for place, label in enumerate(labels)]
    videos = [f"v{place:03}" for place in range(NUM_VIDEOS)]
    columns = {
        "video": videos,
        "group": [None] * NUM_VIDEOS,
        "label": labels,
        "linear": ranked,
        "knn": ranked,
    }
    return Predictions(benchmark="recognition", answers=CLASSES, columns=columns)


class Hands:
    """Works in a thread until it is told to stop.

    Attributes:
        work: While clear, nothing is done.
    """

    def __init__(self, database: Database, storage: Storage) -> None:
        self._database, self._storage = database, storage
        self.work = threading.Event()
        self.work.set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        with database.session() as session:
            row = Worker(name="hands", queues=["cpu", "gpu"], device="hands", seen_at=NOW)
            session.add(row)
        self._thread.start()

    def stop(self) -> None:
        """Put them down."""
        self._stop.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            queues = ["cpu"] if self.work.is_set() else []
            with self._database.session() as session:
                claim = jobs.claim(session, queues, worker_id=uuid4(), lease_s=60)
                if claim is not None:
                    jobs.finish(session, claim)
                    flow.lock(session)
                    self._do(session, claim)

    def _do(self, session: Session, claim: jobs.Claim) -> None:
        if claim.kind is JobKind.INGEST:
            checkpoint = session.get_one(Checkpoint, claim.subject_id)
            content = self._content(checkpoint)
            if reason := content.get("reject"):
                checkpoint.state, checkpoint.reason = CheckpointState.REJECTED, NotACheckpoint(reason)
            else:
                checkpoint.state, checkpoint.backbone = CheckpointState.READY, "r3d_tiny"
                checkpoint.report = content.get("report")
                if checkpoint.report and "training" in checkpoint.report:
                    _name(checkpoint)  # as a worker does
            flow.checkpoint_ended(session, checkpoint)
            return
        if claim.kind is JobKind.COMPARE:
            compare_now(session, session.get_one(Comparison, claim.subject_id))
            return
        evaluation = session.get_one(Evaluation, claim.subject_id)
        if claim.kind is JobKind.PLAN:
            evaluation.unavailable = {"cloze": "its videos have 16 frames, cloze needs 96 frames"}
            flow.planned(session, evaluation, [], [])
        elif claim.kind is JobKind.SCORE:
            self._score(session, evaluation)

    def _score(self, session: Session, evaluation: Evaluation) -> None:
        content = self._content(evaluation.checkpoint)
        if reason := content.get("fail"):
            flow.fail(session, evaluation, VcpbenchError(reason), "Traceback: ...")
            return
        predictions = answers(content["right"])
        protocol = Protocol.model_validate(evaluation.protocol.content)
        found = score_benchmark("recognition", predictions, {}, unavailable=None, protocol=protocol)
        for one in found.scores:
            row = ScoreRow(evaluation_id=evaluation.id, benchmark="recognition")
            for name, value in one.model_dump().items():
                setattr(row, name, value)
            session.add(row)
        kept = predictions.model_dump(mode="json")
        session.add(BenchmarkRow(evaluation_id=evaluation.id, benchmark="recognition", predictions=kept))
        results = Results(
            benchmarks=(found,),
            warnings=("no video was looked at",),
            provenance=_origin(evaluation, protocol),
        )
        without = {"benchmarks": {"__all__": {"predictions"}}}
        evaluation.results = results.model_dump(mode="json", exclude=without)
        flow.scored(session, evaluation)

    def _content(self, checkpoint: Checkpoint) -> dict[str, Any]:
        assert checkpoint.sha256 is not None
        return dict(json.loads(self._storage.get_bytes(checkpoint_key(checkpoint.sha256))[8:]))


def _origin(evaluation: Evaluation, protocol: Protocol) -> Provenance:
    return Provenance(
        checkpoint={"sha256": evaluation.checkpoint.sha256},
        backbone="r3d_tiny",
        dataset={
            "name": evaluation.dataset.name,
            "split": "1",
            "fingerprint": evaluation.dataset.fingerprint,
        },
        protocol_name=protocol.name,
        protocol_hash=protocol.hash,
        protocol=protocol,
        versions={},
        device="hands",
        num_clips=0,
        reproduce="",
    )
