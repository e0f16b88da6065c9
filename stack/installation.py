"""The processes of an installation on one machine; `python -m stack.installation HOME` supervises them."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from records import migrate
from records.db import Database
from records.models import Role
from records.repositories import tokens
from stack.engines import Engine, Engines
from stack.home import IN_USE, Home, HomeInUse, StackState
from stack.supervisor import Program, Supervisor, say
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.files import whole

Step = tuple[str, Callable[[], Sequence[Program]]]
CORES_FOR_EACH_FIT = 4  # cores of the machine for each worker that fits probes


def steps(home: Home, engines: Engines, host: str, port: int) -> list[Step]:
    """The steps of a start: PostgreSQL, Valkey, schema and token, API and workers.

    A step begins once the step before has returned. The step of the database waits until PostgreSQL and
    Valkey answer, because the API and the workers need both.
    """
    environment: dict[str, str | None] = {
        # In a file, which no child behind walls can read, and no log or tool shows with the environment.
        "VCPBENCH_SECRETS": str(home.secrets),
        "VCPBENCH_DATABASE_URL": None,  # the user may have set it to another database
        "VCPBENCH_BROKER_URL": engines.broker_url,
        "VCPBENCH_STORE_URL": f"file://{home.objects}",
        "VCPBENCH_SCRATCH": str(home.scratch),
        "VCPBENCH_DATASETS_ARE_LOCAL": "true",
        "VCPBENCH_HOST": host,
        "VCPBENCH_PORT": str(port),
    }

    def engine(which: Engine) -> list[Program]:
        which.prepare()
        return [
            Program(
                name=which.name,
                command=which.command(),
                environment={},
                stop_signal=which.stop_signal,
                options=which.account.options,
            )
        ]

    def database() -> list[Program]:
        engines.postgres.wait()
        engines.valkey.wait()
        engines.postgres.create_database()
        with whole(home.secrets / "vcpbench_database_url", mode=0o600) as part:
            part.write_text(engines.database_url)
        for step in migrate.upgrade(engines.database_url):
            say(f"migrated: {step}")
        keep_token(home, engines.database_url)
        return []

    def ours() -> list[Program]:
        return [
            Program(name="service", command=[sys.executable, "-m", "service"], environment=environment),
            *(
                Program(
                    name=name,
                    command=[sys.executable, "-m", "worker"],
                    environment={**environment, "VCPBENCH_QUEUES": queue, "VCPBENCH_DEVICE": device},
                )
                for name, queue, device in workers(num_gpus(), os.cpu_count() or 1)
            ),
        ]

    return [
        ("starting PostgreSQL", lambda: engine(engines.postgres)),
        ("starting Valkey", lambda: engine(engines.valkey)),
        ("preparing the database", database),
        ("starting the API and workers", ours),
    ]


def workers(gpus: int, cores: int) -> list[tuple[str, str, str]]:
    """Name, queue and device of every worker: one for each device, and some for jobs that need no network.

    A worker fits a probe on one core. So a machine with more cores gets more of these workers. Most cores are
    left to decoding and to networks. Without a GPU, the worker of the networks also fits while none waits.

    >>> workers(gpus=1, cores=8)[1:]
    [('worker-cpu-1', 'cpu', 'cpu'), ('worker-gpu', 'gpu', 'cuda:0')]
    >>> workers(gpus=0, cores=2)
    [('worker-cpu', 'cpu', 'cpu'), ('worker-gpu', 'gpu,cpu', 'cpu')]
    """
    devices = [f"cuda:{number}" for number in range(gpus)] or ["cpu"]
    queues = "gpu" if gpus else "gpu,cpu"
    fitting = _numbered("worker-cpu", max(1, cores // CORES_FOR_EACH_FIT))
    networks = zip(_numbered("worker-gpu", len(devices)), devices, strict=True)
    return [
        *((name, "cpu", "cpu") for name in fitting),
        *((name, queues, device) for name, device in networks),
    ]


def _numbered(name: str, how_many: int) -> list[str]:
    return [name] if how_many == 1 else [f"{name}-{number}" for number in range(how_many)]


def num_gpus() -> int:
    """Count the NVIDIA GPUs that this user may see, without loading torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def keep_token(home: Home, url: str) -> None:
    """Keep a token in the home. Make a new one if the file was deleted or the database does not know it."""
    database = Database(url)
    try:
        with database.session() as session:
            kept = home.token.read_text().strip() if home.token.exists() else ""
            if kept and tokens.find(session, kept) is not None:
                return
            tokens.revoke_named(session, "local")  # a token whose file is gone must not stay valid
            _, secret = tokens.create(session, name="local", team="default", role=Role.ADMIN)
            with whole(home.token, mode=0o600) as part:
                part.write_text(secret + "\n")
    finally:
        database.dispose()


def main() -> int:
    """Run the supervisor until a signal comes, and return its exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    asked = parser.parse_args()
    host = f"[{asked.host}]" if ":" in asked.host else asked.host  # an IPv6 address
    home, url = Home(asked.home), f"http://{host}:{asked.port}"
    try:
        with home.locked():
            home.write(StackState(pid=os.getpid(), url=url, phase="starting", step="starting"))
            try:
                home.make()
                engines = Engines.in_folder(home.engines)
                supervisor = Supervisor(home, url, data=str(engines.postgres.folder))
                try:
                    supervisor.run(steps(home, engines, asked.host, asked.port))
                finally:
                    shutil.rmtree(engines.valkey.sockets, ignore_errors=True)
            except VcpbenchError as error:
                say(str(error))
                home.write(StackState(pid=os.getpid(), url=url, phase="failed", reason=str(error)))
                return 2
    except VcpbenchError as error:
        say(str(error))
        return IN_USE if isinstance(error, HomeInUse) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
