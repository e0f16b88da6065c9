"""People sign in at a real OpenID Connect provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from records.models import SignIn
from records.settings import Settings, SettingsError
from service.auth import COOKIE
from service.oidc import Provider
from service.web.signing_in import ATTEMPT
from tests.identity.provider import SECRET, RealProvider, provider, query_of
from tests.served import Served, open_http, serve
from tests.service.kit import problem_of
from tests.web.read import Page

HTML = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
TEAMS = "ml-admins=vision:admin;ml=vision:submitter;guests=vision:reader;video=others:submitter"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealProvider]:
    with provider(tmp_path_factory.mktemp("provider")) as found:
        yield found


@dataclass(frozen=True)
class Site:
    """A service whose people sign in at the provider."""

    api: Served
    real: RealProvider

    def browser(self) -> httpx.Client:
        """A new browser."""
        return open_http(self.api.url, headers=HTML)

    def began(self, browser: httpx.Client, **query: str) -> str:
        """Begin to sign in. Return where the service sends the browser."""
        answer = browser.get("/login/oidc", params=query)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["Location"])

    def back(self, browser: httpx.Client, sub: str, **query: str) -> httpx.Response:
        """Sign in as somebody, and come back."""
        return browser.get(self.real.sign_in(self.began(browser, **query), sub))

    def rows(self) -> list[SignIn]:
        with self.api.database.session() as session:
            return list(session.scalars(select(SignIn)).all())


def with_provider(settings: Settings, real: RealProvider, **more: Any) -> Settings:
    secret = SecretStr(SECRET)
    chosen = {"oidc_client_id": "vcpbench", "oidc_client_secret": secret, "oidc_teams": TEAMS, **more}
    return settings.model_copy(update={"oidc_issuer": real.issuer, **chosen})


@pytest.fixture
def site(settings: Settings, real: RealProvider) -> Iterator[Site]:
    with serve(with_provider(settings, real)) as api:
        yield Site(api, real)


def identity(browser: httpx.Client) -> dict[str, Any]:
    return dict(browser.get("/v1/whoami", headers={"Accept": "application/json"}).json())


def test_a_person_signs_in_and_is_of_the_team_and_role_of_the_first_group_that_counts(site: Site) -> None:
    people = {
        "anna": (["staff", "ml"], "vision", "submitter"),
        "bo": (["guests", "ml-admins"], "vision", "admin"),
        "cy": (["guests"], "vision", "reader"),
        "di": ("video", "others", "submitter"),
    }
    for sub, (groups, team, role) in people.items():
        site.real.know(sub, email=f"{sub}@example.org", email_verified=True, groups=groups)
        with site.browser() as browser:
            answer = site.back(browser, sub, next="/models?tag=a")
            page = Page.of(answer)
            assert f"You are {sub}@example.org, with the role {role} in team {team}" in page.text
            assert page.links("Go on") == ["/models?tag=a"]
            assert 'content="0; url=/models?tag=a"' in answer.text
            found = identity(browser)
            assert (found["name"], found["team"], found["role"]) == (f"{sub}@example.org", team, role)
            assert browser.get("/models").status_code == 200
            assert browser.get("/tokens").status_code == (403 if role == "reader" else 200)


def test_the_cookie_is_strict_and_only_its_hash_is_stored(site: Site) -> None:
    site.real.know("anna", groups=["ml"])
    with site.browser() as browser:
        answer = site.back(browser, "anna")
        cookies = answer.headers.get_list("Set-Cookie")
        kept = next(one for one in cookies if one.startswith(COOKIE))
        assert ("HttpOnly" in kept, "SameSite=strict" in kept, "Max-Age=43200" in kept) == (True, True, True)
        secret = browser.cookies[COOKIE]
        assert any(one.startswith(f'{ATTEMPT}=""') for one in cookies)
        with site.api.database.session() as session:
            assert secret not in str(session.execute(text("SELECT * FROM sign_in")).all())
        headers = {"Authorization": f"Bearer {secret}"}
        with open_http(site.api.url, headers=headers) as program:  # a cookie is no token
            problem_of(program.get("/v1/whoami"), 401)


def test_a_signed_in_person_writes_by_forms_as_the_bearer_of_a_token_does(site: Site) -> None:
    site.real.know("anna", email="anna@example.org", groups=["ml"])
    with site.browser() as browser:
        site.back(browser, "anna")
        page = Page.of(browser.get("/tokens"))
        (key,) = {
            one.attributes["value"] for one in page.root.all("input") if one.attributes.get("name") == "key"
        }
        made = Page.of(browser.post("/forms/token", data={"key": key, "name": "ci", "role": "reader"}))
        (field,) = made.root.all("input", class_="whole-line")
        with open_http(
            site.api.url, headers={"Authorization": f"Bearer {field.attributes['value']}"}
        ) as program:
            found = program.get("/v1/whoami").json()
        assert (found["owner"], found["role"], found["expires_at"]) == ("anna@example.org", "reader", None)
        assert browser.post("/forms/token", data={"key": "0" * 64, "name": "ci"}).status_code == 403


def test_to_sign_out_ends_the_session_and_not_only_the_cookie(site: Site) -> None:
    site.real.know("anna", groups=["ml"])
    with site.browser() as browser:
        site.back(browser, "anna")
        secret = browser.cookies[COOKIE]
        assert browser.post("/logout").headers["Location"] == "/login"
        assert site.rows() == []
        browser.cookies.set(COOKIE, secret)
        answer = browser.get("/models")
        assert answer.status_code == 401
        assert "This sign-in has ended" in Page.of(answer).text


def test_a_session_ends_by_the_clock_and_is_deleted_at_the_next_sign_in(site: Site) -> None:
    site.real.know("anna", groups=["ml"])
    with site.browser() as browser, site.browser() as other:
        site.back(browser, "anna")
        with site.api.database.session() as session:
            session.execute(text("UPDATE sign_in SET expires_at = clock_timestamp()"))
        assert browser.get("/models").status_code == 401
        site.back(other, "anna")
        assert len(site.rows()) == 1


def test_whose_group_is_gone_loses_every_browser_at_the_next_sign_in(site: Site) -> None:
    site.real.know("anna", email="anna@example.org", groups=["ml"])
    with site.browser() as first, site.browser() as second:
        site.back(first, "anna")
        site.real.know("anna", email="anna@example.org", groups=["alumni"])
        assert first.get("/models").status_code == 200  # until then, or until the session ends
        answer = site.back(second, "anna")
        assert answer.status_code == 403
        said = Page.of(answer).text
        assert "none of your groups there is a team here" in said
        assert "'alumni'" in said
        assert COOKIE not in second.cookies
        assert first.get("/models").status_code == 401
        assert site.rows() == []


def test_an_administrator_signs_a_person_out_of_every_browser(site: Site) -> None:
    site.real.know("anna", email="anna@example.org", email_verified=True, groups=["ml"])
    site.real.know("bo", email="bo@example.org", email_verified=True, groups=["ml"])
    with site.browser() as first, site.browser() as second, site.browser() as other:
        site.back(first, "anna")
        site.back(second, "anna")
        site.back(other, "bo")
        listed = site.api.client.get("/v1/admin/sign-ins").json()
        assert [one["name"] for one in listed["items"]] == ["bo@example.org", *["anna@example.org"] * 2]
        assert listed["total"] == 3
        answer = site.api.client.post("/v1/admin/sign-out", json={"person": "anna@example.org"})
        assert answer.json() == {"name": "anna@example.org", "team": "vision", "sessions": 2}
        assert [one.get("/models").status_code for one in (first, second, other)] == [401, 401, 200]
        site.back(first, "anna")  # the group is still there
        assert first.get("/models").status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"oidc_teams": "ml=vision:reader"},
        {"oidc_teams": "ml=audio:submitter"},
        {"oidc_issuer": ""},
    ],
    ids=["role", "team", "no provider"],
)
def test_a_sign_in_that_the_settings_do_not_allow_any_more_has_ended(
    site: Site, settings: Settings, changed: dict[str, str]
) -> None:
    site.real.know("anna", groups=["ml"])
    with site.browser() as browser:
        site.back(browser, "anna")
        assert browser.get("/models").status_code == 200
        cookie = browser.cookies[COOKIE]
    with serve(with_provider(settings, site.real).model_copy(update=changed)) as api:
        headers = {"Cookie": f"{COOKIE}={cookie}", "Accept": "text/html"}
        with open_http(api.url, headers=headers) as browser:
            assert browser.get("/models").status_code == 401


def test_a_sign_in_is_in_the_audit_log(site: Site) -> None:
    site.real.know("bo", email="bo@example.org", email_verified=True, groups=["ml-admins"])
    with site.browser() as browser:
        site.back(browser, "bo")
    (found,) = site.api.client.get("/v1/audit").json()["items"]
    assert (found["by"], found["team"], found["subject"]) == ("bo@example.org", "vision", {"role": "admin"})


def test_who_moves_to_another_group_has_its_role_in_every_browser(site: Site) -> None:
    site.real.know("anna", groups=["ml-admins"])
    with site.browser() as first, site.browser() as second:
        site.back(first, "anna")
        assert identity(first)["role"] == "admin"
        site.real.know("anna", groups=["guests"])
        site.back(second, "anna")
        assert identity(first)["role"] == identity(second)["role"] == "reader"


def test_a_wrong_state_or_no_attempt_signs_nobody_in(site: Site) -> None:
    site.real.know("anna", groups=["ml"])
    with site.browser() as victim, site.browser() as attacker:
        # An attacker's own answer, put before a browser that began nothing, or something else.
        where = site.real.sign_in(site.began(attacker), "anna")
        for _ in range(2):
            answer = victim.get(where)
            assert answer.status_code == 400
            assert "began no such sign-in" in Page.of(answer).text
            site.began(victim)
        for state in ("", "x", "é", query_of(where)["state"][:-1]):
            code = {"code": query_of(where)["code"], "state": state}
            assert attacker.get(f"/login/oidc/callback?{urlencode(code)}").status_code == 400
        assert site.rows() == []
        assert attacker.get(where).status_code == 200  # the same answer in the browser that began


def test_an_id_token_with_another_nonce_is_refused(site: Site) -> None:
    """Somebody changes the nonce on the way to the provider."""
    site.real.know("anna", groups=["ml"])
    with site.browser() as browser:
        address = site.began(browser)
        nonce = query_of(address)["nonce"]
        answer = browser.get(site.real.sign_in(address.replace(nonce, "another-nonce"), "anna"))
        assert answer.status_code == 400
        assert "its nonce is of another attempt" in Page.of(answer).text
    assert site.rows() == []


def test_a_code_without_its_verifier_is_worth_nothing(site: Site) -> None:
    """The provider compares the verifier with the challenge that it got: here with another one."""
    site.real.know("anna", groups=["ml"])
    with site.browser() as browser:
        address = site.began(browser)
        challenge = query_of(address)["code_challenge"]
        answer = browser.get(site.real.sign_in(address.replace(challenge, "A" * 43), "anna"))
        assert answer.status_code == 400
        assert "invalid_grant" in Page.of(answer).text
        assert query_of(address)["code_challenge_method"] == "S256"
    assert site.rows() == []


def test_a_code_signs_in_once(site: Site) -> None:
    site.real.know("anna", groups=["ml"])
    with site.browser() as browser:
        where = site.real.sign_in(site.began(browser), "anna")
        attempt = browser.cookies[ATTEMPT]
        assert browser.get(where).status_code == 200
        browser.cookies.set(ATTEMPT, attempt, path="/login/oidc")
        answer = browser.get(where)
        assert (answer.status_code, "invalid_grant" in answer.text) == (400, True)


def test_who_declines_at_the_provider_is_told_so(site: Site) -> None:
    with site.browser() as browser:
        state = query_of(site.began(browser))["state"]
        answer = browser.get("/login/oidc/callback", params={"error": "access_denied", "state": state})
        assert answer.status_code == 400
        assert "'access_denied'" in Page.of(answer).text


def test_another_providers_answer_is_refused(site: Site) -> None:
    site.real.know("anna", groups=["ml"])
    with site.browser() as browser:
        where = site.real.sign_in(site.began(browser), "anna")
        assert query_of(where)["iss"] == site.real.issuer
        answer = browser.get(
            "/login/oidc/callback", params={**query_of(where), "iss": "https://evil.example"}
        )
        assert (answer.status_code, "Another provider" in Page.of(answer).text) == (400, True)


class Later(datetime):
    """A clock that is two hours fast. The provider's ID tokens last one hour."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) + timedelta(hours=2)


def test_an_id_token_that_has_expired_signs_nobody_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.real.know("anna", groups=["ml"])
    monkeypatch.setattr("jwt.api_jwt.datetime", Later)
    with site.browser() as browser:
        answer = site.back(browser, "anna")
        assert answer.status_code == 400
        assert "expired" in Page.of(answer).text
    assert site.rows() == []


def test_a_public_client_needs_no_secret_and_a_wrong_secret_is_told(
    settings: Settings, real: RealProvider
) -> None:
    real.know("anna", groups=["ml"])
    for more, status in (
        ({"oidc_client_id": "public", "oidc_client_secret": SecretStr("")}, 200),
        ({"oidc_client_secret": SecretStr("wrong")}, 400),
    ):
        with serve(with_provider(settings, real, **more)) as api, Site(api, real).browser() as browser:
            answer = Site(api, real).back(browser, "anna")
            assert answer.status_code == status, answer.text
            assert ("invalid_client" in answer.text) == (status == 400)


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "\n/x",
        "javascript:x",
        "/" + "x" * 3000,
        "",
    ],
    ids=["slashes", "backslash", "address", "line", "script", "long", "empty"],
)
def test_a_sign_in_never_leads_elsewhere(site: Site, path: str) -> None:
    site.real.know("anna", groups=["ml"])
    with site.browser() as browser:
        assert Page.of(site.back(browser, "anna", next=path)).links("Go on") == ["/"]


def test_a_forged_cookie_of_an_attempt_leads_nowhere_else(site: Site) -> None:
    site.real.know("anna", groups=["ml"])
    with site.browser() as browser:
        where = site.real.sign_in(site.began(browser), "anna")
        key = browser.cookies[ATTEMPT].partition(".")[0]
        browser.cookies.clear()
        browser.cookies.set(ATTEMPT, f"{key}.%2F%2Fevil.example", path="/login/oidc")
        assert Page.of(browser.get(where)).links("Go on") == ["/"]


def test_the_login_page_offers_both_ways(site: Site) -> None:
    with site.browser() as browser:
        page = Page.of(browser.get("/login", params={"next": "/models?tag=a&team=b"}))
        host = urlsplit(site.real.issuer).netloc
        (link,) = page.links(f"Sign in with {host}")
        assert query_of(link) == {"next": "/models?tag=a&team=b"}
        assert "token" in {one.attributes.get("name") for one in page.root.all("input")}
        secret = site.api.client.headers["Authorization"].removeprefix("Bearer ")
        assert browser.post("/login", data={"token": secret}).status_code == 303
        assert identity(browser)["name"] == "test"


def test_a_provider_that_is_away_is_told_and_tokens_still_work(
    settings: Settings, real: RealProvider
) -> None:
    gone = with_provider(settings, real, oidc_issuer="http://127.0.0.1:9")
    with serve(gone) as api, open_http(api.url, headers=HTML) as browser:
        answer = browser.get("/login/oidc")
        assert (answer.status_code, "does not answer" in Page.of(answer).text) == (503, True)
        secret = api.client.headers["Authorization"].removeprefix("Bearer ")
        assert browser.post("/login", data={"token": secret}).status_code == 303


def test_a_provider_with_another_name_is_refused(settings: Settings, real: RealProvider) -> None:
    named = with_provider(settings, real, oidc_issuer=f"{real.issuer}/")
    with serve(named) as api, open_http(api.url, headers=HTML) as browser:
        answer = browser.get("/login/oidc")
        assert (answer.status_code, "VCPBENCH_OIDC_ISSUER" in Page.of(answer).text) == (503, True)


def test_without_a_provider_nobody_is_sent_anywhere(api: Served) -> None:
    for path in ("/login/oidc", "/login/oidc/callback"):
        assert "no sign-in provider" in problem_of(api.client.get(path), 404)["detail"]
    page = Page.of(api.client.get("/login", headers=HTML))
    assert "Sign in with" not in page.text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"oidc_client_id": ""}, "VCPBENCH_OIDC_CLIENT_ID is not"),
        ({"oidc_teams": ""}, "VCPBENCH_OIDC_TEAMS is not"),
        ({"oidc_issuer": "http://login.example.org"}, "https"),
    ],
    ids=["client", "teams", "no TLS"],
)
def test_a_provider_that_is_not_named_completely_stops_the_start(
    settings: Settings, changes: dict[str, str], says: str
) -> None:
    complete = {"oidc_issuer": "https://login.example.org", "oidc_client_id": "a", "oidc_teams": TEAMS}
    assert Provider.of(settings.model_copy(update=complete)) is not None
    with pytest.raises(SettingsError, match=says):
        Provider.of(settings.model_copy(update={**complete, **changes}))
