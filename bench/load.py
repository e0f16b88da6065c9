"""Reads a large service by many readers while large files arrive, and prints how long answers took.

python -m bench.load                                50 readers, 10,000 evaluations, 8 uploads of 50 MB at once
python -m bench.load --readers 100 --seconds 600    more, for longer than two minutes
python -m bench.load --json                         the numbers for programs

The evaluations are copies of one real evaluation with other scores, so their pages are real ones. Each reader
asks for a page every five seconds, half of them for the leaderboard. All uploads come at once, every thirty
seconds. No worker runs. Times are the server's own (`Server-Timing`). The readers and the uploaders are
processes of their own on the same machine, and wait for the same cores. Exits with 1 if a request fails, if
the 95th percentile of the leaderboard takes longer than 100 ms, or if the API takes more than 500 MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import math
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import torch
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from bench.installation import Installation, running
from records.db import NOW
from records.models import (
    BenchmarkRow,
    Checkpoint,
    CheckpointState,
    DatasetRow,
    DatasetState,
    Evaluation,
    EvaluationState,
    Model,
    Origin,
    ScoreRow,
)
from records.repositories import datasets
from vcp_core.backbones import build
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.evaluation.evaluate import evaluate
from vcp_core.results.types import Results

DATASET, PROTOCOL = "playground-136", "quick-v1"
MODELS = 100
EVERY_S = 5.0  # between two requests of a reader
UPLOADS, UPLOAD_BYTES = 8, 50_000_000
UPLOAD_EVERY_S = 30.0  # between two files of an uploader; without a pause, 145 MB a second arrive
CHUNK_BYTES = 1 << 20
LIMIT_MS, LIMIT_MIB = 100.0, 500.0
LEADERBOARD = "leaderboard"

COLUMNS = [column.name for column in ScoreRow.__table__.columns]
OWN = {"evaluation_id": "other.id"} | {name: f"score.{name} + points" for name in ("value", "low", "high")}
# Copies of one evaluation's rows for all others. The scores are moved, and intervals keep their widths.
COPY_SCORES = f"""
    INSERT INTO score ({", ".join(COLUMNS)})
    WITH other AS (SELECT id, 10 * (random() - 0.5) AS points FROM evaluation WHERE id <> :like)
    SELECT {", ".join(OWN.get(name, f"score.{name}") for name in COLUMNS)}
    FROM score, other WHERE score.evaluation_id = :like
"""  # noqa: S608 - names of our own columns
COPY_PREDICTIONS = """
    INSERT INTO benchmark_result (evaluation_id, benchmark, predictions)
    SELECT other.id, benchmark, predictions
    FROM benchmark_result JOIN evaluation other ON other.id <> :like WHERE evaluation_id = :like
"""
COPY_RESULTS = """
    UPDATE evaluation SET results = (SELECT results FROM evaluation WHERE id = :like) WHERE id <> :like
"""


@dataclass
class Filled:
    """What was written: ids and names to ask for."""

    dataset: str
    evaluations: list[Any] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    num_predictions: int = 0


@dataclass
class Answers:
    """Milliseconds until answers began, by kind, by both sides' clocks; and what failed."""

    server_ms: dict[str, list[float]] = field(default_factory=dict)
    client_ms: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


def real_results(folder: Path, dataset: str = DATASET) -> Results:
    """Evaluate a small network."""
    path = folder / "model.pt"
    torch.save(build("r3d_tiny", seed=1).state_dict(), path)
    return evaluate(path, dataset, PROTOCOL)


def fill(session: Session, results: Results, num_evaluations: int) -> Filled:
    """Write evaluations of many models, each with all that a worker writes."""
    name, fingerprint = (results.provenance.dataset[key] for key in ("name", "fingerprint"))
    dataset = DatasetRow(
        name=name,
        own_name=name,
        source={"name_or_path": name},
        state=DatasetState.READY,
        fingerprint=fingerprint,
    )
    models = [Model(team=f"team-{number % 10}", name=f"model-{number}") for number in range(MODELS)]
    session.add_all([dataset, *models])
    session.flush()
    protocol = datasets.keep_protocol(session, PROTOCOLS[PROTOCOL])
    assert protocol is not None
    checkpoints = [
        {
            "id": uuid4(),
            "model_id": models[number % MODELS].id,
            "origin": Origin.UPLOAD,
            "state": CheckpointState.READY,
            "backbone": "r3d_tiny",
            "step": 1000 * (number // MODELS),
            "report": dict(results.provenance.checkpoint),
        }
        for number in range(num_evaluations)
    ]
    evaluations = [
        {
            "id": uuid4(),
            "checkpoint_id": checkpoint["id"],
            "dataset_id": dataset.id,
            "protocol_hash": protocol.hash,
            "team": "bench",
            "is_control": False,
            "state": EvaluationState.DONE,
            "num_clips": results.provenance.num_clips,
        }
        for checkpoint in checkpoints
    ]
    session.execute(insert(Checkpoint), checkpoints)
    session.execute(insert(Evaluation).values(started_at=NOW, finished_at=NOW), evaluations)
    like = evaluations[0]["id"]
    row = session.get_one(Evaluation, like)
    row.results = results.model_dump(mode="json", exclude={"benchmarks": {"__all__": {"predictions"}}})
    for result in results.benchmarks:
        assert result.predictions is not None
        values = result.predictions.model_dump(mode="json")
        session.add(BenchmarkRow(evaluation_id=like, benchmark=result.benchmark, predictions=values))
        facts = {"evaluation_id": like, "benchmark": result.benchmark}
        session.execute(insert(ScoreRow), [{**facts, **one.model_dump()} for one in result.scores])
    session.flush()
    for statement in (COPY_SCORES, COPY_PREDICTIONS, COPY_RESULTS):
        session.execute(text(statement), {"like": like})
    rows = sum(len(one.predictions.column("video")) for one in results.benchmarks if one.predictions)
    return Filled(
        name,
        [one["id"] for one in evaluations],
        [f"{model.team}/{model.name}" for model in models],
        rows * num_evaluations,
    )


def addresses(filled: Filled, rng: random.Random) -> tuple[str, str]:
    """Choose what a reader asks for: its kind, and its path."""
    model, evaluation = rng.choice(filled.models), rng.choice(filled.evaluations)
    board = f"/v1/leaderboard?dataset={filled.dataset}&protocol={PROTOCOL}"
    kinds = {
        LEADERBOARD: [
            "/",
            f"/?offset={50 * rng.randrange(20)}",
            "/?limit=200&latest=true",
            "/?sort=-cloze.accuracy",
            f"/?team={model.partition('/')[0]}",
        ],
        "evaluation": [f"/evaluations/{evaluation}"],
        "model": [f"/models/{model}"],
        "list": ["/evaluations", f"/v1/evaluations?model={model}"],
        "JSON": [board, f"/v1/evaluations/{evaluation}"],
        "results": [f"/v1/evaluations/{evaluation}/results"],
    }
    kind = LEADERBOARD if rng.random() < 0.5 else rng.choice(list(kinds))
    return kind, rng.choice(kinds[kind])


async def read(url: str, headers: Mapping[str, str], filled: Filled, readers: int, seconds: float) -> Answers:
    """Let readers ask until the time is over."""
    answers = Answers()
    limits = httpx.Limits(max_connections=readers)
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, limits=limits) as client:
        await asyncio.gather(*(_reader(client, filled, seconds, seed, answers) for seed in range(readers)))
    return answers


async def _reader(
    client: httpx.AsyncClient, filled: Filled, seconds: float, seed: int, answers: Answers
) -> None:
    rng = random.Random(seed)  # noqa: S311 - which page a reader wants
    begun = time.monotonic()
    next_at = begun + rng.uniform(0, EVERY_S)
    while next_at < begun + seconds:
        await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        next_at += EVERY_S
        kind, path = addresses(filled, rng)
        asked = time.perf_counter()
        try:
            async with client.stream("GET", path) as answer:  # it begins once the page is made
                client_ms = 1000 * (time.perf_counter() - asked)
                await answer.aread()
        except httpx.HTTPError as error:
            answers.errors.append(f"{path}: {type(error).__name__}")
            continue
        if answer.status_code != 200:
            answers.errors.append(f"{path}: {answer.status_code}")
            continue
        server_ms = float(answer.headers["Server-Timing"].rpartition("dur=")[2])
        answers.server_ms.setdefault(kind, []).append(server_ms)
        answers.client_ms.setdefault(kind, []).append(client_ms)


def upload(number: int, url: str, headers: Mapping[str, str], size: int, seconds: float, done: Any) -> None:
    """Upload one new file after the other until the time is over. It runs in a process of its own."""
    begun = time.monotonic()
    address = urlsplit(url)
    num_chunks = size // CHUNK_BYTES
    while time.monotonic() < begun + seconds:
        one = os.urandom(CHUNK_BYTES)
        chunks = (uuid4().bytes + one[16:] for _ in range(num_chunks))
        length = {"Content-Length": str(num_chunks * CHUNK_BYTES)}
        client = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        try:
            path = f"/v1/checkpoints/upload?model=load-{number}"
            client.request("PUT", path, chunks, {**headers, **length})
            answer = client.getresponse()
            text = answer.read().decode()
            done.put("" if answer.status == 201 else f"upload: {answer.status} {text}")
        except (OSError, http.client.HTTPException) as error:
            done.put(f"upload: {type(error).__name__}")
        finally:
            client.close()
        time.sleep(UPLOAD_EVERY_S)


def peak_mib(pid: int) -> float:
    """The most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fill a service, load it, and describe how it answered."""
    results = real_results(folder, arguments.dataset)
    with running(Installation(folder, 0)) as installation:
        with installation.database.session() as session:
            filled = fill(session, results, arguments.evaluations)
        with installation.database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))
        context = multiprocessing.get_context("spawn")
        done = context.Queue()
        what = (installation.url, installation.headers, arguments.upload_bytes, arguments.seconds, done)
        uploaders = [
            context.Process(target=upload, args=(number, *what)) for number in range(arguments.uploads)
        ]
        for uploader in uploaders:
            uploader.start()
        answers = asyncio.run(
            read(installation.url, installation.headers, filled, arguments.readers, arguments.seconds)
        )
        said = [done.get() for _ in range(done.qsize())]
        for uploader in uploaders:
            uploader.join()
        said += [done.get() for _ in range(done.qsize())]
        return {
            "evaluations": len(filled.evaluations),
            "predictions": filled.num_predictions,
            "requests": {
                kind: {
                    "number": len(took),
                    "p50_ms": quantile(took, 0.5),
                    "p95_ms": quantile(took, 0.95),
                    "max_ms": max(took),
                    "client_p95_ms": quantile(answers.client_ms[kind], 0.95),
                }
                for kind, took in sorted(answers.server_ms.items())
            },
            "uploads": len(said) - sum(map(bool, said)),
            "upload_mb": arguments.upload_bytes / 1e6,
            "errors": answers.errors + [one for one in said if one],
            "api_mib": peak_mib(installation.processes()["service"]),
        }


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def main() -> None:
    """Print how a loaded service answered."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=10_000)
    parser.add_argument("--dataset", default=DATASET, help="the fewer videos, the sooner it begins")
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--uploads", type=int, default=UPLOADS, help="files that arrive at once")
    parser.add_argument("--upload-bytes", type=int, default=UPLOAD_BYTES)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), arguments)
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)
    slow = found["requests"].get(LEADERBOARD, {"p95_ms": math.inf})["p95_ms"] > LIMIT_MS
    sys.exit(bool(found["errors"]) or slow or found["api_mib"] > LIMIT_MIB)


def show(found: Mapping[str, Any]) -> None:
    """Print a table."""
    console = Console()
    console.print(f"{found['evaluations']:,} evaluations, {found['predictions']:,} predictions")
    titles = ("pages", "requests", "median", "95 %", "longest", "95 % by the client's clock")
    table = Table(*titles, box=None, header_style="dim")
    for kind, one in found["requests"].items():
        times = [f"{one[name]:.0f} ms" for name in ("p50_ms", "p95_ms", "max_ms", "client_p95_ms")]
        table.add_row(kind, f"{one['number']:,}", *times)
    console.print(table)
    console.print(f"{found['uploads']} uploads of {found['upload_mb']:.0f} MB, {len(found['errors'])} errors")
    for error in found["errors"][:10]:
        console.print(f"  {error}", markup=False)
    console.print(f"the API took {found['api_mib']:.0f} MiB at most")


if __name__ == "__main__":
    main()
