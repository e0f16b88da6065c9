"""Events: lists, streams that fan out from one connection, and verdicts of gates."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, text

from records import flow
from records.models import Evaluation, EventKind, Job
from records.repositories import events
from records.settings import Settings
from service import limits
from service.events import hub
from service.events.hub import Message, Watcher
from service.events.routes import _messages
from tests.patience import DEADLINE_S, until
from tests.served import Served, serve
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.service.kit import problem_of

STREAM = {"Accept": "text/event-stream"}
RULES = [{"rule": "min recognition.top1=40", "verdict": "pass"}]


@dataclass
class Watch:
    """A stream that is read by a thread: its messages so far, each as its fields."""

    messages: list[dict[str, str]] = field(default_factory=list)
    begun: bool = False
    ended: bool = False

    def read(self, connection: socket.socket) -> None:
        """Read until the connection ends. The data of a message is its last field."""
        fields: dict[str, str] = {}
        with connection.makefile("r", encoding="utf-8") as lines, suppress(OSError):
            for line in lines:
                name, _, value = line.rstrip().partition(": ")
                self.begun |= name == "retry"
                if name in ("id", "event", "data"):
                    fields[name] = value
                if name == "data":
                    self.messages.append(fields)
                    fields = {}
        self.ended = True

    def ids(self) -> list[int]:
        return [int(one["id"]) for one in self.messages if "id" in one]

    def progress(self) -> list[dict[str, Any]]:
        return [json.loads(one["data"]) for one in self.messages if one["event"] == "progress"]


@contextmanager
def watching(client: httpx.Client, query: str = "", after: int | None = None) -> Iterator[Watch]:
    """Read a stream meanwhile, over a connection of its own, which the end cuts."""
    found, base = Watch(), client.base_url
    headers = {"Host": base.host, "Authorization": client.headers["Authorization"], **STREAM}
    if after is not None:
        headers["Last-Event-ID"] = str(after)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((base.host, base.port or 80), timeout=DEADLINE_S) as connection:
        connection.sendall(f"GET /v1/events{query} HTTP/1.1\r\n{head}\r\n".encode())
        reader = threading.Thread(target=found.read, args=(connection,), daemon=True)
        reader.start()
        until(lambda: found.begun, hopeless=lambda: found.ended and "the stream did not begin")
        try:
            yield found
        finally:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            reader.join()


def happen(api: Served, team: str = "default", evaluation: UUID | None = None) -> int:
    with api.database.session() as session:
        kind = EventKind.EVALUATION_DONE
        return events.add(session, kind, team=team, facts={"model": "m"}, evaluation_id=evaluation).id


def evaluated(api: Served, team: str = "default") -> UUID:
    with api.database.session() as session:
        dataset = ready_dataset(session, f"of {team}")
        return done(session, ready_checkpoint(session, team=team), dataset, {"recognition.top1": 50.0}).id


def test_a_team_lists_its_own_events_the_newest_first(api: Served) -> None:
    mine = [happen(api) for _ in range(3)]
    happen(api, "others")
    found = api.client.get("/v1/events", params={"limit": 2}).json()
    assert ([one["id"] for one in found["items"]], found["total"]) == ([mine[2], mine[1]], 3)
    assert found["items"][0]["kind"] == "evaluation.done"
    evaluation = evaluated(api)
    of_one = happen(api, evaluation=evaluation)
    found = api.client.get("/v1/events", params={"evaluation": str(evaluation)}).json()
    assert [one["id"] for one in found["items"]] == [of_one]


def test_watchers_get_what_happens_and_nothing_of_other_teams(api: Served) -> None:
    happen(api)  # before anybody watches
    with api.client_of("others") as others, watching(others) as theirs, watching(api.client) as mine:
        ids = [happen(api) for _ in range(20)]
        other = happen(api, "others")
        until(lambda: mine.ids() == ids)
        until(lambda: theirs.ids() == [other])
        assert mine.messages[0]["event"] == "evaluation.done"
        assert json.loads(mine.messages[0]["data"])["id"] == ids[0]


def test_one_connection_listens_for_all_watchers(api: Served) -> None:
    with watching(api.client) as first, watching(api.client) as second, watching(api.client) as third:
        event = happen(api)
        for one in (first, second, third):
            until(lambda one=one: one.ids() == [event])  # type: ignore[misc]
        listens = text(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' "
            "AND datname = current_database()"
        )
        with api.database.session() as session:
            assert session.scalar(listens) == 1


def test_watchers_that_are_told_in_turns_get_each_event_once_and_in_order(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "TOLD_AT_ONCE", 1)
    first = happen(api)
    with watching(api.client) as one, watching(api.client) as two:
        ids = []
        with watching(api.client):  # it leaves in the middle
            ids += [happen(api) for _ in range(20)]
        ids += [happen(api) for _ in range(5)]
        with watching(api.client, after=first) as late:
            ids += [happen(api) for _ in range(20)]
            for watch in (one, two, late):
                until(lambda watch=watch: watch.ids() == ids)  # type: ignore[misc]


def test_a_stream_sends_an_event_once_though_it_was_told_twice(api: Served) -> None:
    watcher = Watcher("default", None)
    for message in (
        Message(b"first", 1),
        Message(b"first", 1),
        Message(b"progress"),
        Message(b"second", 2),
        None,
    ):
        watcher.waiting.put_nowait(message)

    async def sent() -> list[bytes]:
        return [one async for one in _messages(api.app.state.hub, watcher, api.database, None)]

    assert asyncio.run(sent())[1:] == [b"first", b"progress", b"second"]


def test_a_stream_resumes_after_an_event(api: Served) -> None:
    ids = [happen(api) for _ in range(5)]
    happen(api, "others")
    with watching(api.client, after=ids[1]) as found:
        until(lambda: found.ids() == ids[2:])
        more = happen(api)
        until(lambda: found.ids() == [*ids[2:], more])
    with watching(api.client, after=0) as found:
        until(lambda: found.ids() == [*ids, more])


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 19, "9" * 30, "٣"], ids=str)
def test_an_id_that_is_none_is_refused(api: Served, given: str) -> None:
    headers = httpx.Headers({**STREAM, "Last-Event-ID": given}, encoding="utf-8")
    assert "Last-Event-ID" in problem_of(api.client.get("/v1/events", headers=headers), 422)["detail"]


def test_after_the_database_was_away_watchers_get_what_happened_meanwhile(api: Served) -> None:
    with watching(api.client) as found:
        first = happen(api)
        until(lambda: found.ids() == [first])
        with api.database.session() as session:
            session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' "
                    "AND datname = current_database()"
                )
            )
        second = happen(api)
        until(lambda: found.ids() == [first, second])


def test_a_stream_of_one_evaluation_has_its_progress_and_its_end(api: Served) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        evaluation = done(session, ready_checkpoint(session), dataset, {})
        flow.lock(session)
        again, _ = flow.find_or_create(
            session, ready_checkpoint(session, "new"), dataset, evaluation.protocol_hash, team="default"
        )
    with watching(api.client, f"?evaluation={again.id}") as found:
        until(lambda: [one["state"] for one in found.progress()] == ["planning"])
        with api.database.session() as session:
            events.tell_progress(session, session.scalars(select(Job.id)).one())
        until(lambda: len(found.progress()) == 2)
        happen(api)  # of no evaluation
        with api.database.session() as session:
            flow.lock(session)
            flow.cancel(session, session.get_one(Evaluation, again.id))
        until(lambda: len(found.ids()) == 1)
        (last,) = [one for one in found.messages if "id" in one]
        assert last["event"] == "evaluation.cancelled"


def test_only_its_team_and_administrators_watch_an_evaluation(api: Served) -> None:
    evaluation = evaluated(api, "vision")
    query = f"?evaluation={evaluation}"
    with api.client_of("others") as others:
        for headers in ({}, STREAM):
            answer = others.get(f"/v1/events{query}", headers=headers)
            assert "belongs to team 'vision'" in problem_of(answer, 403)["detail"]
        problem_of(others.get(f"/v1/events?evaluation={uuid4()}", headers=STREAM), 404)
    with watching(api.client, query) as found:
        event = happen(api, "vision", evaluation)
        until(lambda: found.ids() == [event])


def test_a_team_has_so_many_streams_and_each_that_ends_makes_room(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_WATCHERS_OF_A_TEAM", 2)
    with watching(api.client), api.client_of("others") as others:
        with watching(api.client):
            found = problem_of(api.client.get("/v1/events", headers=STREAM), 429)
            assert (found["limit"], found["used"], found["allowed"]) == ("streams of events", 2, 2)
            with watching(others):
                pass
        hub = api.app.state.hub
        until(lambda: len(hub._watchers) == 1)
        with watching(api.client):
            pass


def test_a_server_that_stops_ends_its_streams(settings: Settings) -> None:
    with serve(settings) as api, api.client_of("a") as client, watching(client) as found:
        api.server.should_exit = True
        until(lambda: found.ended)


def test_a_verdict_of_a_gate_becomes_an_event(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = evaluated(api, "vision")
    path = f"/v1/evaluations/{evaluation}/verdicts"
    with api.client_of("vision") as team, api.client_of("others") as others:
        answer = team.post(path, json={"verdict": "pass", "rules": RULES})
        assert answer.status_code == 201, answer.text
        said = answer.json()
        assert (said["kind"], said["evaluation"]) == ("gate.verdict", str(evaluation))
        assert said["facts"]["verdict"] == "pass"
        assert said["facts"]["rules"] == RULES
        assert said["facts"]["by"] == "vision"
        assert said["facts"]["scores"]["recognition.top1"]["value"] == 50.0
        assert team.get("/v1/events").json()["items"] == [said]
        problem_of(others.post(path, json={"verdict": "pass", "rules": RULES}), 403)
        problem_of(team.post(path, json={"verdict": "error", "rules": RULES}), 422)
        problem_of(team.post(path, json={"verdict": "pass", "rules": []}), 422)
        monkeypatch.setattr("service.events.service.MAX_VERDICTS", 1)
        found = problem_of(team.post(path, json={"verdict": "pass", "rules": RULES}), 429)
        assert (found["limit"], found["used"]) == ("verdicts", 1)
