"""Tokens of a team: roles, expiry, owners, revocation; by the API, on the page, and from the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from vcpbench_client import Client
from vcpbench_client.errors import ApiError

from records.models import Role
from records.settings import Settings
from service.auth import COOKIE
from service.tokens.service import MAX_LIVE_TOKENS
from tests.forked import run_vcpbench
from tests.served import Served, open_http, serve
from tests.service.kit import declare, noise, problem_of
from tests.web.read import Page

HTML = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


def make(client: httpx.Client, name: str = "ci", **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/tokens", json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def bearer(api: Served, token: str) -> httpx.Client:
    return open_http(api.url, headers={"Authorization": f"Bearer {token}"})


def expire(api: Served, name: str) -> datetime:
    """Let the tokens of a name expire now."""
    with api.database.session() as session:
        query = text(
            "UPDATE token SET expires_at = clock_timestamp() WHERE name = :name RETURNING expires_at"
        )
        return datetime.fromisoformat(str(session.execute(query, {"name": name}).scalar_one()))


def test_a_team_makes_lists_and_revokes_its_own_tokens(api: Served) -> None:
    with api.client_of("vision") as owner:
        made = make(owner, expires_days=90)
        assert (made["name"], made["team"], made["role"], made["owner"]) == (
            "ci",
            "vision",
            "submitter",
            "vision",
        )
        lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
        assert abs(lasts - timedelta(days=90)) < timedelta(minutes=1)
        with bearer(api, made.pop("token")) as ci:
            assert declare(ci, noise(10))["model"] == "tiny"
            listed = owner.get("/v1/tokens").json()
            assert [one["name"] for one in listed["items"]] == ["ci", "vision"]
            (first, _), total = listed["items"], listed["total"]
            assert (total, first["last_used_at"] is None) == (2, False)
            assert {**first, "last_used_at": None} == made
            revoked = owner.delete(f"/v1/tokens/{made['id']}").json()
            assert (revoked["state"], revoked["revoked_at"] is None) == ("revoked", False)
            problem_of(ci.get("/v1/checkpoints"), 401)
        assert owner.delete(f"/v1/tokens/{made['id']}").json() == revoked


def test_a_token_of_another_team_is_not_seen(api: Served) -> None:
    with api.client_of("vision") as owner, api.client_of("others") as others:
        made = make(owner)
        assert [one["name"] for one in others.get("/v1/tokens").json()["items"]] == ["others"]
        problem_of(others.delete(f"/v1/tokens/{made['id']}"), 404)
        problem_of(others.get("/v1/tokens", params={"team": "vision"}), 403)
        problem_of(others.delete(f"/v1/tokens/{uuid4()}"), 404)
        assert api.client.get("/v1/tokens", params={"team": "vision"}).json()["total"] == 2
        assert api.client.delete(f"/v1/tokens/{made['id']}").json()["state"] == "revoked"


def test_a_reader_reads_what_its_team_sees_and_writes_nothing(api: Served) -> None:
    with (
        api.client_of("vision") as owner,
        api.client_of("vision", role=Role.READER) as reader,
        api.client_of("others", role=Role.READER) as other,
    ):
        path = f"/v1/checkpoints/{declare(owner, noise(10))['id']}"
        assert reader.get(path).status_code == 200
        problem_of(other.get(path), 404)
        body = {"model": "m", "size_bytes": 1, "sha256": "0" * 64}
        assert (
            "needs at least the role submitter"
            in problem_of(reader.post("/v1/checkpoints", json=body), 403)["detail"]
        )
        assert owner.get("/v1/checkpoints").json()["total"] == 1


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"role": "admin"}, "would have more rights"),
        ({"team": "others"}, "Only an administrator makes tokens for team 'others'"),
        ({"owner": "anna"}, "that 'anna' owns"),
    ],
    ids=["role", "team", "owner"],
)
def test_nobody_makes_a_token_with_more_rights_than_their_own(
    api: Served, wanted: dict[str, str], says: str
) -> None:
    with api.client_of("vision") as owner:
        answer = owner.post("/v1/tokens", json={"name": "ci", **wanted})
        assert says in problem_of(answer, 403)["detail"]
    made = make(api.client, team="vision", role="admin", owner="anna")
    assert (made["team"], made["role"], made["owner"]) == ("vision", "admin", "anna")


def test_a_token_of_a_higher_role_is_revoked_by_its_owner_and_by_administrators(api: Served) -> None:
    theirs = make(api.client, "root", team="vision", role="admin")
    own = make(api.client, "mine", team="vision", role="admin", owner="vision")
    with api.client_of("vision") as submitter:
        answer = submitter.delete(f"/v1/tokens/{theirs['id']}")
        assert "Its owner, 'test', or an administrator" in problem_of(answer, 403)["detail"]
        assert submitter.delete(f"/v1/tokens/{own['id']}").json()["state"] == "revoked"


def test_a_token_that_expired_says_so_and_when(api: Served) -> None:
    with api.client_of("vision") as owner, bearer(api, make(owner, "old")["token"]) as old:
        assert old.get("/v1/checkpoints").status_code == 200
        at = expire(api, "old")
        for answer in (old.get("/v1/checkpoints"), old.post("/v1/notes")):
            said = problem_of(answer, 401)["detail"]
            assert said.startswith(f"This token expired on {at:%Y-%m-%d at %H:%M} UTC. Send `Authorization:")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        states = {one["name"]: one["state"] for one in owner.get("/v1/tokens").json()["items"]}
        assert states == {"old": "expired", "vision": "live"}
        secret = old.headers["Authorization"].removeprefix("Bearer ")
    with open_http(api.url, headers=HTML) as browser:
        login = Page.of(browser.post("/login", data={"token": secret}))
        assert "This token expired on" in login.text
        browser.cookies.set(COOKIE, secret)
        assert "This token expired on" in Page.of(browser.get("/models")).text


def test_a_token_that_expires_makes_none_that_lives_longer(api: Served) -> None:
    with api.client_of("vision") as owner:
        first = make(owner, "first", expires_days=2)
        with bearer(api, first["token"]) as holder:
            for days in (None, 90):
                assert make(holder, "second", expires_days=days)["expires_at"] == first["expires_at"]
            assert make(holder, "third", expires_days=1)["expires_at"] < first["expires_at"]


def test_an_installation_sets_the_longest_life(settings: Settings) -> None:
    with serve(settings.model_copy(update={"token_days": 30})) as api:
        answer = api.client.post("/v1/tokens", json={"name": "ci", "expires_days": 31})
        assert "at most 30 days (VCPBENCH_TOKEN_DAYS)" in problem_of(answer, 403)["detail"]
        made = make(api.client)
        lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
        assert abs(lasts - timedelta(days=30)) < timedelta(minutes=1)


def test_a_team_has_no_more_tokens_than_anybody_keeps_track_of(api: Served) -> None:
    with api.client_of("vision") as owner:
        with api.database.session() as session:
            rows = (
                "INSERT INTO token (id, name, team, role, owner, secret_sha256) "
                "SELECT gen_random_uuid(), 'x', 'vision', 'reader', 'x', i FROM generate_series(1, :n) AS i"
            )
            session.execute(text(rows), {"n": MAX_LIVE_TOKENS - 1})
        found = problem_of(owner.post("/v1/tokens", json={"name": "ci"}), 429)
        assert (found["used"], found["allowed"]) == (MAX_LIVE_TOKENS, MAX_LIVE_TOKENS)
        expire_all = text("UPDATE token SET expires_at = clock_timestamp() WHERE name = 'x'")
        with api.database.session() as session:
            session.execute(expire_all)
        assert make(owner)["state"] == "live"


def test_a_secret_is_told_once_and_stored_as_a_hash(api: Served) -> None:
    secret = make(api.client)["token"]
    assert secret.startswith("vcp_")
    with api.database.session() as session:
        rows = str(session.execute(text("SELECT * FROM token")).all())
    assert secret not in rows
    assert secret not in api.client.get("/v1/tokens").text


def browser_of(api: Served, client: httpx.Client) -> httpx.Client:
    secret = client.headers["Authorization"].removeprefix("Bearer ")
    return open_http(api.url, headers={**HTML, "Cookie": f"{COOKIE}={secret}"})


def test_a_token_is_made_shown_once_and_revoked_on_the_page(api: Served) -> None:
    with api.client_of("vision") as owner, browser_of(api, owner) as browser:
        page = Page.of(browser.get("/tokens"))
        (form,) = [one for one in page.root.all("form") if one.attributes.get("class") == "controls"]
        assert [one.text for one in form.all("option")] == ["reader", "submitter"]
        data = {one.attributes["name"]: one.attributes.get("value", "") for one in form.all("input")}
        answer = browser.post("/forms/token", data={**data, "name": "ci", "role": "reader"})
        assert answer.headers["Cache-Control"] == "no-store"
        (field,) = Page.of(answer).root.all("input", class_="whole-line")
        with bearer(api, field.attributes["value"]) as ci:
            found = ci.get("/v1/whoami").json()
            assert (found["role"], found["expires_at"] is None) == ("reader", False)
            page = Page.of(browser.get("/tokens"))
            assert field.attributes["value"] not in page.html
            button = next(one for one in page.root.all("button") if one.text == "Revoke")
            assert button.attributes["aria-label"] == "Revoke the token ci"
            answer = browser.post("/forms/token", data={**data, "token_id": button.attributes["value"]})
            assert answer.headers["Location"] == "/tokens"
            problem_of(ci.get("/v1/whoami"), 401)
        for wrong, says in (
            ({"name": ""}, "'name'"),
            ({"role": "king"}, "'role'"),
            ({"expires_days": "soon"}, "'expires"),
        ):
            answer = browser.post("/forms/token", data={**data, "name": "ci", **wrong})
            assert (answer.status_code, says in Page.of(answer).text) == (422, True)


def test_the_page_says_who_may_see_it(api: Served) -> None:
    with api.client_of("vision", role=Role.READER) as reader, browser_of(api, reader) as browser:
        answer = browser.get("/tokens")
        assert (answer.status_code, "needs at least the role submitter" in Page.of(answer).text) == (
            403,
            True,
        )
    with open_http(api.url, headers=HTML) as nobody:
        assert nobody.get("/tokens").status_code == 401
    with browser_of(api, api.client) as admin:
        assert "Tokens of team vision" in Page.of(admin.get("/tokens", params={"team": "vision"})).text


def test_the_client_makes_lists_and_revokes_tokens(api: Served) -> None:
    secret = api.client.headers["Authorization"].removeprefix("Bearer ")
    with Client(api.url, secret) as client:
        made = client.create_token("ci", role="reader", expires_days=2, team="vision", owner="anna")
        assert made.token is not None
        with Client(api.url, made.token) as ci:
            who = ci.identity()
            assert (who.role, who.owner, who.expires_at) == ("reader", "anna", made.expires_at)
            with pytest.raises(ApiError, match="needs at least the role submitter"):
                ci.create_token("more")
        assert [(one.name, one.token) for one in client.tokens(team="vision")] == [("ci", None)]
        assert client.revoke_token(made.id).state == "revoked"


@pytest.fixture(params=["login", "database"])
def vcpbench(
    request: pytest.FixtureRequest, api: Served, settings: Settings, tmp_path: Path
) -> Callable[..., Any]:
    """Runs `vcpbench token` by the API of a server, or on the database of an installation."""
    by_login = {
        "VCPBENCH_URL": api.url,
        "VCPBENCH_TOKEN": api.client.headers["Authorization"].removeprefix("Bearer "),
    }
    by_database = {"VCPBENCH_DATABASE_URL": settings.database_url.get_secret_value()}
    environment = by_login if request.param == "login" else by_database

    def run(*words: str, code: int = 0) -> Any:
        nobody = {
            "HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path),
            "VCPBENCH_HOME": str(tmp_path / "home"),
        }
        found = run_vcpbench("token", *words, cwd=tmp_path, env={**os.environ, **nobody, **environment})
        assert found.returncode == code, found.stderr
        return json.loads(found.stdout) if "--json" in words else found.stdout

    return run


def test_the_command_makes_lists_and_revokes_tokens_by_a_login_and_on_a_database(
    api: Served, vcpbench: Callable[..., Any]
) -> None:
    made = vcpbench("create", "ci", "--role", "reader", "--expires", "2w", "--owner", "anna", "--json")
    assert (made["team"], made["role"], made["owner"], made["state"]) == ("default", "reader", "anna", "live")
    lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert abs(lasts - timedelta(weeks=2)) < timedelta(minutes=1)
    with bearer(api, made.pop("token")) as ci:
        assert ci.get("/v1/whoami").json()["name"] == "ci"
        (listed,) = [one for one in vcpbench("list", "--json") if one["name"] == "ci"]
        assert {**listed, "last_used_at": None} == {**made, "token": None}
        assert "anna" in vcpbench("list")
        (revoked,) = vcpbench("revoke", "ci", "--json")
        assert (revoked["id"], revoked["state"]) == (made["id"], "revoked")
        problem_of(ci.get("/v1/whoami"), 401)
    assert vcpbench("create", "forever", "--team", "vision").startswith("vcp_")
    (forever,) = vcpbench("list", "--team", "vision", "--json")
    assert (forever["expires_at"], forever["role"]) == (None, "submitter")
    assert forever["id"] in vcpbench("revoke", forever["id"], "--team", "vision")
    error = vcpbench("revoke", "ci", "--json", code=2)["error"]
    assert "No live token has the name or the id 'ci'" in error["message"]
    assert "90d" in vcpbench("create", "x", "--expires", "soon", "--json", code=2)["error"]["message"]
