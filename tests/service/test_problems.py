"""Whatever goes wrong is a problem (RFC 9457) that says what, which, and what next; and never inner words."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as tries
from hypothesis import strategies as st
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from records import flow
from records.db import driver_url
from records.repositories import checkpoints
from records.settings import Settings
from tests.patience import DEADLINE_S, until
from tests.served import Served, serve
from tests.service.kit import every_route, problem_of
from tests.workers import environment
from worker.work import is_away

S3_SETTINGS = (
    ("REGION", "garage"),
    ("ACCESS_KEY_ID", "x"),
    ("SECRET_ACCESS_KEY", "x"),
    ("ALLOW_HTTP", "true"),
)


def test_an_unknown_route_is_said(api: Served) -> None:
    for path in ("/nothing", "/v1", "/v1/checkpoint", "/v1/checkpoints/x/y/z"):
        assert f"GET {path}" in problem_of(api.client.get(path), 404)["detail"]


def test_a_wrong_method_is_said_with_those_that_are_right(api: Served) -> None:
    answer = api.client.delete("/v1/protocols")
    assert problem_of(answer, 405)["title"] == "Method not allowed"
    assert answer.headers["Allow"] == "GET, POST"


def test_every_address_allows_the_methods_that_it_takes_and_no_others(api: Served) -> None:
    methods = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
    for address in sorted({address for _, address, _ in every_route(api.app)}):
        answers = {method: api.client.request(method, address) for method in methods}
        taken = [method for method, answer in answers.items() if answer.status_code != 405]
        assert 0 < len(taken) < len(methods), address
        for answer in answers.values():
            if answer.status_code == 405:
                assert answer.headers["Allow"] == ", ".join(taken), (address, answer.request.method)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b'{"model": "m",}', b"[" * 100_000, b"9" * 5000])
def test_what_is_not_json_is_said(api: Served, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/v1/checkpoints", "/v1/evaluations", "/v1/datasets", "/v1/protocols"):
        answer = api.client.post(path, content=content, headers=headers)
        assert answer.status_code in (400, 422)
        problem_of(answer, answer.status_code)


def test_a_field_of_the_wrong_type_is_named(api: Served) -> None:
    body = {"model": "m", "size_bytes": "many", "sha256": "0" * 63, "colour": "red"}
    found = problem_of(api.client.post("/v1/checkpoints", json=body), 422)
    assert {one["at"] for one in found["errors"]} == {"body.size_bytes", "body.sha256", "body.colour"}
    assert "Field 'size_bytes' is 'many'; it must be a whole number." in found["detail"]
    found = problem_of(api.client.get("/v1/evaluations", params={"limit": 0, "state": "over"}), 422)
    assert {one["at"] for one in found["errors"]} == {"query.limit", "query.state"}
    found = problem_of(api.client.get("/v1/checkpoints/not-an-id"), 422)
    assert "'not-an-id' names no checkpoint." in found["detail"]


def test_an_unknown_name_brings_a_suggestion(api: Served) -> None:
    api.client.post("/v1/datasets", json={"name": "gestures", "location": "/videos"})
    for path, near in (
        ("/v1/datasets/gesture", "gestures"),
        ("/v1/protocols/quick-v2", "quick-v1"),
        ("/v1/leaderboard?dataset=gesturs", "gestures"),
        ("/v1/leaderboard.csv?dataset=gesturs", "gestures"),
    ):
        assert f"Did you mean {near!r}?" in problem_of(api.client.get(path), 404)["detail"]
    answer = api.client.post("/v1/protocols", json={"name": "mine", "base": "quick-v2"})
    assert "Did you mean 'quick-v1'?" in problem_of(answer, 404)["detail"]
    assert "Did you mean" in problem_of(api.client.delete("/v1/datasets/gesture"), 404)["detail"]


def test_a_protocol_that_makes_no_sense_is_said_by_its_field(api: Served) -> None:
    for numbers, where in (
        ({}, "Field 'name' is missing."),
        ({"name": 7}, "Field 'name' is 7; it must be text."),
        ({"name": "x", "grid": {"num_clips": 0}}, "grid.num_clips = 0"),
        ({"name": "x", "grid": 3}, "grid"),
        ({"name": "x", "speed": 1}, "a protocol has no number speed"),
    ):
        assert where in problem_of(api.client.post("/v1/protocols", json=numbers), 422)["detail"]
    problem_of(api.client.post("/v1/protocols", json={"name": "quick-v1", "seed": 5}), 409)
    first = api.client.post("/v1/protocols", json={"name": "mine", "seed": 5})
    again = api.client.post("/v1/protocols", json={"name": "mine", "seed": 5})
    assert first.json() == again.json()
    assert (
        "mine"
        in problem_of(api.client.post("/v1/protocols", json={"name": "mine", "seed": 6}), 409)["detail"]
    )


@pytest.mark.parametrize("name", ["", " ", "a\u0000b", "x" * 101, "a/b", "\ud800"])
def test_a_protocols_name_is_one_that_a_url_can_hold(api: Served, name: str) -> None:
    problem_of(_post(api, "/v1/protocols", json.dumps({"name": name})), 422)


def test_unknown_ids_are_not_found(api: Served) -> None:
    unknown = uuid4()
    for method, path in (
        ("GET", f"/v1/checkpoints/{unknown}"),
        ("PUT", f"/v1/checkpoints/{unknown}/content"),
        ("GET", f"/v1/evaluations/{unknown}"),
        ("GET", f"/v1/evaluations/{unknown}/results"),
        ("POST", f"/v1/evaluations/{unknown}/cancel"),
        ("GET", f"/v1/comparisons?first={unknown}&second={unknown}"),
    ):
        assert str(unknown) in problem_of(api.client.request(method, path), 404)["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/checkpoints?team=%00",
        "/v1/evaluations?model=a%00b",
        "/v1/evaluations?offset=99999999999999999999",
        "/v1/datasets/a%00",
        "/v1/protocols/%00",
        "/v1/leaderboard?dataset=%00",
    ],
)
def test_what_the_database_cannot_hold_is_the_callers_fault(api: Served, path: str) -> None:
    problem_of(api.client.get(path), 422)


def test_numbers_that_no_column_holds_are_refused(api: Served) -> None:
    body = {"model": "m", "size_bytes": 1, "sha256": "0" * 64, "step": 2**53}
    assert "'step'" in problem_of(api.client.post("/v1/checkpoints", json=body), 422)["detail"]


def test_a_database_that_is_away_is_said_and_when_to_come_back(api: Served, settings: Settings) -> None:
    url = make_url(driver_url(settings.database_url.get_secret_value()))
    admin = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    assert api.client.get("/v1/checkpoints").status_code == 200
    with admin.connect() as connection:
        kill = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(kill, {"name": url.database})
        connection.execute(text(f"ALTER DATABASE {url.database} RENAME TO {url.database}_away"))
        try:
            for path in ("/v1/health", "/v1/checkpoints", "/v1/leaderboard?dataset=x"):
                answer = api.client.get(path)
                found = problem_of(answer, 503)
                assert int(answer.headers["Retry-After"]) > 0
                assert str(url.database) not in found["detail"]
            assert api.client.get("/healthz").json() == {"status": "alive"}
            answer = api.client.put("/v1/checkpoints/upload", params={"model": "m"}, content=b"abc")
            assert answer.status_code == 503
            connection.execute(kill, {"name": f"{url.database}_away"})
        finally:
            connection.execute(text(f"ALTER DATABASE {url.database}_away RENAME TO {url.database}"))
        assert api.client.get("/v1/health").status_code == 200
        connection.execute(kill, {"name": url.database})  # as after a restart: pooled connections are dead
        assert api.client.get("/v1/health").status_code == 200
    admin.dispose()


def test_a_store_that_is_away_is_said_and_when_to_come_back(
    api: Served, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        for name, value in (("ENDPOINT_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}"), *S3_SETTINGS):
            monkeypatch.setenv(f"AWS_{name}", value)
        with serve(settings.model_copy(update={"store_url": "s3://bucket"})) as away:
            answer = away.client.put("/v1/checkpoints/upload", params={"model": "m"}, content=b"abc")
            found = problem_of(answer, 503)
            assert (found["type"], answer.headers["Retry-After"]) == ("urn:vcpbench:store-away", "5")
            assert "127.0.0.1" not in found["detail"]
            assert away.client.get("/v1/checkpoints").json()["total"] == 0


def test_a_commit_that_fails_is_not_answered_as_done(api: Served) -> None:
    def end_connection(session: Any) -> None:
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    body = {"model": "m", "size_bytes": 1, "sha256": "0" * 64}
    assert api.client.get("/v1/checkpoints").status_code == 200
    event.listen(api.database._sessions, "before_commit", end_connection)
    try:
        problem_of(api.client.post("/v1/checkpoints", json=body), 503)
    finally:
        event.remove(api.database._sessions, "before_commit", end_connection)
    assert api.client.get("/v1/checkpoints").json()["total"] == 0


def test_a_fault_of_ours_is_told_without_inner_words(
    api: Served, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with api.database.session() as session:
        session.execute(text("ALTER TABLE job RENAME TO gone"))  # nothing foresees a lost table
    found = problem_of(api.client.get("/v1/status"), 500)
    assert found["title"] == "Internal error"
    assert not any(word in str(found).lower() for word in ("job", "relation", "sql", "psycopg", "traceback"))
    assert until(lambda: "relation" in caplog.text)  # but whoever runs it can read it


def test_the_service_does_not_start_where_there_is_no_database(settings: Settings) -> None:
    dead = environment(settings) | {"VCPBENCH_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    done = _start(dead)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "cannot be reached" in done.stderr


def test_the_service_does_not_start_on_an_empty_database(settings: Settings) -> None:
    url = make_url(driver_url(settings.database_url.get_secret_value())).set(database="postgres")
    empty = environment(settings) | {"VCPBENCH_DATABASE_URL": url.render_as_string(hide_password=False)}
    done = _start(empty)
    assert (done.returncode, "vcpbench migrate" in done.stderr) == (2, True), done.stderr


def _start(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service"],
        env={**os.environ, **variables, "VCPBENCH_PORT": "1"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = {
    "/v1/checkpoints": ("model", "size_bytes", "sha256", "backbone", "run", "step"),
    "/v1/evaluations": ("checkpoint", "dataset", "protocol"),
    "/v1/datasets": ("name", "location", "split", "csv", "test_groups", "suffixes", "lists"),
    "/v1/protocols": ("name", "base", "seed", "precision", "grid", "cloze", "probe", "retrieval", "control"),
}
GOOD = {
    "model": "m", "size_bytes": 1, "sha256": "0" * 64, "dataset": "d", "checkpoint": "m@latest",
    "name": "n", "location": "/videos", "base": "quick-v1",
}  # fmt: skip


@pytest.mark.parametrize("path", FIELDS)
@tries(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_body_makes_a_fault(api: Served, path: str, data: st.DataObject) -> None:
    names = FIELDS[path]
    changed = st.dictionaries(st.sampled_from(names), JSON, max_size=2)
    sane = {name: GOOD[name] for name in names if name in GOOD}
    body = data.draw(changed.map(lambda change: sane | change) | JSON)
    answer = api.client.post(path, json=body) if _sendable(body) else None
    if answer is not None:
        assert answer.status_code < 500, (body, answer.text)
        if answer.status_code >= 400:
            problem_of(answer, answer.status_code)


def _sendable(body: Any) -> bool:
    """NaN and the like are sent by their own test."""
    try:
        httpx.Request("POST", "http://x", json=body)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("path", FIELDS)
@pytest.mark.parametrize("value", ["NaN", "1e999", '"\\ud800"', '"\\u0000"', "9" * 4000, "-0.0", "[[[]]]"])
def test_no_value_makes_a_fault(api: Served, path: str, value: str) -> None:
    sane = {name: f'"{GOOD[name]}"' for name in FIELDS[path] if name in GOOD}
    for name in FIELDS[path]:
        fields = {**sane, name: value}
        body = "{" + ", ".join(f'"{key}": {said}' for key, said in fields.items()) + "}"
        assert _post(api, path, body).status_code < 500, body
    assert _post(api, path, f"{{{value if value[0] == chr(34) else chr(34) * 2}: 1}}").status_code < 500


def _post(api: Served, path: str, body: str) -> httpx.Response:
    return api.client.post(path, content=body, headers={"Content-Type": "application/json"})


@tries(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["checkpoints", "evaluations", "leaderboard", "leaderboard.csv", "comparisons"]),
    st.dictionaries(
        st.sampled_from(
            ["model", "team", "dataset", "protocol", "sort", "metric", "limit", "offset", "latest"]
        ),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=6) | st.integers().map(str),
    ),
)
@example("leaderboard", {"dataset": "playground-64", "sort": "-"})
def test_no_question_makes_a_fault(api: Served, route: str, query: dict[str, str]) -> None:
    assert api.client.get(f"/v1/{route}", params=query).status_code < 500


def test_a_request_that_waits_too_long_for_a_lock_is_told_to_come_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.app.LOCK_TIMEOUT_S", 0.2)
    with serve(settings) as api, api.database.session() as session:
        flow.lock(session)
        body = {"checkpoint": "m@latest", "dataset": "playground-64", "protocol": "quick-v1"}
        answer = api.client.post("/v1/evaluations", json=body)
        assert answer.headers["Retry-After"] == "5"
        found = problem_of(answer, 503)
        assert (found["type"], "waited too long for a lock" in found["detail"]) == (
            "urn:vcpbench:database-busy",
            True,
        )


@pytest.mark.parametrize(
    ("state", "status", "kind", "says"),
    [
        ("53100", 507, "database-full", "disk is full"),
        ("53200", 503, "database-busy", "no memory or connection"),
        ("40P01", 503, "database-busy", "Another request"),
        ("57P03", 503, "database-away", "cannot be reached"),
    ],
)
def test_what_the_database_lacks_is_said_as_it_is(
    api: Served, state: str, status: int, kind: str, says: str
) -> None:
    raises = f"BEGIN RAISE EXCEPTION 'could not extend file /pg/base/1' USING ERRCODE = '{state}'; END"
    with api.database.session() as session:
        session.execute(text(f"CREATE FUNCTION lacks() RETURNS trigger LANGUAGE plpgsql AS $$ {raises} $$"))
        session.execute(text("CREATE TRIGGER lacks BEFORE INSERT ON model EXECUTE FUNCTION lacks()"))
    body = {"model": "m", "size_bytes": 1, "sha256": "0" * 64}
    answer = api.client.post("/v1/checkpoints", json=body)
    found = problem_of(answer, status)
    assert found["type"] == f"urn:vcpbench:{kind}"
    assert says in found["detail"]
    assert "/pg/base" not in answer.text
    with pytest.raises(DBAPIError) as caught, api.database.session() as session:
        checkpoints.model_of(session, "t", "m")
    assert is_away(caught.value) is (state in ("53100", "57P03"))  # a worker waits for room, too


def test_connections_to_a_machine_that_vanished_end_within_a_lease(api: Served) -> None:
    with api.database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        found = driver.info.get_parameters()
    silent_s = int(found["keepalives_idle"]) + int(found["keepalives_interval"]) * int(
        found["keepalives_count"]
    )
    lease_s = Settings.model_fields["lease_s"].default
    assert silent_s < lease_s / 2
    assert int(found["tcp_user_timeout"]) <= lease_s / 2 * 1000


def test_every_thread_that_answers_requests_can_have_a_connection(api: Served) -> None:
    with ExitStack() as stack:
        for _ in range(40):  # anyio's threads
            stack.enter_context(api.database.engine.connect())
