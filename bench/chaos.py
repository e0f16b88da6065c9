"""Kills, freezes and damages an installation at random while it evaluates, and checks that nothing is lost.

make chaos                                  10 minutes, three workers
python -m bench.chaos --seconds 60          for less long
python -m bench.chaos --every 3             more uploads, for a machine with more than two cores
python -m bench.chaos --seed 7              other blows
python -m bench.chaos --json                the numbers for programs

Clients upload small networks and ask for their evaluations until the time is over. Meanwhile one part after
the other is hit: a worker, the API, Valkey or PostgreSQL is killed and started again, a worker stands still
for longer than its lease, an upload is cut, or stored features are damaged. Some uploads are poisoned: no
checkpoint, or weights that overflow. Some evaluations and checkpoints are deleted. A process sweeps the store
all the time, with little room for features, and is killed, too. Afterwards everything ends undisturbed.

Exits with 1 unless there were sound evaluations and poisoned ones, each sound one is done, each poisoned one
failed with its reason, none was made twice, all scores equal those of the library in one process, and after a
last sweep no object is an orphan and no row names an object that is missing.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from sqlalchemy import func, select
from vcpbench_client import Client, ClientError, Evaluation
from vcpbench_client.errors import Gone

import vcp_core
from bench.consistency import dangling, num_orphans
from bench.installation import Installation, running
from bench.rehearsal.videos import make
from records import sweep
from records.models import Evaluation as EvaluationRow
from records.models import EvaluationState, Job, Shard
from records.settings import Retention
from records.storage import Storage
from vcp_core.backbones import build
from vcp_core.catalog.protocols import protocol_from
from vcp_core.scoring.maps import MAP_VERSION

WORKERS, CLASSES = 3, 2
LEASE_S = 10.0
PAUSE_S = (2.0, 8.0)  # between two blows
PATIENCE_S, END_S = 120.0, 900.0
CLIENTS, EVERY_S = 2, 12.0  # sooner, two cores leave a queue that lasts longer than the blows
CUT_BYTES = 1_000_000
DELETE_EVERY_S = 8.0
SWEEPER = "sweeper"
DATASET = "chaos"
PROTOCOL: dict[str, Any] = {
    "name": "chaos",
    "base": "quick-v1",
    "grid": {"num_clips": 1},
    "control": {"seeds": [0], "calibration_clips": 16, "pixels": True},
}
NO_CHECKPOINT, OVERFLOWS = "no checkpoint", "overflows"
REASONS = {NO_CHECKPOINT: "neither a zip", OVERFLOWS: "NaN or infinity"}


@dataclass
class Asked:
    """What clients asked for: evaluations by the seed of their weights, and poisoned ones by their poison.

    `deleted` has the ids of sound ones that were deleted. They are not among `sound` any more.
    """

    sound: dict[int, Evaluation] = field(default_factory=dict)
    poisoned: list[tuple[str, Evaluation]] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


def write_weights(path: Path, seed: int, poison: str | None) -> Path:
    """Write a checkpoint, or something that looks like one."""
    state = build("r3d_tiny", seed=seed).state_dict()
    if poison == OVERFLOWS:
        state = {key: value * 1e30 if value.is_floating_point() else value for key, value in state.items()}
    torch.save(state, path)
    if poison == NO_CHECKPOINT:
        path.write_bytes(b"no checkpoint " * 1000 + str(seed).encode())
    return path


def ask(
    installation: Installation,
    folder: Path,
    asked: Asked,
    over: threading.Event,
    first_seed: int,
    every_s: float,
) -> None:
    """Upload and ask for evaluations, one after the other, until the time is over."""
    with _client(installation) as client:
        for number in range(first_seed, first_seed + 100_000):
            if over.is_set():
                return
            poison = {3: NO_CHECKPOINT, 7: OVERFLOWS}.get(number % 10)
            path = write_weights(folder / f"{number}.pt", number, poison)
            try:
                found = client.evaluate(client.upload(path, f"model-{number}"), DATASET, PROTOCOL["name"])
                if poison is None:
                    asked.sound[number] = found
                else:
                    asked.poisoned.append((poison, found))
            except Exception as error:  # the table says it; a thread that ended would go unnoticed
                if poison is None or not isinstance(error, ClientError):
                    asked.given_up.append(f"{number}: {type(error).__name__}: {error}")
            over.wait(every_s)


def _client(installation: Installation) -> Client:
    """A client that the server has answered. Another one would wait only 3 s for a server that is away."""
    client = Client(installation.url, installation.token, patience_s=PATIENCE_S)
    client.status()
    return client


def delete(installation: Installation, asked: Asked, over: threading.Event, rng: random.Random) -> None:
    """Delete sound evaluations, or their checkpoints, in any state, until the time is over."""
    with _client(installation) as client:
        while not over.wait(DELETE_EVERY_S):
            if not asked.sound:
                continue
            seed = rng.choice(list(asked.sound))
            chosen = asked.sound[seed]
            with suppress(ClientError):  # the API may be killed before it answers
                if rng.random() < 0.5:
                    client.delete_evaluation(chosen.id)
                else:
                    client.delete_checkpoint(chosen.checkpoint.id)
            try:
                client.evaluation(chosen.id)
            except Gone:
                asked.deleted.append(chosen.id)
                del asked.sound[seed]
            except ClientError as error:
                asked.given_up.append(f"deleting {chosen.id}: {error}")


class Blows:
    """Everything that is done to an installation, and how often it was."""

    def __init__(self, installation: Installation, rng: random.Random) -> None:
        self._installation, self._rng = installation, rng
        self.counts: Counter[str] = Counter()
        self._all: list[tuple[str, Callable[[], None]]] = [
            *[("workers killed", lambda: self._kill(self._worker()))] * 3,
            *[("workers frozen", self._freeze)] * 2,
            *[("sweeps killed", lambda: self._kill(SWEEPER))] * 2,
            ("API killed", lambda: self._kill("service")),
            ("Valkey killed", lambda: self._kill("valkey")),
            ("PostgreSQL killed", lambda: self._kill("postgres")),
            *[("uploads cut", self._cut_upload)] * 2,
            *[("features damaged", self._damage)] * 2,
        ]

    def pause_s(self) -> float:
        """Seconds until the next blow."""
        return self._rng.uniform(*PAUSE_S)

    def strike(self) -> None:
        """Do one thing at random."""
        name, blow = self._rng.choice(self._all)
        blow()
        self.counts[name] += 1

    def _worker(self) -> str:
        return f"worker-{self._rng.randrange(WORKERS)}"

    def _kill(self, name: str) -> None:
        self._installation.kill(name)
        time.sleep(self._rng.uniform(0, 3))
        self._installation.start_again(name)

    def _freeze(self) -> None:
        """A worker stands still, and its child works on, until others have taken the job."""
        name = self._worker()
        self._installation.send(name, signal.SIGSTOP)
        time.sleep(LEASE_S + self._rng.uniform(1, 5))
        self._installation.send(name, signal.SIGCONT)

    def _cut_upload(self) -> None:
        address = urlsplit(self._installation.url)
        head = "\r\n".join(
            [
                "PUT /v1/checkpoints/upload?model=cut HTTP/1.1",
                "Host: localhost",
                f"Authorization: Bearer {self._installation.token}",
                f"Content-Length: {CUT_BYTES}",
                "\r\n",
            ]
        )
        with (
            suppress(OSError),
            socket.create_connection((address.hostname or "", address.port or 0), 5) as line,
        ):
            line.sendall(head.encode() + bytes(self._rng.randrange(CUT_BYTES)))

    def _damage(self) -> None:
        stored = sorted((self._installation.folder / "objects" / "features").glob("*.safetensors"))
        if stored:
            path = self._rng.choice(stored)
            with suppress(FileNotFoundError), path.open("r+b") as file:
                file.seek(self._rng.randrange(max(1, path.stat().st_size)))
                file.write(b"damaged")


def calm(installation: Installation, asked: Asked) -> dict[str, Evaluation]:
    """Wait until all evaluations have ended, undisturbed."""
    with Client(installation.url, installation.token, patience_s=PATIENCE_S) as client:
        wanted = [one.id for one in [*asked.sound.values(), *(one for _, one in asked.poisoned)]]
        deadline = time.monotonic() + END_S
        while True:
            found = {one: client.evaluation(one) for one in wanted}
            if all(one.ended for one in found.values()) or time.monotonic() > deadline:
                return found
            time.sleep(2.0)


def differing(
    installation: Installation, folder: Path, videos: Path, asked: Asked, found: Mapping[str, Evaluation]
) -> list[int]:
    """Seeds whose scores are not those of the library in one process."""
    wrong = []
    with Client(installation.url, installation.token) as client:
        for seed, one in asked.sound.items():
            if found[one.id].state != "done":
                continue
            results = vcp_core.evaluate(
                folder / f"{seed}.pt", videos, protocol_from(PROTOCOL), device="cpu", progress=False
            )
            ours = [result.model_dump(mode="json")["scores"] for result in results.benchmarks]
            if [result["scores"] for result in client.results(one.id)["benchmarks"]] != ours:
                wrong.append(seed)
    return wrong


def rows(installation: Installation) -> dict[str, int]:
    """Count jobs, lost attempts, and evaluations that exist twice."""
    same = (EvaluationRow.checkpoint_id, EvaluationRow.dataset_id, EvaluationRow.protocol_hash)
    with installation.database.session() as session:
        jobs, crashes, outages, losses = session.execute(
            select(func.count(), func.sum(Job.crashes), func.sum(Job.outages), func.sum(Job.losses))
        ).one()
        doubled = select(func.count()).where(EvaluationRow.state == EvaluationState.DONE).group_by(*same)
        return {
            "jobs": jobs,
            "crashes": int(crashes or 0),
            "outages": int(outages or 0),
            "losses": int(losses or 0),
            "swept": session.scalar(select(func.count()).where(Shard.swept_at.is_not(None))) or 0,
            "doubled": sum(number - 1 for number in session.scalars(doubled)),
        }


def run(folder: Path, seconds: float, seed: int, every_s: float) -> dict[str, Any]:
    """Evaluate under blows, and describe how it ended."""
    videos, weights = folder / "videos", folder / "weights"
    make(videos, CLASSES)
    weights.mkdir()
    asked, over = Asked(), threading.Event()
    settings = {"LEASE_S": str(LEASE_S), "IDLE_LOOK_S": "2", "SHARD_CLIPS": "16"}
    with running(Installation(folder / "installation", WORKERS, settings=settings)) as installation:
        installation.post("protocols", PROTOCOL)
        installation.post("datasets", {"name": DATASET, "location": str(videos)})
        blows = Blows(installation, random.Random(seed))  # noqa: S311 - no secret
        installation.start_program(SWEEPER, "bench.sweeper")
        clients = [
            threading.Thread(target=ask, args=(installation, weights, asked, over, 1_000 * number, every_s))
            for number in range(1, CLIENTS + 1)
        ]
        rng = random.Random(seed)  # noqa: S311
        clients.append(threading.Thread(target=delete, args=(installation, asked, over, rng)))
        for client in clients:
            client.start()
        begun = time.monotonic()
        while time.monotonic() < begun + seconds:
            time.sleep(blows.pause_s())
            blows.strike()
        over.set()
        for client in clients:
            client.join()
        found = calm(installation, asked)
        installation.kill(SWEEPER)
        store = Storage(f"file://{installation.folder / 'objects'}")
        sweep.run(installation.database, store, Retention(), map_version=MAP_VERSION, min_age_s=0.0)
        sound = [found[one.id] for one in asked.sound.values()]
        poisoned = [(poison, found[one.id]) for poison, one in asked.poisoned]
        return {
            "blows": dict(sorted(blows.counts.items())),
            "sound": len(sound),
            "done": sum(one.state == "done" for one in sound),
            "lost": [f"{one.id} is {one.state}: {one.reason}" for one in sound if one.state != "done"],
            "poisoned": len(poisoned),
            "not_failed_by_their_reason": [
                f"{one.id} ({poison}) is {one.state}: {one.reason}"
                for poison, one in poisoned
                if one.state != "failed" or REASONS[poison] not in str(one.reason)
            ],
            "given_up": asked.given_up,
            "deleted": len(asked.deleted),
            "orphans": num_orphans(installation.database, store),
            "dangling": dangling(installation.database, store),
            "other_scores": differing(installation, weights, videos, asked, found),
            **rows(installation),
        }


def main() -> None:
    """Print how an installation stood random blows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0, help="of the blows")
    parser.add_argument(
        "--every", type=float, default=EVERY_S, help="seconds between two uploads of a client"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), arguments.seconds, arguments.seed, arguments.every)
    print(json.dumps(found, indent=2) if arguments.json else described(found))
    bad = ("lost", "not_failed_by_their_reason", "given_up", "other_scores", "doubled", "orphans", "dangling")
    sys.exit(any(found[name] for name in bad) or not (found["sound"] and found["poisoned"]))


def described(found: Mapping[str, Any]) -> str:
    """Say it in lines."""
    lines = [f"{number:>6} {name}" for name, number in found["blows"].items()]
    attempts = (
        f"{found['losses']} attempts lost, {found['crashes']} crashed, {found['outages']} met an outage"
    )
    lines += [f"{found['jobs']:>6} jobs: {attempts}"]
    lines += [f"{found['done']:>6} of {found['sound']} sound evaluations done, {found['doubled']} made twice"]
    failed = found["poisoned"] - len(found["not_failed_by_their_reason"])
    lines += [f"{failed:>6} of {found['poisoned']} poisoned ones failed by their reason"]
    lines += [f"{len(found['other_scores']):>6} with other scores than the library's"]
    lines += [f"{found['deleted']:>6} deleted, {found['swept']} shards without their features"]
    lines += [f"{found['orphans']:>6} orphans, {len(found['dangling'])} dangling rows after a last sweep"]
    for name in ("lost", "not_failed_by_their_reason", "given_up"):
        lines += [f"{name}: {one}" for one in found[name]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
