"""Fuzzes the API of an installation by schemathesis, with an administrator's token and without a token.

make fuzz                                about two minutes of requests
python -m bench.fuzz --seconds 600       for longer
python -m bench.fuzz --seed 7            other requests
python -m bench.fuzz --phases examples,coverage    two of its four phases
python -m bench.fuzz --short             these two phases, and an operation may stay at 404

The installation has a dataset, two models that were evaluated, their comparison, and results of an older
engine. Its worker stops before the requests begin. So answers depend on requests alone, and no
worker reads a folder that a request invents. Exits with 1 if schemathesis finds a failure, or if it never
gets past a 404 of an operation.

bench/fuzz.toml says what schemathesis does. bench/fuzz_hooks.py changes some of its requests.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from bench.installation import FIRST_SEED, ROOT, BenchFailed, Installation, running
from bench.rehearsal.videos import make
from records.db import NOW
from records.models import DatasetRow, DatasetState, Evaluation, EvaluationState, Role, Worker
from records.repositories import sign_ins
from vcp_core.catalog.defaults import DEFAULT_PROTOCOL

CONFIG = Path(__file__).with_name("fuzz.toml")
DATASET, CLASSES = "fuzz", 2
ALIAS, SPARE = "champion", 5
WAITING = ("standard-v1", "standard-bf16-v1", "paper-v1")
OLDER = "an older engine"
WORKER = "fuzz:1"
ISSUER = "https://id.example"  # where nobody signs in; requests sign people out
WITHOUT_TOKEN = 0.2  # of the time: nearly all of these requests are answered 401
WAIT_S = 600.0
PHASES, SHORT_PHASES = "examples,coverage,fuzzing,stateful", "examples,coverage"
SHORT_WARNINGS = "validation_mismatch,unused_openapi_auth,unmatched_filter"


def prepare(installation: Installation) -> dict[str, list[str]]:
    """Evaluate two models and compare them, then stop the worker. Copy an evaluation to an older engine.

    Returns:
        By kind, ids that requests name. Those of evaluations include some that wait.
    """
    videos = installation.folder / "videos"
    make(videos, CLASSES)
    installation.post("datasets", {"name": DATASET, "location": str(videos)})
    asked = [installation.ask("r3d_tiny", number, DATASET, DEFAULT_PROTOCOL).id for number in range(2)]
    deadline = time.monotonic() + WAIT_S
    while any(installation.look(one).state != "done" for one in asked):
        if time.monotonic() > deadline:
            raise BenchFailed(f"no two evaluations within {WAIT_S:.0f} s")
        time.sleep(0.5)
    with installation.client() as client:
        client.compare(*asked, timeout_s=WAIT_S)
        many = client.compare_many(asked, timeout_s=WAIT_S).id  # done, so that no request cancels it
    installation.kill_worker(0)
    waiting = installation.post("comparisons", {"evaluations": asked, "baseline": asked[1]})["id"]
    with installation.client() as client:  # no worker does these, so they wait to be cancelled
        asked += [client.evaluate(f"r3d_tiny-{FIRST_SEED}@latest", DATASET, one).id for one in WAITING]
    with installation.database.session() as session:
        new = session.get_one(Evaluation, UUID(asked[0]))
        older = Evaluation(
            checkpoint_id=new.checkpoint_id,
            dataset_id=new.dataset_id,
            protocol_hash=new.protocol_hash,
            engine=OLDER,
            team=new.team,
            is_control=False,
            state=EvaluationState.DONE,
            num_clips=new.num_clips,
            results=new.results,
            started_at=NOW,
            finished_at=NOW,
        )
        retired = DatasetRow(
            name="old", source={"name_or_path": "/videos"}, state=DatasetState.FAILED, retired_at=NOW
        )
        session.add_all([older, retired])
        session.flush()
        retired_id = str(retired.id)
        # One that is there, and still will be at the end of the requests.
        later = NOW + timedelta(hours=1)
        session.add(Worker(name=WORKER, queues=["cpu"], device="cpu", seen_at=later))
        people = [f"person-{number}" for number in range(SPARE)]
        for person in people:
            who = {"issuer": ISSUER, "subject": person, "name": person}
            sign_ins.create(session, **who, team="fuzzed", role=Role.READER, hours=1)
        dataset, protocol = str(new.dataset_id), new.protocol_hash
    return {
        **annotate(installation, asked[0]),
        "comparisons": [many, waiting],
        "evaluations": asked,
        "workers": [WORKER],
        "people": people,
        "dataset_ids": [dataset, retired_id],
        "protocol_hashes": [protocol],
    }


def annotate(installation: Installation, done: str) -> dict[str, list[str]]:
    """Make several of all that requests may delete. Return their ids by kind."""
    model, log = f"r3d_tiny-{FIRST_SEED}", installation.folder / "log.csv"
    log.write_text("step,loss\n100,1.6\n200,1.5\n")
    with installation.client() as client:
        client.set_alias(ALIAS, f"{model}@latest")
        webhooks = [client.create_webhook(f"https://ci.example/{number}").id for number in range(SPARE)]
        return {
            "notes": [client.write_note(done, f"Note {number}.").id for number in range(SPARE)],
            "shares": [client.share(done).id for _ in range(SPARE)],
            "logs": [client.upload_log(log, model, run=str(number)).id for number in range(SPARE)],
            "webhooks": webhooks,
            "deliveries": [client.test_webhook(webhook).id for webhook in webhooks],
            "views": [client.save_view(f"View {number}", "/models").id for number in range(SPARE)],
            "own_token": [one.id for one in client.tokens()],
            "tokens": [client.create_token(f"Token {number}").id for number in range(SPARE)],
        }


def fuzz(
    installation: Installation,
    ids: Mapping[str, list[str]],
    arguments: argparse.Namespace,
    *,
    seconds: float,
    token: str | None,
) -> bool:
    """Let schemathesis send requests, and print what it found. Return whether it found nothing."""
    folder = installation.folder / "schemathesis"  # it writes crash files where it runs
    folder.mkdir(exist_ok=True)
    config = folder / "config.toml"
    for kind, found in ids.items():
        (folder / f"{kind}.txt").write_text("".join(f'"{one}"\n' for one in found), encoding="utf-8")
    auth = f'\n[auth.openapi.HTTPBearer]\nbearer = "{token}"\n' if token else ""
    config.write_text(CONFIG.read_text(encoding="utf-8") + auth, encoding="utf-8")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "--no-color"),
        *("run", f"{installation.url}/openapi.json", "--url", installation.url),
        *("--max-time", str(round(seconds)), "--seed", str(arguments.seed), "--phases", arguments.phases),
        # Without a token, 401 is nearly all it gets. A short run finds few objects.
        *(("--warnings", SHORT_WARNINGS if token else "off") if arguments.short or not token else ()),
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "SCHEMATHESIS_HOOKS": "bench.fuzz_hooks",
    }
    return subprocess.run(command, env=environment, cwd=folder, check=False).returncode == 0  # noqa: S603


def main() -> None:
    """Print what schemathesis found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="of requests")
    parser.add_argument("--seed", type=int, default=0, help="of requests")
    parser.add_argument("--phases", help="of schemathesis")
    parser.add_argument("--short", action="store_true", help="for CI")
    arguments = parser.parse_args()
    arguments.phases = arguments.phases or (SHORT_PHASES if arguments.short else PHASES)
    provider = {"OIDC_ISSUER": ISSUER, "OIDC_CLIENT_ID": "vcpbench", "OIDC_TEAMS": "fuzz=fuzzed:reader"}
    settings = {"REQUESTS_PER_MINUTE": "0", **provider}
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Installation(Path(folder), 1, settings=settings)) as installation,
    ):
        ids = prepare(installation)
        parts = {installation.token: 1 - WITHOUT_TOKEN, None: WITHOUT_TOKEN}
        sound = [
            fuzz(installation, ids, arguments, seconds=arguments.seconds * part, token=token)
            for token, part in parts.items()
        ]
    sys.exit(not all(sound))


if __name__ == "__main__":
    main()
