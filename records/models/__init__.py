"""All tables.

token        secrets, each with the team and the role of its bearer; sign_in: browsers of people
model        the name of a series of checkpoints ── checkpoint ── upload_part
dataset      the place of videos, and the fingerprint of their manifest
protocol     the numbers of a protocol, by hash
evaluation   checkpoint x dataset x protocol ── score, benchmark_result, part_result (until it is scored);
             needs shards and control evaluations
comparison   two evaluations in pairs, or many with a baseline ── comparison_member
map          the test videos of an evaluation in two dimensions
shard        distinct clips of one checkpoint, forwarded once, in one object
media        previews of some videos of a dataset, or of their questions, in one object
job          one task of a worker; only this table has leases and attempts
worker       worker processes that were seen lately
former_name  old names of models; alias_move: where aliases point and pointed; model_tag: tags of models
training_log curves over the steps of a run, as its team uploaded them
pause        queues and kinds of job of which nothing is claimed; team_quota: what a team may use
event        what happened ── delivery ── webhook: the address that is told; audit_entry: who changed what
tombstone    ids of what was deleted, and when
note         notes on evaluations; saved_view: named addresses of pages; share: links that read one page

    tokens.py       token, sign_in
    checkpoints.py  model, checkpoint, upload_part
    datasets.py     dataset, protocol
    evaluations.py  evaluation, shard, score, benchmark_result, part_result
    comparisons.py  comparison, comparison_member
    media.py        media
    maps.py         map
    jobs.py         job, worker
    logs.py         training_log
    names.py        former_name, alias_move, model_tag
    operating.py    pause, team_quota
    sharing.py      note, saved_view, share
    events.py       event, webhook, delivery, audit_entry
    tombstones.py   tombstone
    columns.py      columns whose values are names
"""

from __future__ import annotations

from records.models.checkpoints import Checkpoint, CheckpointState, Model, Origin, UploadPart
from records.models.comparisons import Comparison, ComparisonState, comparison_members
from records.models.datasets import DatasetRow, DatasetState, ProtocolRow
from records.models.evaluations import (
    ENDED,
    BenchmarkRow,
    Evaluation,
    EvaluationState,
    PartRow,
    ScoreRow,
    Shard,
    evaluation_controls,
    evaluation_shards,
)
from records.models.events import AuditEntry, Delivery, DeliveryState, Event, EventKind, Webhook, WebhookForm
from records.models.jobs import Job, JobKind, JobState, Worker
from records.models.logs import LogRow
from records.models.maps import MapRow, MapState
from records.models.media import Media, MediaState
from records.models.names import AliasMove, FormerName, ModelTag
from records.models.operating import Pause, TeamQuota
from records.models.sharing import Note, SavedView, Share
from records.models.tokens import Role, SignIn, Token
from records.models.tombstones import Deleted, Sweep, Tombstone

__all__ = [
    "ENDED",
    "AliasMove",
    "AuditEntry",
    "BenchmarkRow",
    "Checkpoint",
    "CheckpointState",
    "Comparison",
    "ComparisonState",
    "DatasetRow",
    "DatasetState",
    "Deleted",
    "Delivery",
    "DeliveryState",
    "Evaluation",
    "EvaluationState",
    "Event",
    "EventKind",
    "FormerName",
    "Job",
    "JobKind",
    "JobState",
    "LogRow",
    "MapRow",
    "MapState",
    "Media",
    "MediaState",
    "Model",
    "ModelTag",
    "Note",
    "Origin",
    "PartRow",
    "Pause",
    "ProtocolRow",
    "Role",
    "SavedView",
    "ScoreRow",
    "Shard",
    "Share",
    "SignIn",
    "Sweep",
    "TeamQuota",
    "Token",
    "Tombstone",
    "UploadPart",
    "Webhook",
    "WebhookForm",
    "Worker",
    "comparison_members",
    "evaluation_controls",
    "evaluation_shards",
]
