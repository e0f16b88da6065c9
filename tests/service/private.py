"""A team with private models on which everything is, beside public things of two teams.

Teams are animals, so are the words of the private things. Each of these words, ids and hashes stands nowhere
else, so a response that holds one tells of a private thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import select
from sqlalchemy.orm import Session

from records.models import (
    Checkpoint,
    CheckpointState,
    Comparison,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    LogRow,
    Model,
    Note,
    Origin,
    ScoreRow,
    Share,
    Worker,
)
from records.repositories import datasets
from records.storage import checkpoint_key
from tests.mapped import draw_waiting
from tests.served import Served, sha256
from tests.service.finished import compare_waiting, ready_checkpoint, score
from tests.service.kit import declare, noise
from tests.service.measured import counted_dataset
from tests.web import played
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.protocols import PROTOCOLS

OWNER, OTHER, HIDDEN = "aardvark", "badger", "cassowary"  # the last team has private models only
DATASET, PROTOCOL = "gestures", "quick-v1"
INPUT = "resize=72x96,crop=64"  # what only a private network sees
FAKES = {  # of words whose form a route checks
    INPUT: "resize=74x98,crop=66",
    "zorilla": "allirox",
    "dugong.": "gongud.",
}


@dataclass(frozen=True, kw_only=True)
class World:
    """The installation of a test.

    Attributes:
        api: The service.
        owner: A client of the team with the private model.
        hidden: A client of a team that has private models only.
        other: A client of another team.
        private: By kind, the texts that name the private things.
        public: By kind, a text that names a thing that everybody sees.
        secrets: Words, ids and hashes of the private things.
    """

    api: Served
    owner: httpx.Client
    hidden: httpx.Client
    other: httpx.Client
    private: Mapping[str, Sequence[str]]
    public: Mapping[str, str]
    secrets: frozenset[str]

    def fake(self, text: str) -> str:
        """The same text about things that do not exist. It is always the same for the same text."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, FAKES.get(secret) or _reversed(secret))
        return text

    def told(self, answer: httpx.Response) -> set[str]:
        """The secrets that a response holds, in its body or in its headers."""
        text = answer.text + "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
        return {secret for secret in self.secrets if secret in text}


def _reversed(secret: str) -> str:
    """Another word, id or hash of the same form."""
    return re.sub(r"^(\W)(.*)$", r"\2\1", secret[::-1])


@contextmanager
def private_world(api: Served) -> Iterator[World]:
    """Make the installation."""
    counted_dataset(api)
    with api.client_of(OWNER) as owner, api.client_of(OTHER) as other, api.client_of(HIDDEN) as hidden:
        declare(hidden, noise(10), "emu-net", private=True)
        declare(owner, noise(11), "wombat-net", private=True)
        named = owner.post("/v1/models/rename", json={"model": "wombat-net", "name": "quokka-net"})
        with api.database.session() as session:
            seen, theirs, ours = _public(session)
            first, second, ids = _private(session)
            _hidden(session)
            _store_files(session, api)
        given = _given(owner, other, first, seen)
        for client, alias, model in (
            (owner, "numbat", "quokka-net"), (owner, "gnu", "gnu-net"), (hidden, "emu", "emu-net"),
            (hidden, "gnu", "emu-net"),
        ):  # fmt: skip
            _sent(client.put(f"/v1/aliases/{alias}", json={"checkpoint": f"{model}@latest"}))
        _sent(owner.post("/v1/models/tags", json={"model": "quokka-net", "add": ["pangolin"]}))
        assert named.json()["former_names"] == ["wombat-net"]
        for one, two in ((first, second), (first, seen), (seen, theirs)):
            owner.get("/v1/comparisons", params={"first": str(one), "second": str(two)})
        many, ours_many = (
            _sent(client.post("/v1/comparisons", json={"evaluations": [str(one) for one in members]}))
            for client, members in ((owner, (first, second, seen)), (other, (seen, theirs)))
        )
        compare_waiting(api.database)
        for one in (first, seen):
            api.client.get(f"/v1/evaluations/{one}/map")
        draw_waiting(api.database)
        ids |= {"comparison": many["id"], **given["private"]}
        with api.database.session() as session:
            secrets = _secrets(session, [*ids.values()])
        checkpoint = str(ids["checkpoint"])
        yield World(
            api=api,
            owner=owner,
            hidden=hidden,
            other=other,
            private={
                "evaluation": (
                    str(first), str(first)[:8], str(ids["failed"]), str(ids["control"]),
                    f"{OWNER}/quokka-net@latest", f"{OWNER}/wombat-net@latest", f"{OWNER}/@numbat",
                ),
                "checkpoint": (
                    checkpoint, checkpoint[:8], f"{OWNER}/quokka-net@latest", f"{OWNER}/@numbat",
                    f"{HIDDEN}/@emu",
                ),
                "model": ("quokka-net", f"{OWNER}/quokka-net", f"{OWNER}/wombat-net", f"{HIDDEN}/emu-net"),
                "team": (HIDDEN,),
                "alias": ("numbat",),
                "tag": ("pangolin",),
                "run": ("axolotl",),
                "metric": ("zorilla",),
                "sort": ("zorilla",),
                "engine": ("okapi",),
                "geometry": (INPUT, f"frames=16,stride=1,{INPUT}"),
                "any": (checkpoint, "quokka-net"),
                **{name: (str(ids[name]),) for name in ("comparison", "note", "log", "share", "view")},
            },
            public={
                "evaluation": str(seen),
                "second": str(theirs),
                "checkpoint": str(ours),
                "model": f"{OTHER}/badger-net",
                "alias": "gnu",
                "comparison": ours_many["id"],
                **given["public"],
            },
            secrets=frozenset(secrets),
        )  # fmt: skip


def _public(session: Session) -> tuple[UUID, UUID, UUID]:
    """Two public results of two teams, with random weights beside; and a checkpoint."""
    dataset = datasets.named(session, DATASET)
    assert dataset is not None
    theirs = played.finished(session, dataset, "gnu-net", seed=1, skill=0.4, team=OWNER)
    ours = played.finished(session, dataset, "badger-net", seed=2, skill=0.5, team=OTHER, step=10)
    ours.controls = [played.random_weights(session, dataset)]
    session.flush()
    return ours.id, theirs.id, ours.checkpoint_id


def _private(session: Session) -> tuple[UUID, UUID, dict[str, Any]]:
    """Evaluations of a private model in all states, with a control that nobody else needs."""
    dataset = datasets.named(session, DATASET)
    assert dataset is not None
    made = [
        played.finished(
            session, dataset, "quokka-net", seed=seed, skill=0.9, team=OWNER, step=seed, run="axolotl",
            pretrained_on="lemur", prefix="dugong.",
        )
        for seed in (3, 4)
    ]  # fmt: skip
    made.append(
        played.finished(session, dataset, "quokka-net", seed=5, skill=0.9, team=OWNER, input_spec=INPUT)
    )
    older = played.finished(session, dataset, "quokka-net", seed=6, skill=0.9, team=OWNER, step=6)
    older.engine = "okapi"
    session.add(score(made[0].id, "zorilla", 50))
    control = played.random_weights(session, dataset, seed=7)
    for one in made:
        one.controls = [control]
    protocol = datasets.keep_protocol(session, PROTOCOLS[PROTOCOL])
    assert protocol is not None
    common = {"dataset_id": dataset.id, "protocol_hash": protocol.hash, "team": OWNER, "is_control": False}
    waiting = ready_checkpoint(session, "quokka-net", team=OWNER, state=CheckpointState.INGESTING, step=8)
    rejected = ready_checkpoint(session, "quokka-net", team=OWNER, state=CheckpointState.REJECTED, step=9)
    rejected.reason = VcpbenchError("an ibex was in it")
    running = ready_checkpoint(session, "quokka-net", team=OWNER, step=10)
    rows = [
        Evaluation(checkpoint_id=waiting.id, state=EvaluationState.WAITING, **common),
        Evaluation(checkpoint_id=running.id, state=EvaluationState.RUNNING, started_at=_now(), **common),
        Evaluation(
            checkpoint_id=rejected.id, state=EvaluationState.FAILED, finished_at=_now(),
            reason=VcpbenchError("an ibex was in it"), **common,
        ),
    ]  # fmt: skip
    session.add_all(rows)
    session.flush()
    worker = Worker(name="one", queues=["cpu", "gpu"], device="cpu", seen_at=_now() + timedelta(hours=1))
    session.add(worker)
    session.flush()
    session.add(
        Job(
            kind=JobKind.PLAN, queue="cpu", team=OWNER, evaluation_id=rows[1].id, state=JobState.RUNNING,
            worker_id=worker.id, started_at=_now(),
        )
    )  # fmt: skip
    first, second = made[0].id, made[1].id
    found = {"checkpoint": made[0].checkpoint_id, "failed": rows[2].id, "control": control.id}
    return first, second, found


def _hidden(session: Session) -> None:
    """A result of the team that nobody knows of."""
    dataset = datasets.named(session, DATASET)
    assert dataset is not None
    played.finished(session, dataset, "emu-net", seed=8, skill=0.95, team=HIDDEN)


def _store_files(session: Session, api: Served) -> None:
    """Give every ready checkpoint a file in the store."""
    ready = (Checkpoint.origin == Origin.UPLOAD, Checkpoint.state == CheckpointState.READY)
    for one in session.scalars(select(Checkpoint).where(*ready)):
        content = one.id.bytes
        one.sha256, one.size_bytes = sha256(content), len(content)
        api.app.state.storage.put_bytes(checkpoint_key(one.sha256), content)


def _now() -> datetime:
    return datetime.now(UTC)


def _given(
    owner: httpx.Client, other: httpx.Client, private: UUID, public: UUID
) -> dict[str, dict[str, str]]:
    """A note, a log, a link and a view of each team; by kind, their ids."""
    found: dict[str, dict[str, str]] = {}
    for whose, client, evaluation, model, word in (
        ("private", owner, private, "quokka-net", "capybara"),
        ("public", other, public, "badger-net", "plain"),
    ):
        note = client.post("/v1/notes", params={"evaluation": str(evaluation)}, json={"text": word})
        curve = f"step,{word}_loss\n1,0.5\n2,0.4\n"
        log = client.put("/v1/logs", params={"model": model}, content=curve)
        share = client.post("/v1/shares", json={"evaluation": str(evaluation)})
        view = client.post("/v1/views", json={"name": f"{word} view", "address": "/models"})
        sent = {"note": note, "log": log, "share": share, "view": view}
        found[whose] = {kind: str(_sent(answer)["id"]) for kind, answer in sent.items()}
    return found


def _sent(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, answer.text
    return dict(answer.json())


def _secrets(session: Session, ids: Sequence[object]) -> set[str]:
    """All that only the owners may be told."""
    words = {
        "quokka-net", "wombat-net", "emu-net", "numbat", "pangolin", "axolotl", "lemur", "dugong.", "zorilla",
        "okapi", "capybara", "ibex", HIDDEN, INPUT,
    }  # fmt: skip
    private = select(Checkpoint.id).join(Model).where(Model.private)
    control = select(Checkpoint.id).where(Checkpoint.origin == Origin.CONTROL, Checkpoint.seed == 7)
    own = select(Evaluation.id).where(Evaluation.checkpoint_id.in_(private.union(control)))
    hashes = session.scalars(select(Checkpoint.sha256).where(Checkpoint.id.in_(private)))
    rows = [private, control, own]
    many = select(Comparison.id).where(Comparison.first_id.in_(own), Comparison.members_key.is_not(None))
    rows += [many, *(select(kind.id).where(kind.evaluation_id.in_(own)) for kind in (Note, Share))]
    rows += [select(LogRow.id).join(Model).where(Model.private)]
    found = {str(one) for query in rows for one in session.scalars(query)} | {str(one) for one in ids}
    assert len(found) > 15
    assert session.scalar(select(ScoreRow.value).where(ScoreRow.metric == "zorilla"))
    # Pages show the first characters of ids and hashes.
    return words | {one[:8] for one in found} | {str(one)[:12] for one in hashes if one}
