"""A whole installation for measurements: PostgreSQL, Valkey, the API and workers, in a folder of its own.

The parts are those of `vcpbench up`. The workers are those of bench/worker.py, which note database time.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import torch
from vcpbench_client import Client, Evaluation, Unreachable

from records import migrate
from records.db import Database
from records.models import Role
from records.repositories import tokens
from stack.accounts import spawn
from stack.engines import Engine, Engines
from vcp_core.backbones import build

ROOT = Path(__file__).resolve().parents[1]
FIRST_SEED = 1000  # of uploads: the controls of protocols have small seeds, and must have other weights
START_S, STOP_S, LOOK_S = 180.0, 30.0, 1.0


class BenchFailed(RuntimeError):
    """The measured installation failed, so its numbers mean nothing."""


@contextmanager
def running(installation: Installation) -> Iterator[Installation]:
    """Run an installation for as long as the block lasts, and delete its data."""
    try:
        with installation:
            yield installation
    finally:
        installation.remove()


@dataclass
class Installation:
    """Engines, API and workers. All that they write lies in `folder`.

    Attributes:
        folder: The folder; a second run in the same folder finds the first one's data.
        num_workers: How many workers; each takes both queues.
        worker: More arguments of `python -m bench.worker`.
        settings: More variables of API and workers, without `VCPBENCH_`.
    """

    folder: Path
    num_workers: int
    worker: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("logs", "reports", "objects", "scratch", "cache"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._engines = Engines.in_folder(self.folder / "engines")
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, Sequence[str]] = {}
        self._token = ""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all parts, and wait until the API answers."""
        self._engines.start()
        migrate.upgrade(self._engines.database_url)
        self.database = Database(self._engines.database_url)
        if not self._token:
            with self.database.session() as session:
                name = f"bench-{os.getpid()}"
                _, self._token = tokens.create(session, name=name, team="bench", role=Role.ADMIN)
        self._spawn("service", [sys.executable, "-m", "service"])
        for number in range(self.num_workers):
            self.start_worker(number)
        deadline = time.monotonic() + START_S
        while not self._answers():
            self.check()
            if time.monotonic() > deadline:
                raise BenchFailed(f"the API does not answer; see {self.folder / 'logs'}")
            time.sleep(LOOK_S / 10)

    def stop(self) -> None:
        """Stop all parts: workers and API first, then the engines."""
        programs, self._programs = self._programs, {}
        for program in programs.values():
            program.terminate()
        for program in programs.values():
            try:
                program.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()
        if hasattr(self, "database"):
            self.database.dispose()
        self._engines.stop()

    def remove(self) -> None:
        """Delete the data of the engines, which root keeps elsewhere (`Account.reachable_folder`)."""
        for folder in (self._engines.valkey.sockets, self._engines.postgres.folder):
            shutil.rmtree(folder, ignore_errors=True)

    def start_worker(self, number: int) -> None:
        """Start a worker."""
        report = self.folder / "reports" / f"worker-{number}.jsonl"
        command = [sys.executable, "-m", "bench.worker", "--report", str(report), *self.worker]
        self._spawn(f"worker-{number}", command)

    def start_program(self, name: str, module: str) -> None:
        """Start another program of this tree, with the settings of API and workers."""
        self._spawn(name, [sys.executable, "-m", module])

    def kill_worker(self, number: int) -> None:
        """Kill a worker by SIGKILL. Its child ends by itself when it notices."""
        program = self._programs.pop(f"worker-{number}")
        program.kill()
        program.wait()

    def kill(self, name: str) -> None:
        """Kill a part by SIGKILL: "service", "worker-0", "postgres", "valkey"."""
        if name in (engines := self._engines_by_name()):
            engines[name].kill()
        else:
            os.killpg(self._programs[name].pid, signal.SIGKILL)
            self._programs[name].wait()

    def start_again(self, name: str) -> None:
        """Start a part that was killed, and wait until an engine answers."""
        if name in (engines := self._engines_by_name()):
            engines[name].start()
        else:
            self._spawn(name, self._commands[name])

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a program and to its children."""
        os.killpg(self._programs[name].pid, number)

    def _engines_by_name(self) -> dict[str, Engine]:
        return {engine.name: engine for engine in (self._engines.postgres, self._engines.valkey)}

    def processes(self) -> dict[str, int]:
        """Process ids of all parts that run, by name."""
        engines = {name: engine.process for name, engine in self._engines_by_name().items()}
        return {
            name: process.pid
            for name, process in {**self._programs, **engines}.items()
            if process is not None and process.poll() is None
        }

    def check(self) -> None:
        """Check that no part has ended.

        Raises:
            BenchFailed: If one has. The message has the end of its log.
        """
        for name, program in self._programs.items():
            if program.poll() is not None:
                raise BenchFailed(f"{name} ended with {program.returncode}: {self._tail(name)}")

    def client(self) -> Client:
        """A client of an administrator."""
        return Client(self.url, self._token)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send a request of an administrator that makes something, and return the answer.

        That it is there already is no error.
        """
        answer = httpx.post(f"{self.url}/v1/{path}", json=dict(body), headers=self.headers, timeout=60)
        if answer.status_code not in (200, 201, 202, 409):
            raise BenchFailed(f"POST /v1/{path}: {answer.status_code} {answer.text}")
        return answer.json()

    def ask(self, backbone: str, number: int, dataset: str, protocol: str) -> Evaluation:
        """Upload random weights, and ask for their evaluation. Another number means other weights."""
        seed = FIRST_SEED + number
        path = self.folder / f"{backbone}-{seed}.pt"
        torch.save(build(backbone, seed=seed).state_dict(), path)
        with self.client() as client:
            return client.evaluate(client.upload(path, f"{backbone}-{seed}"), dataset, protocol)

    def look(self, evaluation_id: str) -> Evaluation:
        """Read an evaluation.

        Raises:
            BenchFailed: If it failed or was cancelled, or if a part of the installation ended.
        """
        self.check()
        with self.client() as client:
            found = client.evaluation(evaluation_id)
        if found.ended and found.state != "done":
            raise BenchFailed(f"the evaluation is {found.state}: {found.reason}\n{found.log_tail or ''}")
        return found

    def reports(self) -> list[dict[str, Any]]:
        """The lines that workers wrote, one for each attempt at a job (`bench.worker`)."""
        files = sorted((self.folder / "reports").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def token(self) -> str:
        """An administrator's token."""
        return self._token

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an administrator's request."""
        return {"Authorization": f"Bearer {self._token}"}

    def _answers(self) -> bool:
        try:
            with Client(self.url, self._token, patience_s=0) as client:
                client.status()
        except Unreachable:
            return False
        return True

    def _spawn(self, name: str, command: Sequence[str]) -> None:
        variables = {
            "DATABASE_URL": self._engines.database_url,
            "BROKER_URL": self._engines.broker_url,
            "STORE_URL": f"file://{self.folder / 'objects'}",
            "SCRATCH": str(self.folder / "scratch"),
            "CACHE": str(self.folder / "cache"),
            "PORT": str(self._port),
            "DEVICE": "cpu",
            **self.settings,
        }
        threads = str(max(1, (os.cpu_count() or 1) // max(1, self.num_workers)))
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads),
            # Programs start in "/", where this tree is found only by its path.
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
            **{f"VCPBENCH_{key}": value for key, value in variables.items()},
        }
        log = self.folder / "logs" / f"{name}.log"
        self._commands[name] = command
        self._programs[name] = spawn(command, log=log, stop_signal=signal.SIGTERM, env=environment)

    def _tail(self, name: str) -> str:
        log = self.folder / "logs" / f"{name}.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-10:])
