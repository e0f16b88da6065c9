"""The client's methods against the real service, and what becomes of bad answers and bad lines."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import vcpbench_client
from sqlalchemy import update
from vcpbench_client import (
    ApiError,
    Client,
    ClientError,
    Comparison,
    Evaluation,
    NotCompared,
    NotDone,
    TimedOut,
    Unauthorised,
    Unreachable,
    patience,
)
from vcpbench_client.errors import BadAnswer, Conflict, Forbidden, Misconfigured, NotFound

import records.models
from records.db import NOW
from records.models import ComparisonState
from tests.client.conftest import token_of
from tests.client.hands import Hands, write_model
from tests.client.line import Line
from tests.patience import with_time_enough
from tests.served import Served
from tests.service.finished import HEADLINE, done, ready_checkpoint, ready_dataset
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.results.types import Results


def evaluated(client: Client, path: Path, model: str = "mine", **facts: int) -> Evaluation:
    uploaded = client.upload(path, model, **facts)  # type: ignore[arg-type]
    return client.wait(client.evaluate(uploaded, "gestures", "quick-v1"))


def test_a_checkpoints_whole_way(api: Served, client: Client, hands: Hands, tmp_path: Path) -> None:
    first = evaluated(client, write_model(tmp_path / "a", range(40)), step=1)
    second = evaluated(client, write_model(tmp_path / "b", range(90)), step=2)
    (score,) = (score for score in second.scores if score.metric == HEADLINE)
    assert (score.value, score.headline) == (pytest.approx(90), True)
    assert score.low < 90 < score.high
    assert "cloze" in second.unavailable
    assert second.warnings

    compared = client.compare(first.id, second.id)
    (difference,) = (one for one in compared.differences if one.metric == HEADLINE)
    assert (difference.first, difference.second) == (pytest.approx(40), pytest.approx(90))
    assert (compared.first.id, compared.second.id) == (first.id, second.id)

    board = client.leaderboard("gestures", "quick-v1", metrics=[HEADLINE])
    assert [(row.model, row.step, row.rank) for row in board.rows] == [("mine", 2, 1), ("mine", 1, 2)]
    assert client.leaderboard("gestures", "quick-v1", latest=True).total == 1

    results = client.results(second.id)
    assert results["benchmarks"][0]["predictions"]["columns"]["video"][0] == "v000"
    text = api.client.get(f"/v1/evaluations/{second.id}/results").text
    assert client.results_json(second.id) == text == Results.model_validate(results).to_json()
    assert client.evaluation(second.id) == second
    assert client.evaluate("mine@latest", "gestures", "quick-v1").id == second.id
    assert [one.step for one in client.checkpoints(model="mine")] == [2, 1]
    assert [one.id for one in client.evaluations(state="done")] == [second.id, first.id]
    assert client.checkpoint(second.checkpoint.id).state == "ready"
    assert [worker.name for worker in client.status().workers] == ["hands"]
    assert {one.name: one.state for one in client.datasets()}["gestures"] == "ready"
    assert "quick-v1" in {one.name for one in client.protocols()}


def test_lists_are_fetched_page_by_page(api: Served, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vcpbench_client.asking.PAGE", 2)
    with api.database.session() as session:
        for step in range(5):
            ready_checkpoint(session, "mine", step=step)
    assert [one.step for one in client.checkpoints()] == [4, 3, 2, 1, 0]
    assert [one.step for one in client.checkpoints(limit=3)] == [4, 3, 2]
    assert list(client.checkpoints(limit=0)) == []


def test_progress_is_told_until_it_is_done(client: Client, hands: Hands, tmp_path: Path) -> None:
    hands.work.clear()
    asked = client.evaluate(
        client.upload(write_model(tmp_path / "a", range(40)), "mine"), "gestures", "quick-v1"
    )
    told: list[str] = []

    def tell(found: Evaluation) -> None:
        told.append(found.state)
        hands.work.set()

    assert client.wait(asked.id, on_progress=tell).state == "done"
    assert told[-1] == "done"
    assert told[0] != "done"


def given_up(wait: Callable[[float], object]) -> str:
    """What is said once the seconds are over in which the server did answer."""

    def run(seconds: str) -> str:
        with pytest.raises(TimedOut) as caught:
            wait(float(seconds))
        return str(caught.value)

    return with_time_enough(run, lambda said: "still waiting" in said, first_s=0.3)


def test_a_comparison_is_waited_for_and_told(
    api: Served, client: Client, hands: Hands, tmp_path: Path
) -> None:
    first = evaluated(client, write_model(tmp_path / "a", range(40)))
    second = evaluated(client, write_model(tmp_path / "b", range(90)))
    hands.work.clear()
    told: list[str] = []

    def tell(found: Comparison) -> None:
        told.append(found.state)
        hands.work.set()

    assert client.compare(first.id, "mine@latest", on_progress=tell).second.id == second.id
    assert (told[0], told[-1]) == ("waiting", "done")
    client.compare(first.id, second.id, on_progress=tell)
    assert told[-2:] == ["done", "done"]  # what was made once is there at once
    hands.stop()
    said = given_up(lambda seconds: client.compare(second.id, first.id, timeout_s=seconds))
    assert re.search(r"comparison of .* is still waiting after", said)
    with api.database.session() as session:
        failed = {"state": ComparisonState.FAILED, "reason": VcpbenchError("no room"), "finished_at": NOW}
        session.execute(update(records.models.Comparison).values(**failed))
    with pytest.raises(NotCompared, match="could not be compared: no room"):
        client.compare(second.id, first.id)


def test_waiting_ends_with_the_reason(client: Client, hands: Hands, tmp_path: Path) -> None:
    with pytest.raises(NotDone, match="is failed: out of memory") as caught:
        evaluated(client, write_model(tmp_path / "a", [], fail="out of memory"))
    assert caught.value.evaluation.log_tail == "Traceback: ..."
    cause = caught.value.evaluation.cause
    assert cause is not None
    assert cause.code == caught.value.more["code"] == "VcpbenchError"
    hands.stop()
    path = write_model(tmp_path / "b", range(3))
    asked = client.evaluate(client.upload(path, "mine"), "gestures", "quick-v1")
    assert "is still waiting after" in given_up(lambda seconds: client.wait(asked, timeout_s=seconds))
    assert client.cancel(asked.id).state == client.cancel(asked.id).state == "cancelled"
    with pytest.raises(NotDone, match="is cancelled"):
        client.wait(asked)


def test_problems_are_errors_of_their_kind(api: Served, client: Client) -> None:
    unknown = "11111111-1111-1111-1111-111111111111"
    with pytest.raises(NotFound, match="no checkpoint of a model 'mine'"):
        client.evaluate("mine@latest", "playground-64")
    with pytest.raises(NotFound, match="Did you mean 'playground'"):
        client.leaderboard("playgruond")
    with pytest.raises(NotFound, match=f"No evaluation {unknown}"):
        client.evaluation(unknown)
    with pytest.raises(ApiError, match="names no evaluation") as caught:
        client.evaluation("no-id?x=")
    assert caught.value.status == 422
    with api.database.session() as session:
        row = done(session, ready_checkpoint(session), ready_dataset(session), {HEADLINE: 1.0})
    with pytest.raises(Conflict, match="is done already"):
        client.cancel(str(row.id))
    stranger = api.client_of("others").headers["Authorization"].removeprefix("Bearer ")
    with Client(api.url, stranger) as other, pytest.raises(Forbidden, match="belongs to team 'default'"):
        other.cancel(str(row.id))
    with Client(api.url) as nobody, pytest.raises(Unauthorised, match="This request needs a token"):
        nobody.datasets()
    assert issubclass(Forbidden, ClientError)


def test_a_server_that_comes_back_is_not_noticed(far: Client, line: Line) -> None:
    far.status()
    line.faults.extend([(503, ""), 0, (504, "Retry-After: 0\r\n")])
    line.cut()
    assert far.status()
    assert not line.faults


@pytest.mark.parametrize(
    ("after", "slept_s"), [("120", None), ("0.5", 0), ("Mon, 01 Jan 2001 00:00:00 GMT", 0)]
)
def test_retry_after_is_honoured_within_patience(
    api: Served, line: Line, slept: list[float], after: str, slept_s: float | None
) -> None:
    line.faults.append((503, f"Retry-After: {after}\r\n"))
    with Client(line.url, token_of(api), patience_s=30) as client:
        if slept_s is None:
            with pytest.raises(ApiError, match="503"):
                client.status()
            assert slept == []
        else:
            client.status()
            assert 0 < slept[0] < 0.1


def test_retry_after_may_be_a_date(api: Served, line: Line, slept: list[float]) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    line.faults.append((503, f"Retry-After: {at}\r\n"))
    with Client(line.url, token_of(api)) as client:
        client.status()
    assert 15 < slept[0] <= 20


def test_pauses_grow_and_differ(
    api: Served, line: Line, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vcpbench_client.patience.FIRST_PAUSE_S", 0.5)
    line.faults.extend([(503, "")] * 6)
    with Client(line.url, token_of(api)) as client:
        client.status()
    for number, pause_s in enumerate(slept):
        longest_s = min(0.5 * 2**number, patience.LONGEST_PAUSE_S)
        assert 0.5 * longest_s <= pause_s <= longest_s
    assert len(slept) == len(set(slept)) == 6


def test_the_time_for_everything_is_a_limit_for_everything(
    api: Served, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("vcpbench_client.patience.time", clock)
    with Client(line.url, token_of(api), timeout_s=40) as client:
        client.status()
        line.faults.extend([(503, "")] * 10_000)
        line.cut()
        with pytest.raises((ApiError, TimedOut)):
            client.status()
        assert clock.now <= 40
        clock.now = 40
        with pytest.raises(TimedOut, match=r"gave up after 40 s"):
            client.status()


class Clock:
    """Stands in for the module `time`: it goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("status", "headers", "kind", "says"),
    [
        (200, "", BadAnswer, "answers 'proxy'... and no JSON"),
        (302, "Location: https://elsewhere/\r\n", BadAnswer, "leads on to https://elsewhere/"),
        (404, "", NotFound, "Is it its address"),
        (401, "", Unauthorised, "401"),
        (500, "", ApiError, "500"),
    ],
)
def test_what_is_not_vcpbench_is_said(line: Line, status: int, headers: str, kind: type, says: str) -> None:
    line.faults.append((status, headers))
    with Client(line.url, "vcp_x") as client, pytest.raises(kind) as caught:
        client.status()
    assert says in str(caught.value)
    assert line.num_connections == 1


def test_a_name_that_is_no_host_is_given_up_soon() -> None:
    begun = time.monotonic()
    with Client("http://no-such-host.invalid", "vcp_x") as client, pytest.raises(Unreachable):
        client.status()
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    ("expected", "lookup", "least_s", "most_s"),
    [
        (False, None, 0, 3),
        (True, None, 30, 60),
        (True, socket.EAI_NONAME, 0, 3),
        (True, socket.EAI_AGAIN, 30, 60),  # the name server was away, too
    ],
)
def test_a_server_that_never_answered_is_waited_for_only_if_it_is_expected(
    line: Line,
    monkeypatch: pytest.MonkeyPatch,
    expected: bool,
    lookup: int | None,
    least_s: float,
    most_s: float,
) -> None:
    def fail(*given: object, **more: object) -> None:
        raise socket.gaierror(lookup, "as the test wants it")

    clock = Clock()
    monkeypatch.setattr("vcpbench_client.patience.time", clock)
    line.close()
    if lookup is not None:
        monkeypatch.setattr("socket.getaddrinfo", fail)
    with Client(line.url, "vcp_x", expected=expected) as client, pytest.raises(Unreachable):
        client.status()
    assert least_s < clock.now <= most_s


@pytest.mark.parametrize(
    "url", ["vcpbench.org", "ftp://x", "http://", "http://me:secret@host", "http://h:99999", "http://h/?a=1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match="is no address"):
        Client(url, "vcp_x")
    with pytest.raises(Misconfigured, match="characters that no token has"):
        Client("http://host", "vcp_x\nvcp_y")


def test_the_public_face_is_there_and_loads_nothing_before_it_is_used() -> None:
    for name in vcpbench_client.__all__:
        assert isinstance(getattr(vcpbench_client, name), type) or name == "export"
    with pytest.raises(AttributeError, match="no attribute 'Cleint'"):
        vcpbench_client.Cleint  # noqa: B018
