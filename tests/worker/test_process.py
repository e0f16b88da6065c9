"""The worker process: its start, its end, and a broker that is not there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sqlalchemy import create_engine, delete, select, text
from sqlalchemy.engine import make_url

from records.db import Database, driver_url
from records.models import Job, Worker
from records.settings import Settings
from tests.patience import DEADLINE_S, until
from tests.served import Served
from tests.workers import WorkerProcess, environment
from vcp_core.backbones import build
from vcp_core.walls import offered

StartWorker = Callable[..., WorkerProcess]


def start(settings: Settings, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        env={**os.environ, **environment(settings), **changes},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )


# Python drops what a signal's handler raises in `__del__`, as where a lost connection is thrown away.
SIGNAL_WHILE_REMOVING = """
import os, signal
import worker.app

class Rubbish:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        len([0] * 100)

listen = worker.app._listen

def interrupted(*arguments):
    rubbish = Rubbish()
    del rubbish
    listen(*arguments)

worker.app._listen = interrupted
"""


def test_a_worker_refuses_an_old_schema_in_one_line(settings: Settings, database: Database) -> None:
    with database.session() as session:
        session.execute(text("DELETE FROM alembic_version"))
    run = start(settings)
    assert run.returncode == 2
    assert "Run `vcpbench migrate`." in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_worker_says_which_setting_is_missing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(settings, VCPBENCH_PORT="x")
    assert run.returncode == 2
    assert run.stderr.startswith("VCPBENCH_PORT: ")


def test_a_limit_of_the_probes_memory_that_is_no_number_ends_the_worker(settings: Settings) -> None:
    run = start(settings, VCPBENCH_PROBE_MEMORY_MB="3 GB")
    assert run.returncode == 2
    assert run.stderr.startswith(
        "VCPBENCH_PROBE_MEMORY_MB is '3 GB'. Set it to a whole number of MiB above 0"
    )


def test_the_environment_that_the_kernel_shows_of_a_worker_holds_no_password(
    start_worker: StartWorker, settings: Settings
) -> None:
    worker = start_worker(AWS_SECRET_ACCESS_KEY="of the store")
    worker.wait_for("worker starts")
    shown = Path(f"/proc/{worker.process.pid}/environ").read_text()
    assert settings.store_url in shown  # it is this worker's
    for secret in (settings.database_url, settings.broker_url):
        assert secret.get_secret_value() not in shown
    assert "of the store" not in shown
    assert worker.terminate() == 0


def test_a_wrong_word_for_the_walls_ends_the_worker(settings: Settings) -> None:
    run = start(settings, VCPBENCH_WALLS="yes")
    assert run.returncode == 2
    assert run.stderr == "VCPBENCH_WALLS is 'yes'. Set it to required or wanted.\n"


def test_a_worker_says_which_walls_stand_around_foreign_files(start_worker: StartWorker) -> None:
    worker = start_worker()
    worker.wait_for("walls around foreign files")
    for name in offered().standing:
        worker.wait_for(name)
    assert worker.terminate() == 0


@pytest.mark.long
def test_a_device_that_is_not_there_ends_the_worker_and_fails_no_job(settings: Settings) -> None:
    run = start(settings, VCPBENCH_DEVICE="cuda:7")
    assert run.returncode == 2
    assert "No device 'cuda:7'" in run.stderr


@pytest.mark.long
def test_without_a_broker_a_worker_works_by_looking_for_itself_and_ends_when_told(
    api: Served, start_worker: StartWorker, tmp_path: Path
) -> None:
    (tmp_path / "not.pt").write_bytes(b"no weights")
    worker = start_worker(VCPBENCH_BROKER_URL=f"redis+socket://{tmp_path}/nobody.sock")
    uploaded = api.upload(tmp_path / "not.pt")
    api.poll(f"/v1/checkpoints/{uploaded['id']}", "rejected")
    assert worker.terminate() == 0


def test_a_worker_that_tries_to_reach_its_broker_still_ends_when_told(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker(VCPBENCH_BROKER_URL=f"redis+socket://{tmp_path}/nobody.sock")
    worker.wait_for("Cannot connect")
    assert worker.terminate() == 0


@pytest.mark.long
def test_a_worker_is_seen_while_it_is_there_and_gone_when_it_ended(
    api: Served, settings: Settings, start_worker: StartWorker
) -> None:
    assert start(settings, "--health").returncode == 1
    worker = start_worker(VCPBENCH_QUEUES="gpu")
    worker.wait_for("worker starts")
    status = api.client.get("/v1/status").json()
    assert {queue["name"]: queue["workers"] for queue in status["queues"]} == {"cpu": 0, "gpu": 1}
    assert start(settings, "--health").returncode == 0
    worker.terminate()
    assert api.client.get("/v1/status").json()["workers"] == []


@pytest.mark.long
def test_a_worker_that_was_forgotten_in_a_long_silence_is_seen_again(
    settings: Settings, database: Database, start_worker: StartWorker
) -> None:
    worker = start_worker(VCPBENCH_QUEUES="gpu")
    worker.wait_for("worker starts")
    with database.session() as session:
        (before,) = session.scalars(delete(Worker).returning(Worker)).all()
    until(lambda: start(settings, "--health").returncode == 0, hopeless=worker.end)
    with database.session() as session:
        (after,) = session.scalars(select(Worker)).all()
    assert (after.id, after.name, after.queues, after.device) == (
        *(before.id, before.name, before.queues, before.device),
    )


def test_a_worker_that_ends_while_the_database_is_away_ends_in_order(
    settings: Settings, start_worker: StartWorker
) -> None:
    worker = start_worker(VCPBENCH_QUEUES="cpu")
    worker.wait_for("worker starts")
    url = make_url(driver_url(settings.database_url.get_secret_value()))
    admin = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {url.database} WITH (FORCE)"))
    admin.dispose()
    assert worker.terminate() == 0
    said = worker.log.read_text()
    assert "not signed off" in said
    assert "worker ended" in said
    assert not list(settings.scratch.iterdir())


def test_a_worker_leaves_though_its_signal_came_while_an_object_was_removed(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SIGNAL_WHILE_REMOVING)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    worker = start_worker(VCPBENCH_QUEUES="cpu", PYTHONPATH=path)
    assert worker.wait_for_end() == 0
    said = worker.log.read_text()
    assert "Exception ignored in" in said
    assert "worker ended" in said


@pytest.mark.long
def test_a_good_file_whose_reader_was_killed_is_read_again(
    api: Served, database: Database, start_worker: StartWorker, tmp_path: Path
) -> None:
    torch.save(build("r3d_tiny", seed=7).state_dict(), tmp_path / "good.pt")
    worker = start_worker(VCPBENCH_QUEUES="cpu")
    worker.wait_for("worker starts")
    uploaded = api.upload(tmp_path / "good.pt")
    os.kill(worker.reader(), signal.SIGKILL)
    worker.wait_for("the process that read it was killed")
    api.poll(f"/v1/checkpoints/{uploaded['id']}", "ready")
    with database.session() as session:
        (job,) = session.scalars(select(Job))
        assert (job.crashes, job.outages, job.losses) == (1, 0, 0)


def test_a_folder_that_a_tidier_removed_is_made_again(
    api: Served, settings: Settings, start_worker: StartWorker, tmp_path: Path
) -> None:
    (tmp_path / "not.pt").write_bytes(b"no weights")
    worker = start_worker()
    worker.wait_for("worker starts")
    shutil.rmtree(settings.scratch)
    uploaded = api.upload(tmp_path / "not.pt")
    api.poll(f"/v1/checkpoints/{uploaded['id']}", "rejected")


def test_a_worker_that_met_what_nobody_foresaw_ends_instead_of_looking_healthy(
    settings: Settings, database: Database, start_worker: StartWorker
) -> None:
    worker = start_worker()
    worker.wait_for("worker starts")
    with database.session() as session:
        session.execute(text("ALTER TABLE job RENAME TO gone"))
    assert worker.wait_for_end() == 1
    assert "a background thread broke" in worker.log.read_text()
