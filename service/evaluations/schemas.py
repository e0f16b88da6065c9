"""Evaluations as clients see them."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field, StrictBool

from records.models import Checkpoint, CheckpointState, Evaluation, EvaluationState, ScoreRow
from records.repositories.progress import Progress
from service.auth import Caller, is_of
from service.body import Body
from service.checkpoints.schemas import NetworkOut, network_out
from service.evaluations.waiting import Standing
from service.forms import Text
from service.reasons import CauseOut, cause_for, is_operator, text_for
from vcp_core.catalog.defaults import DEFAULT_PROTOCOL
from vcp_core.catalog.leaks import leak_warnings
from vcp_core.catalog.scores import Score

WaitingFor = Annotated[
    str | None,
    Field(description="Why no worker is busy with it: what waits, and for what. Null otherwise."),
]


class EvaluationIn(Body):
    """The checkpoint to evaluate, the dataset, and the protocol."""

    checkpoint: Text = Field(
        description="One of your team's: its id, the first characters of its id (4 or more), or "
        "`MODEL@latest` (or `MODEL` alone) for your model's newest.",
        examples=["r3d-vcp@latest"],
    )
    dataset: Text = Field(description="Its name.", examples=["playground-136"])
    protocol: Text = Field(DEFAULT_PROTOCOL, description="Its name or hash.", examples=["quick-v1"])
    for_gate: StrictBool = Field(
        False,
        description="Whether a gate waits for it. Workers take at most 4 such evaluations of a team before "
        "all others.",
    )


class CheckpointRef(BaseModel):
    """The checkpoint of an evaluation.

    Until it is ready, only its own team sees its backbone, hash, run, step, prefix, variant, input, key
    scheme and network.
    """

    id: UUID
    model: str | None = Field(description="None for random weights.")
    team: str | None
    private: bool = Field(False, description="Whether only its team and administrators see its model.")
    backbone: str | None
    sha256: str | None
    run: str | None
    step: int | None
    prefix: str | None = Field(None, description="As declared: which of several networks in the file.")
    variant: str | None = Field(None, description="As declared; null for the backbone's usual form.")
    input_spec: str | None = Field(None, description="As declared; null for the backbone's own.")
    scheme: str | None = Field(None, description="The key scheme of the file, once ready.")
    network: NetworkOut | None = Field(None, description="Once ready; null for the only one of the file.")
    seed: int | None = Field(None, description="Seed of random weights.")
    created_at: datetime = Field(description="When it was declared.")


class DatasetRef(BaseModel):
    """The dataset of an evaluation."""

    name: str
    fingerprint: str | None


class ProtocolRef(BaseModel):
    """The protocol of an evaluation."""

    name: str
    hash: str


class ProgressOut(BaseModel):
    """The progress of an evaluation and of the controls that it needs.

    Features and controls that existed when the evaluation was requested do not count. A job that was running
    then counts in full, including the part that was done before.
    """

    fraction: float = Field(
        description="Share of all work, scoring included. It never falls, and it is 1 only once the "
        "evaluation is done. An evaluation that failed or was cancelled keeps its fraction.",
        examples=[0.62],
    )
    stage: str = Field(description="What is done now, in words.", examples=["forwarding clips"])
    clips_done: int = Field(
        description="Forwarded clips of the jobs that had not ended when the evaluation was requested.",
        examples=[812],
    )
    clips_total: int = Field(description="All clips of these jobs, as far as is known yet.", examples=[1242])
    scoring_done: int = Field(0, description="Finished fits, rankings and intervals of the scoring.")
    scoring_total: int | None = Field(
        None, description="All fits, rankings and intervals, known once scoring begins."
    )
    remaining_s: float | None = Field(
        None,
        description="Estimate by the pace so far; null while the evaluation waits or retries a job, "
        "while nothing is known, and once it has ended.",
        examples=[35.0],
    )

    @classmethod
    def of(cls, found: Progress, stands: Standing) -> ProgressOut:
        """For a client."""
        values = asdict(found)
        if stands.waiting_for is not None:  # nobody knows how long the jobs before it take
            values["remaining_s"] = None
        return cls(stage=stands.stage, **values)


class EvaluationOut(BaseModel):
    """An evaluation.

    It is `waiting` until its checkpoint is read and its dataset is indexed. Then it is `planning`, `running`,
    `scoring` and `done`. It may also end as `failed`, with a `reason`, or as `cancelled`.
    """

    id: UUID
    state: EvaluationState
    reason: str | None = Field(
        None,
        description="Why it failed, or why vcpbench cancelled it. Only the file's team reads its contents.",
    )
    cause: CauseOut | None = Field(None, description="The reason, for programs.")
    log_tail: str | None = Field(None, description="What the failing job printed last; for administrators.")
    waiting_for: WaitingFor = None
    checkpoint: CheckpointRef
    dataset: DatasetRef
    protocol: ProtocolRef
    engine: str = Field(
        description="Version of frames, features and scoring, and the benchmarks that run. Results of two "
        "engines share no board.",
        examples=["planes-triangle-1/3/1/cloze,recognition,retrieval"],
    )
    older: bool = Field(description="Whether another version of vcpbench made it.")
    scheme_version: int = Field(description="The version of the key scheme's facts that it was made under.")
    outdated: bool = Field(
        description="Whether the facts of the checkpoint's key scheme have changed since. Ask for it again."
    )
    is_control: bool
    priority: int = Field(
        description="Workers take a higher priority first: 1 if a gate waits for it, else 0, or -1 for a "
        "board that is evaluated again."
    )
    progress: ProgressOut | None = None
    scores: list[Score] = []
    diagnosis: list[str] = Field([], description="What the scores say, in words, once it is done.")
    unavailable: dict[str, str] = Field(
        {}, description="Benchmarks that cannot run on this dataset, and why."
    )
    warnings: list[str] = []
    controls: list[UUID] = Field([], description="Evaluations of random weights that it is compared with.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class EvaluationPage(BaseModel):
    """Some of the evaluations, newest first."""

    items: list[EvaluationOut]
    total: int


class ReevaluationIn(Body):
    """Which older board to evaluate again."""

    dataset: Text = Field(
        description="Its name, or the fingerprint of its videos.", examples=["playground-136"]
    )
    protocol: Text = Field(DEFAULT_PROTOCOL, description="Its name or hash.")
    engine: Text | None = Field(
        None,
        description="The engine that made the board. If left out: every engine but this version's, and "
        "this one's results under an older version of a key scheme.",
    )


class ReevaluationOut(BaseModel):
    """The evaluations of a board that were asked for again, and those that were not."""

    dataset: str
    protocol: str
    asked: list[UUID] = Field(description="New evaluations. They wait until no other job does.")
    there: list[UUID] = Field(description="Evaluations by this version that are done or under way already.")
    left_out: dict[str, str] = Field(description="Old evaluations that cannot be repeated, and why.")


def shown(
    evaluation: Evaluation,
    *,
    scores: list[ScoreRow] | None = None,
    progress: ProgressOut | None = None,
    waiting_for: str | None = None,
    diagnosis: list[str] | None = None,
    warnings: list[str] | None = None,
    controls: list[UUID] | None = None,
    reader: Caller | None = None,
) -> EvaluationOut:
    """The evaluation for a client. Only administrators see what its jobs printed."""
    unavailable = evaluation.unavailable or {}
    return EvaluationOut(
        id=evaluation.id,
        state=evaluation.state,
        reason=reason_for(evaluation, reader),
        cause=_cause(evaluation, reader),
        log_tail=evaluation.log_tail if is_operator(reader) else None,
        waiting_for=waiting_for,
        checkpoint=_checkpoint(evaluation.checkpoint, reader),
        dataset=DatasetRef(name=evaluation.dataset.name, fingerprint=evaluation.dataset.fingerprint),
        protocol=ProtocolRef(name=evaluation.protocol.name, hash=evaluation.protocol_hash),
        engine=evaluation.engine,
        older=evaluation.older,
        scheme_version=evaluation.scheme_version,
        outdated=evaluation.outdated,
        is_control=evaluation.is_control,
        priority=evaluation.priority,
        progress=progress,
        scores=[Score.model_validate(row) for row in scores or []],
        diagnosis=diagnosis or [],
        unavailable={name: str(reason) for name, reason in unavailable.items()},
        warnings=warnings or [],
        controls=controls or [],
        created_at=evaluation.created_at,
        started_at=evaluation.started_at,
        finished_at=evaluation.finished_at,
    )


def _checkpoint(checkpoint: Checkpoint, reader: Caller | None) -> CheckpointRef:
    model = checkpoint.model
    known = model is None or checkpoint.state is CheckpointState.READY or is_of(model.team, reader)
    return CheckpointRef(
        id=checkpoint.id,
        model=model.name if model else None,
        team=model.team if model else None,
        private=model is not None and model.private,
        backbone=checkpoint.backbone if known else None,
        sha256=checkpoint.sha256 if known else None,
        run=checkpoint.run if known else None,
        step=checkpoint.step if known else None,
        prefix=checkpoint.prefix if known else None,
        variant=checkpoint.variant if known else None,
        input_spec=checkpoint.input_spec if known else None,
        scheme=checkpoint.scheme if known else None,
        network=network_out(checkpoint) if known else None,
        seed=checkpoint.seed,
        created_at=checkpoint.created_at,
    )


def reason_for(evaluation: Evaluation, reader: Caller | None) -> str | None:
    """Why it ended, for one reader.

    Only the file's team reads what a rejected file held. Only operators read where the videos lie.
    """
    if _is_anothers_file(evaluation, reader):
        return "the checkpoint was rejected"
    return text_for(evaluation.reason, reader, evaluation.dataset)


def _cause(evaluation: Evaluation, reader: Caller | None) -> CauseOut | None:
    if _is_anothers_file(evaluation, reader):
        return None
    return cause_for(evaluation.reason, reader, evaluation.dataset)


def _is_anothers_file(evaluation: Evaluation, reader: Caller | None) -> bool:
    """Whether it ended because of what is in another team's file."""
    checkpoint = evaluation.checkpoint
    refused = checkpoint.model is not None and checkpoint.state is CheckpointState.REJECTED
    return refused and not is_of(evaluation.team, reader)


def with_declared(evaluation: Evaluation) -> dict[str, Any] | None:
    """The results, with the training data that is declared by now. A declaration may come after them."""
    results, declared = evaluation.results, evaluation.checkpoint.pretrained_on
    if results is None or declared is None:
        return results
    videos = results["provenance"]["dataset"]
    leaks = leak_warnings(
        declared,
        dataset=videos["name"],
        split=videos["split"],
        fingerprint=videos["fingerprint"],
        own_name=evaluation.dataset.own_name,
        origin=(evaluation.checkpoint.report or {}).get("origin"),
    )
    new = [leak for leak in leaks if leak not in results["warnings"]]
    results = {**results, "warnings": [*results["warnings"], *new]}
    if declared == results["provenance"]["pretrained_on"]:
        return results
    command = results["provenance"]["reproduce"]
    if command is not None and command.startswith("vcpbench local ") and "--pretrained-on" not in command:
        command = f"{command} {shlex.join(['--pretrained-on', declared])}"
    provenance = {**results["provenance"], "pretrained_on": declared, "reproduce": command}
    return {**results, "provenance": provenance}


def all_warnings(evaluation: Evaluation) -> list[str]:
    """List the warnings of the results, then those of each benchmark, with its name before them."""
    results = with_declared(evaluation)
    if results is None:
        return []
    own = [str(warning) for warning in results["warnings"]]
    return own + [
        f"{result['benchmark']}: {warning}"
        for result in results["benchmarks"]
        for warning in result["warnings"]
    ]
