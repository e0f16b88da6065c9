"""Watches events by many streams while a board is read, and prints lag, losses and how long the board took.

python -m bench.watchers                    500 streams of 5 teams, 10,000 evaluations, 50 readers, 60 s
python -m bench.watchers --watchers 100     fewer streams, for less than 60 s: --seconds 20
python -m bench.watchers --json             the numbers for programs

The board is read twice by the readers of bench/load.py: without streams, and while all streams are open and
events happen. Times of the board are the server's own. The lag of an event is the time from its row to the
line in the stream, by the clock of this one machine. Readers, streams and service share its cores. Exits with
1 if an event is lost or comes twice, if a request fails, or if the board's 95th percentile takes longer than
100 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from sqlalchemy import text

from bench.installation import BenchFailed, Installation, running
from bench.load import DATASET, LEADERBOARD, LIMIT_MS, Filled, fill, quantile, read, real_results
from records.db import Database
from records.models import EventKind
from records.repositories import events, tokens
from service.limits import MAX_WATCHERS_OF_A_TEAM

A_TEAM = 100  # streams of each team
EVERY_S = 1.0  # between two events of a team
OPEN_S, LAST_S = 300.0, 5.0  # to open all streams, and for the last events to arrive


@dataclass
class Seen:
    """What one stream got: ids of events, and the lag of each in milliseconds."""

    team: str
    ids: list[int] = field(default_factory=list)
    lags_ms: list[float] = field(default_factory=list)


async def _watch(seen: Seen, url: str, token: str, source: str, opened: Any) -> None:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, local_addr=(source, 0))
    head = f"GET /v1/events HTTP/1.1\r\nHost: {address.netloc}\r\nAccept: text/event-stream\r\n"
    writer.write(f"{head}Authorization: Bearer {token}\r\n\r\n".encode())
    status = (await reader.readline()).split()[1]
    if status != b"200":
        raise BenchFailed(f"a stream was answered {status.decode()}")
    try:
        while line := await reader.readline():
            if line.startswith(b"retry:"):
                opened.release()
            elif line.startswith(b"data: "):
                event = json.loads(line[6:])
                lag = time.time() - datetime.fromisoformat(event["at"]).timestamp()
                seen.ids.append(event["id"])
                seen.lags_ms.append(1000 * lag)
    finally:
        writer.close()


def watch(url: str, shares: Mapping[str, tuple[str, int]], opened: Any, over: Any, results: Any) -> None:
    """Hold all streams until told that it is over. It runs in a process of its own.

    Args:
        url: Of the service.
        shares: By team, its token and how many streams it opens.
        opened: A semaphore, released once for each stream that is open.
        over: An event.
        results: A queue for what the streams got.
    """

    async def all_streams() -> list[Seen]:
        streams, seen = [], []
        for number, (team, (token, count)) in enumerate(shares.items()):
            source = f"127.0.0.{2 + number}"  # one address gets at most a half of the connections
            for _ in range(count):
                seen.append(Seen(team))
                streams.append(asyncio.create_task(_watch(seen[-1], url, token, source, opened)))
        await asyncio.to_thread(over.wait)
        for stream in streams:
            stream.cancel()
        ended = await asyncio.gather(*streams, return_exceptions=True)
        for one in ended:
            if isinstance(one, Exception):
                raise one
        return seen

    try:
        results.put([(one.team, one.ids, one.lags_ms) for one in asyncio.run(all_streams())])
    except Exception as error:  # the other process waits for an answer
        results.put(f"{type(error).__name__}: {error}")


@contextmanager
def happening(database: Database, teams: Sequence[str]) -> Iterator[dict[str, list[int]]]:
    """Let events of each team happen meanwhile; their ids by team."""
    made: dict[str, list[int]] = {team: [] for team in teams}
    over = threading.Event()

    def happen() -> None:
        while not over.wait(EVERY_S):
            for team in teams:
                with database.session() as session:
                    facts = {"model": "bench"}
                    event = events.add(session, EventKind.EVALUATION_DONE, team=team, facts=facts)
                made[team].append(event.id)

    thread = threading.Thread(target=happen)
    thread.start()
    try:
        yield made
    finally:
        over.set()
        thread.join()


def board(installation: Installation, filled: Filled, arguments: argparse.Namespace) -> dict[str, Any]:
    """Read the board, and say how long the service took."""
    answers = asyncio.run(
        read(installation.url, installation.headers, filled, arguments.readers, arguments.seconds)
    )
    took = answers.server_ms[LEADERBOARD]
    return {
        "number": len(took),
        "p50_ms": quantile(took, 0.5),
        "p95_ms": quantile(took, 0.95),
        "errors": answers.errors,
    }


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fill a service, read it without and with streams, and describe both."""
    results = real_results(folder, arguments.dataset)
    with running(Installation(folder, 0)) as installation:
        with installation.database.session() as session:
            filled = fill(session, results, arguments.evaluations)
        with installation.database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))
        before = board(installation, filled, arguments)
        shares = {}
        for number in range(math.ceil(arguments.watchers / A_TEAM)):
            team = f"watchers-{number}"
            with installation.database.session() as session:
                _, token = tokens.create(session, name=team, team=team)
            shares[team] = token, min(A_TEAM, arguments.watchers - number * A_TEAM)
        context = multiprocessing.get_context("spawn")
        opened, over, found = context.Semaphore(0), context.Event(), context.Queue()
        what = (installation.url, shares, opened, over, found)
        process = context.Process(target=watch, args=what, daemon=True)
        process.start()
        deadline = time.monotonic() + OPEN_S
        for _ in range(arguments.watchers):
            if not opened.acquire(timeout=max(0.0, deadline - time.monotonic())):
                raise BenchFailed(f"not all streams were open within {OPEN_S:.0f} s")
        with happening(installation.database, list(shares)) as made:
            during = board(installation, filled, arguments)
        time.sleep(LAST_S)
        over.set()
        seen = found.get()
        process.join()
    if isinstance(seen, str):
        raise BenchFailed(seen)
    lags = [lag for _, _, own in seen for lag in own]
    return {
        "watchers": len(seen),
        "events": sum(map(len, made.values())),
        "expected": sum(len(made[team]) for team, _, _ in seen),
        "delivered": len(lags),
        "wrong": sum(ids != made[team] for team, ids, _ in seen),
        "lag_ms": {"p50": quantile(lags, 0.5), "p95": quantile(lags, 0.95), "max": max(lags)},
        "board_without": before,
        "board_with": during,
    }


def main() -> None:
    """Print how watchers and readers of the board fared together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--watchers", type=int, default=500, help=f"{A_TEAM} of each team")
    parser.add_argument("--evaluations", type=int, default=10_000)
    parser.add_argument("--dataset", default=DATASET, help="the fewer videos, the sooner it begins")
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the two readings")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    assert A_TEAM <= MAX_WATCHERS_OF_A_TEAM
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), arguments)
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)
    failed = found["board_without"]["errors"] or found["board_with"]["errors"]
    sys.exit(bool(failed or found["wrong"]) or found["board_with"]["p95_ms"] > LIMIT_MS)


def show(found: Mapping[str, Any]) -> None:
    """Print lines for people."""
    console, lag = Console(highlight=False), found["lag_ms"]
    console.print(
        f"{found['watchers']} streams, {found['events']} events: {found['delivered']:,} of "
        f"{found['expected']:,} messages, {found['wrong']} streams that missed one or got one twice"
    )
    console.print(f"lag: median {lag['p50']:.0f} ms, 95 % {lag['p95']:.0f} ms, longest {lag['max']:.0f} ms")
    for name, words in (("board_without", "without streams"), ("board_with", "with streams")):
        one = found[name]
        console.print(
            f"board {words}: {one['number']:,} requests, median {one['p50_ms']:.0f} ms, "
            f"95 % {one['p95_ms']:.0f} ms, {len(one['errors'])} errors of all pages"
        )


if __name__ == "__main__":
    main()
