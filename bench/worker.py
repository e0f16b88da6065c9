"""A worker for measurements. It is no part of the product: it replaces functions of the product's worker.

python -m bench.worker --report FILE                                  a usual worker that notes database time
python -m bench.worker --report FILE --extraction hash --part 0.1     makes features up; needs no videos
python -m bench.worker --report FILE --extraction sleep --sleep-s 0.5 sleeps for each shard first

The settings are those of `python -m worker`. For each job the worker writes a line of JSON into FILE: its
kind, its seconds, and `Spent`.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.orm import Session

from bench.rehearsal.features import MadeUp
from bench.rehearsal.manifest import like_ucf101
from records.db import Database
from records.repositories.jobs import Claim
from vcp_core.catalog.errors import ProtocolError
from worker import child, runner
from worker.job_loop import JobLoop

EXTRACTIONS = ("real", "hash", "sleep")
DRIVER_CALLS = (
    (psycopg.Cursor, "execute"),
    (psycopg.Cursor, "executemany"),
    (psycopg.Connection, "commit"),
    (psycopg.Connection, "rollback"),
)


@dataclasses.dataclass
class Spent:
    """Time that one job spends with the database: claim, reads, and the transaction that ends it.

    Attributes:
        database_s: In calls of the driver, which wait for PostgreSQL and its locks.
        session_s: From the begin of each session to its commit: the calls, and Python's work between them.
        sessions: How many sessions.
        background_s: Of sessions of other threads meanwhile: renewals of the lease, sweeps, signs of life.
    """

    database_s: float = 0.0
    session_s: float = 0.0
    sessions: int = 0
    background_s: float = 0.0


class Meter:
    """Notes the time that each job spends in sessions of the database.

    Args:
        report: The file of the lines.
    """

    def __init__(self, report: Path) -> None:
        self._report, self._lock = report, threading.Lock()
        self._job_thread = 0
        self._spent = Spent()
        self._kind = ""

    def install(self) -> None:
        """Replace the product's functions by ones that note their time."""
        session, do, do_next = Database.session, JobLoop._do, JobLoop._do_next
        for owner, name in DRIVER_CALLS:
            setattr(owner, name, self._timed(getattr(owner, name)))

        @contextmanager
        def timed_session(database: Database) -> Iterator[Session]:
            begun = time.perf_counter()
            try:
                with session(database) as opened:
                    yield opened
            finally:
                took = time.perf_counter() - begun
                if self._is_job():
                    self._spent.session_s += took
                    self._spent.sessions += 1
                else:
                    with self._lock:  # of several threads
                        self._spent.background_s += took

        def noting_kind(loop: JobLoop, claim: Claim) -> None:
            self._kind = claim.kind.value
            do(loop, claim)

        def noting_time(loop: JobLoop) -> bool:
            # JobLoop lets one thread at a time do this.
            self._job_thread, self._spent, begun = threading.get_ident(), Spent(), time.perf_counter()
            claimed = do_next(loop)
            if claimed:
                found = {"kind": self._kind, "seconds": time.perf_counter() - begun}
                with self._report.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found | dataclasses.asdict(self._spent)) + "\n")
            return claimed

        Database.session = timed_session  # type: ignore[method-assign,assignment]
        JobLoop._do = noting_kind  # type: ignore[method-assign,assignment]
        JobLoop._do_next = noting_time  # type: ignore[method-assign,assignment]

    def _is_job(self) -> bool:
        return threading.get_ident() == self._job_thread

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def timed(*arguments: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                if self._is_job():
                    self._spent.database_s += time.perf_counter() - begun

        return timed


def index(
    tell: child.Tell,
    *,
    part: float,
    source: dict[str, Any],
    name: str,
    out: str,
    known: str | None,
    findings: str,
) -> dict[str, Any]:
    """Write the manifest of videos that do not exist. It takes the place of `worker.child.index`."""
    from vcp_core.datasets.summary import summary

    dataset = dataclasses.replace(like_ucf101(part), name=name, root=Path(source["name_or_path"]))
    Path(out).write_text(dataset.to_json(), encoding="utf-8")
    Path(findings).touch()
    return {"fingerprint": dataset.fingerprint, "own_name": None, "summary": summary(dataset)}


def calibrate(
    tell: child.Tell, *, plan: dict[str, Any], seed: int, like: str | None, device: str, out: str
) -> dict[str, Any]:
    """Write random weights without calibrating them. It takes the place of `worker.child.calibrate`."""
    from vcp_core.backbones import build
    from vcp_core.checkpoints.canonical import write_canonical

    state = build(plan["backbone"], seed=seed).state_dict()
    write_canonical(Path(out), plan["backbone"], {key: value.contiguous() for key, value in state.items()})
    return {"weights_sha256": child._sha256(Path(out)), "device": "none"}


def extract(
    tell: child.Tell,
    *,
    sleep_s: float,
    plan: dict[str, Any],
    clips: list[Any],
    weights: str | None,
    alone: bool,
    device: str,
    out: str,
) -> dict[str, Any]:
    """Sleep, then make features up. It takes the place of `worker.child.extract`."""
    from vcp_core.features.shards import Clip, Shard

    made = child._evaluation_plan(**plan)
    if made.max_pooled:
        raise ProtocolError(f"{made.protocol.name} asks for max-pooled features, which are not made up here.")
    time.sleep(sleep_s)
    by_id = {video.id: video for video in made.dataset.videos}
    videos = tuple((by_id[video], tuple(Clip(video, *clip) for clip in wanted)) for video, _, wanted in clips)
    shard = Shard(number=0, videos=videos)
    dims = tuple(zip(made.spec.stages, made.spec.stage_dims, strict=True))
    _network(dims, Path(weights).name.rpartition("-")[2] if weights else "").shard(shard).save(Path(out))
    tell(shard.num_clips, shard.num_clips)
    counts = {"decoded_frames": 0, "forwarded_clips": shard.num_clips}
    return {"device": "none", "counts": counts | dict.fromkeys(("decode_s", "wait_s", "forward_s"), 0.0)}


@functools.cache
def _network(dims: tuple[tuple[str, int], ...], name: str) -> MadeUp:
    """The made-up network whose weights lie in a file of this name, which is a hash."""
    return MadeUp(dict(dims), seed=int(name[:8] or "0", 16))


def _replacements(arguments: argparse.Namespace) -> dict[str, Callable[..., dict[str, Any]]]:
    if arguments.extraction == "real":
        return {}
    return {
        "index": functools.partial(index, part=arguments.part),
        "calibrate": calibrate,
        "extract": functools.partial(extract, sleep_s=arguments.sleep_s),
    }


def main() -> int:
    """Work until a signal says to stop; with `--child`, answer the requests of such a worker."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--extraction", choices=EXTRACTIONS, default="real")
    parser.add_argument("--part", type=float, default=1.0, help="of UCF101's videos, if none exist")
    parser.add_argument("--sleep-s", type=float, default=0.0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child.FUNCTIONS = {**child.FUNCTIONS, **_replacements(arguments)}
        child.main()
        return 0
    from worker import app

    if arguments.extraction != "real":
        runner.COMMAND = (sys.executable, "-m", "bench.worker", "--child", *sys.argv[1:])
    Meter(arguments.report).install()
    return app.main()


if __name__ == "__main__":
    sys.exit(main())
