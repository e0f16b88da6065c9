"""Who may do what: a sweep over every route, so that a new one is tested without being told."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, text

from records import flow
from records.models import Checkpoint, CheckpointState, DatasetRow, DatasetState, Role, Token
from records.repositories import datasets, tokens
from records.settings import Settings
from service.app import create_app
from service.auth import ACTS, COOKIE, READS, form_key
from tests.served import Served, open_http, serve
from tests.service.finished import ready_checkpoint, ready_dataset
from tests.service.kit import begun, declare, every_route, noise, objects, problem_of, put
from vcp_core.catalog.errors import DatasetError, NotACheckpoint
from vcp_core.catalog.protocols import PROTOCOLS

OPEN = {("GET", "/v1/health"), ("GET", "/healthz"), ("GET", "/readyz")}
# The least role of every route. A new route without a line here fails the sweep below.
LEAST = {
    Role.READER: """
        GET /v1/aliases
        GET /v1/aliases/{name}/history
        GET /v1/audit
        GET /v1/checkpoints
        GET /v1/checkpoints/{checkpoint_id}
        GET /v1/checkpoints/{checkpoint_id}/content
        GET /v1/comparisons
        GET /v1/comparisons/{comparison_id}
        GET /v1/datasets
        GET /v1/datasets/{name}
        GET /v1/estimates
        GET /v1/evaluations
        GET /v1/evaluations/{evaluation_id}
        GET /v1/evaluations/{evaluation_id}/answers
        GET /v1/evaluations/{evaluation_id}/map
        GET /v1/evaluations/{evaluation_id}/results
        GET /v1/events
        GET /v1/leaderboard
        GET /v1/leaderboard.csv
        GET /v1/leaderboard.md
        GET /v1/leaderboard.tex
        GET /v1/logs
        GET /v1/logs/{log_id}
        GET /v1/media/{dataset_id}/{geometry}/questions/{protocol_hash}/{key}/{number}/{option}.{form}
        GET /v1/media/{dataset_id}/{geometry}/videos/{key}.{form}
        GET /v1/metrics
        GET /v1/models
        GET /v1/notes
        GET /v1/protocols
        GET /v1/protocols/{name_or_hash}
        GET /v1/quota
        GET /v1/shares
        GET /v1/sizes
        GET /v1/status
        GET /v1/views
        GET /v1/webhooks
        GET /v1/webhooks/{webhook_id}/deliveries
        GET /v1/whoami
    """,
    Role.SUBMITTER: """
        DELETE /v1/aliases/{name}
        PUT /v1/aliases/{name}
        POST /v1/checkpoints
        PUT /v1/checkpoints/upload
        PUT /v1/checkpoints/{checkpoint_id}/content
        DELETE /v1/checkpoints/{checkpoint_id}
        POST /v1/comparisons
        POST /v1/comparisons/{comparison_id}/cancel
        POST /v1/evaluations
        POST /v1/evaluations/{evaluation_id}/cancel
        POST /v1/evaluations/{evaluation_id}/verdicts
        DELETE /v1/evaluations/{evaluation_id}
        DELETE /v1/models/{model}
        PUT /v1/logs
        DELETE /v1/logs/{log_id}
        POST /v1/models/private
        POST /v1/models/rename
        POST /v1/models/tags
        POST /v1/notes
        DELETE /v1/notes/{note_id}
        PUT /v1/notes/{note_id}
        POST /v1/protocols
        POST /v1/shares
        DELETE /v1/shares/{share_id}
        GET /v1/tokens
        POST /v1/tokens
        DELETE /v1/tokens/{token_id}
        POST /v1/views
        DELETE /v1/views/{view_id}
        POST /v1/webhooks
        DELETE /v1/webhooks/{webhook_id}
        POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver
        POST /v1/webhooks/{webhook_id}/test
    """,
    Role.ADMIN: """
        POST /v1/datasets
        DELETE /v1/datasets/{name}
        PATCH /v1/datasets/{name}
        GET /v1/retired-datasets
        DELETE /v1/retired-datasets/{dataset_id}
        POST /v1/reevaluations
        GET /v1/admin/queue
        GET /v1/admin/workers
        PATCH /v1/admin/workers/{worker}
        POST /v1/admin/requeue
        POST /v1/admin/cancel
        POST /v1/admin/purge
        GET /v1/admin/sign-ins
        POST /v1/admin/sign-out
        PUT /v1/admin/evaluations/{evaluation_id}/priority
        PUT /v1/admin/pauses/{what}
        DELETE /v1/admin/pauses/{what}
        GET /v1/admin/quotas/{team}
        PUT /v1/admin/quotas/{team}
    """,
}
RULES = {tuple(line.split()): role for role, lines in LEAST.items() for line in lines.strip().splitlines()}
NOTHING = "00000000-0000-4000-8000-000000000000"
VALUES = {
    "name": "nothing",
    "model": "nothing/nothing",
    "name_or_hash": "nothing",
    **dict.fromkeys(("note_id", "log_id", "share_id", "token_id", "view_id", "dataset_id"), NOTHING),
    **dict.fromkeys(("webhook_id", "delivery_id"), NOTHING),
    "geometry": "resize=128x171,crop=112",
    "protocol_hash": 64 * "0",
    "key": 32 * "0",
    "number": 0,
    "option": "original",
    "form": "webp",
    "what": "gpu",
    "worker": "host:1",
    "team": "vision",
}

OF_A_TEAM = (  # read by a token only, anywhere
    "/v1/whoami",
    "/v1/checkpoints/{checkpoint_id}/content",
    "/v1/retired-datasets",
    "/v1/shares",
    "/v1/tokens",
    "/v1/sizes",
    "/v1/views",
    "/v1/quota",
    "/v1/admin/queue",
    "/v1/admin/workers",
    "/v1/admin/sign-ins",
    "/v1/admin/quotas/{team}",
    "/v1/events",
    "/v1/webhooks",
    "/v1/webhooks/{webhook_id}/deliveries",
    "/v1/audit",
)


@pytest.fixture
def anyone(api: Served) -> Iterator[httpx.Client]:
    """A client without a token."""
    with open_http(api.url) as client:
        yield client


def routes(api: Served) -> list[tuple[str, str]]:
    paths: dict[str, dict[str, Any]] = api.app.openapi()["paths"]
    found = [(method.upper(), path) for path, item in paths.items() for method in item]
    assert len(found) > 18
    return found


def call(client: httpx.Client, method: str, path: str, **headers: str) -> httpx.Response:
    """Call a route with ids of nothing, and no body."""
    for name in _ids():
        path = path.replace(f"{{{name}}}", str(uuid4()))
    return client.request(method, path.format_map(VALUES), headers=headers)


def test_without_a_token_every_route_says_how_to_get_in(api: Served, anyone: httpx.Client) -> None:
    for method, path in routes(api):
        answer = call(anyone, method, path)
        if (method, path) in OPEN:
            assert answer.status_code == 200, path
            continue
        found = problem_of(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer", path
        assert "vcpbench token create" in found["detail"]


@pytest.mark.parametrize("value", ["Bearer vcp_wrong", "Bearer", "Basic dXNlcjpwYXNz", "vcp_wrong", "é"])
def test_a_token_that_opens_nothing_is_refused_by_every_route(
    api: Served, anyone: httpx.Client, value: str
) -> None:
    for method, path in routes(api):
        if (method, path) not in OPEN:
            headers = httpx.Headers({"Authorization": value}, encoding="latin-1")
            url = path.format_map(VALUES | _ids())
            answer = anyone.request(method, url, headers=headers)
            assert problem_of(answer, 401)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_revoked_token_opens_nothing_from_then_on(api: Served) -> None:
    with api.client_of("leaving") as client:
        assert client.get("/v1/checkpoints").status_code == 200
        with api.database.session() as session:
            assert tokens.revoke_named(session, "leaving") == 1
        for method, path in routes(api):
            if (method, path) not in OPEN:
                assert problem_of(call(client, method, path), 401)
    assert api.client.get("/v1/checkpoints").status_code == 200


def test_without_a_token_nobody_fills_the_memory(api: Served, anyone: httpx.Client) -> None:
    """The framework reads a JSON body before it asks who sends it."""
    headers = {"Content-Type": "application/json"}
    described = api.app.openapi()["paths"]
    for method, path in routes(api):
        takes = described[path][method.lower()].get("requestBody", {}).get("content", {})
        if method == "GET" or "application/octet-stream" in takes:  # an upload asks first
            continue
        url = path.format_map({**VALUES, **_ids()})
        endless = (b" " * 65_536 for _ in range(20))
        answer = anyone.request(method, url, content=endless, headers=headers)
        if "application/json" in takes:
            assert "1048576 bytes" in problem_of(answer, 413)["detail"]
        with begun(anyone, method, url, b"[", 10**12, headers) as connection:
            assert connection.recv(12) in (b"HTTP/1.1 413", b"HTTP/1.1 401")
    with begun(anyone, "PUT", "/v1/checkpoints/upload?model=m", b"x", 10**12, {}) as connection:
        assert connection.recv(12) == b"HTTP/1.1 401"


def test_every_route_has_a_least_role_and_refuses_lower_ones(api: Served) -> None:
    assert set(routes(api)) - OPEN == RULES.keys()
    for role in Role:
        with api.client_of(f"{role}s", role=role) as client:
            for (method, path), least in RULES.items():
                answer = call(client, method, path)
                assert (answer.status_code == 403) == (not role.covers(least)), (
                    role,
                    method,
                    path,
                    answer.text,
                )
                if answer.status_code == 403:
                    found = problem_of(answer, 403)["detail"]
                    writes = role is Role.READER and method not in READS
                    needed = Role.SUBMITTER if writes else least  # one gate refuses readers before any route
                    assert f"needs at least the role {needed}, and '{role}s' of team" in found
                    assert f"has the role {role}. Ask" in found
                    assert f"vcpbench token create --role {needed}" in found


def test_a_reader_sends_no_form_and_no_upload_by_a_page(api: Served) -> None:
    sends = {(method, path) for method, path, _ in every_route(api.app) if method != "GET"}
    pages = {(method, path) for method, path in sends if path.startswith(("/forms/", "/submit/"))}
    assert len(pages) == 19
    with api.client_of("readers", role=Role.READER) as reader:
        secret = reader.headers["Authorization"].removeprefix("Bearer ")
    headers = {"Cookie": f"{COOKIE}={secret}", "Sec-Fetch-Site": "same-origin", ACTS: "1"}
    with open_http(api.url, headers=headers) as browser:
        for method, path in pages:
            answer = browser.request(method, path, data={"key": form_key(secret)})
            assert "needs at least the role submitter" in problem_of(answer, 403)["detail"], path
        for path in ("/", "/models", "/submit"):
            page = browser.get(path, headers={"Accept": "text/html"}).text
            assert ("/forms/" in page, "upload.js" in page) == (False, False), path


def _ids() -> dict[str, UUID]:
    return {name: uuid4() for name in ("checkpoint_id", "evaluation_id", "comparison_id")}


@pytest.fixture
def public(settings: Settings) -> Iterator[httpx.Client]:
    """A client without a token of an installation whose results are public."""
    with (
        serve(settings.model_copy(update={"public_read": True})) as served,
        open_http(served.url) as client,
    ):
        yield client


def test_where_reading_is_public_reading_needs_no_token_and_nothing_else_does_without(
    public: httpx.Client, settings: Settings
) -> None:
    paths: dict[str, dict[str, Any]] = create_app(settings).openapi()["paths"]
    for path, item in paths.items():
        for method in item:
            status = call(public, method.upper(), path).status_code
            if method == "get" and path not in OF_A_TEAM:
                assert status in (200, 404, 422), (path, status)
            else:
                assert status == 401, (method, path)
    assert public.get("/v1/checkpoints", headers={"Authorization": "Bearer no"}).status_code == 401


def test_a_token_is_told_whose_it_is(api: Served) -> None:
    with api.client_of("vision", days=2) as client:
        found = client.get("/v1/whoami").json()
        expires = datetime.fromisoformat(found.pop("expires_at"))
        named = {"name": "vision", "team": "vision", "owner": "vision"}
        assert found == {**named, "role": "submitter", "admin": False}
        assert timedelta(days=1) < expires - datetime.now(UTC) < timedelta(days=3)
    assert api.client.get("/v1/whoami").json()["expires_at"] is None


def test_a_teams_upload_is_not_anothers_to_send(api: Served, settings: Settings) -> None:
    declared = declare(api.client, noise(10))
    with api.client_of("others", admin=True) as client:
        problem_of(put(client, declared["id"], noise(10)), 404)
    assert objects(settings) == {}


def test_the_use_of_a_token_is_noted_and_its_secret_is_nowhere(api: Served, settings: Settings) -> None:
    secret = api.client.headers["Authorization"].removeprefix("Bearer ")
    api.client.get("/v1/checkpoints")
    with api.database.session() as session:
        (token,) = session.scalars(select(Token)).all()
        assert token.last_used_at is not None
        before = token.last_used_at
    api.client.get("/v1/checkpoints")
    with api.database.session() as session:
        (token,) = session.scalars(select(Token)).all()
        assert token.last_used_at == before  # to the minute: a read is not a write each time
        tables = session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        dump = "\n".join(
            str(row) for table in tables for row in session.execute(text(f'SELECT * FROM "{table}"'))
        )
    assert token.secret_sha256 in dump
    assert secret not in dump
    assert secret.removeprefix("vcp_") not in dump


def test_a_secret_is_not_in_the_log(
    settings: Settings, api: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = api.client.headers["Authorization"].removeprefix("Bearer ")
    command = ["curl", "-s", "-H", f"Authorization: Bearer {secret}x", f"{api.url}/v1/checkpoints"]
    assert "Unauthorised" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    api.client.get("/v1/nothing")
    assert secret not in "".join(capfd.readouterr())


def test_what_is_not_ready_is_nobody_elses_business(api: Served, settings: Settings) -> None:
    with api.client_of("vision") as owner, api.client_of("others") as others:
        theirs = declare(owner, noise(10), model="secret")
        path = f"/v1/checkpoints/{theirs['id']}"
        problem_of(others.get(path), 404)
        assert others.get("/v1/checkpoints").json() == {"items": [], "total": 0}
        assert others.get("/models/vision/secret", headers={"Accept": "text/html"}).status_code == 404
        for client in (owner, api.client):
            assert client.get(path).status_code == 200
            assert client.get("/v1/checkpoints").json()["total"] == 1
        with api.database.session() as session:
            session.get_one(Checkpoint, UUID(theirs["id"])).state = CheckpointState.READY
        assert others.get(path).json()["sha256"] == theirs["sha256"]
    with (
        serve(settings.model_copy(update={"public_read": True})) as public,
        open_http(public.url) as anyone,
    ):
        declared = declare(public.client, noise(20))
        problem_of(anyone.get(f"/v1/checkpoints/{declared['id']}"), 404)
        assert anyone.get("/v1/checkpoints").json()["total"] == 1


def test_why_a_file_was_refused_is_its_own_teams_and_where_videos_lie_the_operators(
    api: Served, settings: Settings
) -> None:
    refused, facts = "plain text, beginning 'my diary'", {"run": "night-3", "step": 7}
    missing = Path("/mnt/spare/gone.csv")
    with api.database.session() as session:
        dataset = ready_dataset(session)
        weights = ready_checkpoint(session, team="vision", state=CheckpointState.INGESTING, **facts)
        good = ready_checkpoint(session, team="vision", model="good")
        gone = DatasetRow(
            name="gone", source={"name_or_path": "ucf101:/srv/secret videos"}, state=DatasetState.FAILED
        )
        gone.reason = DatasetError("no such folder; nor ", missing, ".", path="/srv/secret videos")
        session.add(gone)
        protocol = datasets.keep_protocol(session, PROTOCOLS["quick-v1"])
        assert protocol is not None
        flow.lock(session)
        asked = [
            flow.find_or_create(session, one, on, protocol.hash, team="vision")[0].id
            for one, on in ((weights, dataset), (good, gone))
        ]
        weights.state, weights.reason = CheckpointState.REJECTED, NotACheckpoint(refused)
        flow.checkpoint_ended(session, weights)
    with (
        api.client_of("vision") as owner,
        api.client_of("others") as others,
        serve(settings.model_copy(update={"public_read": True})) as public,
        open_http(public.url) as anyone,
    ):

        def told(client: httpx.Client) -> list[tuple[str, str, int | None]]:
            listed = client.get("/v1/evaluations").json()["items"]
            shown = [client.get(f"/v1/evaluations/{one}").json() for one in asked]
            assert sorted(listed, key=str) == sorted(({**one, "progress": None} for one in shown), key=str)
            return [(one["reason"], one["checkpoint"]["run"], one["checkpoint"]["step"]) for one in shown]

        why, where = f"the checkpoint was rejected: {refused}", "the dataset gone cannot be used: "
        unplaced = f"{where}gone: no such folder; nor gone.csv."
        assert told(owner) == [(why, "night-3", 7), (unplaced, None, None)]
        assert told(api.client) == [(why, "night-3", 7), (f"{where}{gone.reason}", None, None)]
        for client in (others, anyone):
            assert told(client) == [("the checkpoint was rejected", None, None), (unplaced, None, None)]
            conflict = problem_of(client.get(f"/v1/evaluations/{asked[0]}/results"), 409)["detail"]
            assert "diary" not in conflict
            assert client.get("/v1/datasets/gone").json()["reason"] == unplaced.removeprefix(where)
        assert api.client.get("/v1/datasets/gone").json()["reason"] == str(gone.reason)


@pytest.mark.parametrize(("address", "secure"), [("https://bench.example", True), ("", False)])
def test_behind_a_proxy_the_public_address_makes_the_cookie_secure_and_is_printed(
    settings: Settings, address: str, secure: bool
) -> None:
    with serve(settings.model_copy(update={"public_url": address})) as api:
        secret = api.client.headers["Authorization"].removeprefix("Bearer ")
        answer = api.client.post("/login", data={"token": secret})
        assert answer.status_code == 303
        assert ("Secure" in answer.headers["Set-Cookie"]) == secure
        assert (address or api.url) in api.client.get("/submit").text
