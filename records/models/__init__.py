"""All tables.

token        who may do what
model        a name that checkpoints come under ── checkpoint ── upload_part
dataset      where videos lie, and their manifest's fingerprint
protocol     by hash
evaluation   checkpoint x dataset x protocol ── score, benchmark_result; needs shards and control evaluations
comparison   two evaluations, in pairs
shard        distinct clips of one checkpoint, forwarded once, in one object
job          everything that a worker does, whatever it is for; the only place with leases and attempts
worker       who is there

    tokens.py       token
    checkpoints.py  model, checkpoint, upload_part
    datasets.py     dataset, protocol
    evaluations.py  evaluation, shard, score, benchmark_result
    comparisons.py  comparison
    jobs.py         job, worker
    columns.py      columns whose values are names
"""

from __future__ import annotations

from records.models.checkpoints import Checkpoint, CheckpointState, Model, Origin, UploadPart
from records.models.comparisons import Comparison, ComparisonState
from records.models.datasets import DatasetRow, DatasetState, ProtocolRow
from records.models.evaluations import (
    ENDED,
    BenchmarkRow,
    Evaluation,
    EvaluationState,
    ScoreRow,
    Shard,
    evaluation_controls,
    evaluation_shards,
)
from records.models.jobs import Job, JobKind, JobState, Worker
from records.models.tokens import Token

__all__ = [
    "ENDED",
    "BenchmarkRow",
    "Checkpoint",
    "CheckpointState",
    "Comparison",
    "ComparisonState",
    "DatasetRow",
    "DatasetState",
    "Evaluation",
    "EvaluationState",
    "Job",
    "JobKind",
    "JobState",
    "Model",
    "Origin",
    "ProtocolRow",
    "ScoreRow",
    "Shard",
    "Token",
    "UploadPart",
    "Worker",
    "evaluation_controls",
    "evaluation_shards",
]
