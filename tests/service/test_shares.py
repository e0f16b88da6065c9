"""A link reads one page: a sweep over every route shows that its secret opens nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text, update

from records.models import Evaluation, EvaluationState, Share
from records.settings import Settings
from service.auth import COOKIE
from service.shares.service import MAX_LIVE_SHARES
from tests.served import Served, open_http, serve
from tests.service.finished import compare_waiting, done, ready_checkpoint, ready_dataset
from tests.service.kit import every_route, problem_of
from tests.web.conftest import Site, site  # noqa: F401 - a fixture
from tests.web.read import Page

HTML = {"Accept": "text/html"}
# Without any token.
OPEN = {"/docs", "/openapi.json", "/login", "/logout", "/theme", "/v1/health", "/healthz", "/readyz"}


def share(client: httpx.Client, evaluation: object, **more: Any) -> httpx.Response:
    return client.post("/v1/shares", json={"evaluation": str(evaluation), **more})


def path_of(answer: httpx.Response) -> str:
    assert answer.status_code == 201, answer.text
    url = str(answer.json()["url"])
    return url[url.index("/shared/") :]


@pytest.fixture
def anyone(api: Served) -> Iterator[httpx.Client]:
    """Somebody without a token."""
    with open_http(api.url, headers=HTML) as client:
        yield client


def test_a_link_shows_its_page_without_a_token_and_without_notes(site: Site, anyone: httpx.Client) -> None:  # noqa: F811
    site.api.client.post("/v1/notes", params={"evaluation": str(site.best)}, json={"text": "among us"})
    path = path_of(share(site.api.client, site.best))
    answer = anyone.get(path)
    assert answer.status_code == 200, answer.text
    page = Page.of(answer)
    own = site.page(f"/evaluations/{site.best}")
    assert "among us" in own.text
    assert "among us" not in page.html
    scores = re.findall(r"\d+\.\d \d+\.\d–\d+\.\d", own.text)
    assert len(scores) > 20
    assert re.findall(r"\d+\.\d \d+\.\d–\d+\.\d", page.text) == scores
    assert answer.headers["X-Robots-Tag"] == "noindex, nofollow, noarchive"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    links = {element.attributes["href"] for element in page.root.all("a")}
    assert links == {"#main", f"{path}/chart.svg"}  # each of which the link opens
    drawn = anyone.get(f"{path}/chart.svg")
    assert (drawn.status_code, drawn.headers["Content-Type"]) == (200, "image/svg+xml")
    assert drawn.headers["Cache-Control"] == "no-store"
    for asset in page.root.all("script"):
        assert anyone.get(asset.attributes["src"]).status_code == 200


def test_a_link_to_a_comparison_shows_it_and_its_chart(site: Site, anyone: httpx.Client) -> None:  # noqa: F811
    path = path_of(share(site.api.client, site.best, against=str(site.second)))
    page = Page.of(anyone.get(path))
    assert "r3d-vcp at step 9000 compared with r3d-vcp at step 6000" in page.text
    assert {element.attributes["href"] for element in page.root.all("a")} == {"#main", f"{path}/chart.svg"}
    assert anyone.get(f"{path}/chart.svg").status_code == 200


def test_every_address_on_a_shared_page_opens_without_a_token(site: Site, anyone: httpx.Client) -> None:  # noqa: F811
    paths = [
        path_of(share(site.api.client, site.best)),
        path_of(share(site.api.client, site.best, against=str(site.second))),
    ]
    for path in paths:
        html = anyone.get(path).text
        found = set(re.findall(r"""(?:href|src|action|data-[a-z-]+)=["'](/[^"']*)""", html))
        assert found, path
        assert {address: anyone.get(address).status_code for address in found} == dict.fromkeys(found, 200)
        assert not re.search("/v1/|/evaluations/|<form|<video|gallery", html)


def test_the_secret_of_a_link_opens_no_other_route(site: Site) -> None:  # noqa: F811
    path = path_of(share(site.api.client, site.best))
    secret = path.removeprefix("/shared/")
    seen = 0
    with open_http(site.api.url) as plain:
        for method, address, _ in every_route(site.api.app):
            if address in OPEN or address.startswith("/shared/"):
                continue
            for named in (
                address,
                address.replace("0123456789", str(site.best)),
                address.replace("0123456789", secret),
            ):
                for headers in (
                    {"Authorization": f"Bearer {secret}"},
                    {"Cookie": f"{COOKIE}={secret}"},
                    {"Referer": f"{site.api.url}{path}"},
                ):
                    answer = plain.request(method, named, headers=headers)
                    assert answer.status_code in (401, 403, 405, 422), (
                        method,
                        named,
                        answer.text,
                    )  # 403: no form's key
                    seen += 1
        for more in (
            "/",
            "/progress",
            "/results",
            "/../evaluations",
            f"/../../evaluations/{site.best}",
            "/chart.svg/x",
        ):
            answer = plain.get(path + more)
            assert answer.status_code in (307, 401, 404), (more, answer.text)  # 307: without the slash
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert plain.request(method, path).status_code == 405
    assert seen > 300


def test_a_link_ends_when_it_is_revoked_or_expires_and_a_guess_learns_nothing(
    api: Served, anyone: httpx.Client
) -> None:
    with api.database.session() as session:
        found = done(session, ready_checkpoint(session), ready_dataset(session), {"recognition.top1": 10}).id
    first, second = share(api.client, found), share(api.client, found, days=1)
    made = first.json()
    lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert abs(lasts - timedelta(days=14)) < timedelta(minutes=1)
    assert (made["state"], made["against"], made["by"]) == ("live", None, "test")
    revoked = api.client.delete(f"/v1/shares/{made['id']}").json()
    assert (revoked["state"], revoked["revoked_by"]) == ("revoked", "test")
    assert api.client.delete(f"/v1/shares/{made['id']}").json() == revoked
    with api.database.session() as session:
        session.execute(
            update(Share)
            .where(Share.id == UUID(second.json()["id"]))
            .values(expires_at=text("clock_timestamp()"))
        )
    states = {one["id"]: one["state"] for one in api.client.get("/v1/shares").json()["items"]}
    assert states == {made["id"]: "revoked", second.json()["id"]: "expired"}
    answers = [
        anyone.get(path) for path in (path_of(first), path_of(second), "/shared/vcs_guess", "/shared/%ff")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    for answer in answers:
        assert "This link opens nothing" in Page.of(answer).text
        assert answer.headers["Cache-Control"] == "no-store"
        assert "noindex" in answer.headers["X-Robots-Tag"]


def test_only_a_team_shares_its_pages_and_sees_and_revokes_its_links(api: Served) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        theirs = done(session, ready_checkpoint(session, team="vision"), dataset, {}).id
    with api.client_of("vision") as vision, api.client_of("others") as others:
        assert "belongs to team 'vision'" in problem_of(share(others, theirs), 403)["detail"]
        made = share(vision, theirs).json()
        assert others.get("/v1/shares").json() == {"items": [], "total": 0}
        problem_of(others.delete(f"/v1/shares/{made['id']}"), 404)
        assert [one["id"] for one in vision.get("/v1/shares").json()["items"]] == [made["id"]]
        assert api.client.delete(f"/v1/shares/{made['id']}").json()["state"] == "revoked"


@pytest.mark.parametrize("days", [0, 366, 1.5, "14", True], ids=str)
def test_a_link_lasts_for_a_whole_number_of_days_and_a_year_at_most(api: Served, days: Any) -> None:
    problem_of(share(api.client, "r3d@latest", days=days), 422)


def test_what_is_not_done_is_not_shared(api: Served) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        one, other = (done(session, ready_checkpoint(session, name), dataset, {}).id for name in ("a", "b"))
        session.get_one(Evaluation, one).state = EvaluationState.RUNNING
    problem_of(share(api.client, one), 409)
    with api.database.session() as session:
        session.get_one(Evaluation, one).state = EvaluationState.DONE
    assert "share it once it is done" in problem_of(share(api.client, one, against=str(other)), 409)["detail"]


def test_a_team_has_a_bounded_number_of_links(api: Served) -> None:
    with api.database.session() as session:
        found = done(session, ready_checkpoint(session), ready_dataset(session), {}).id
        for number in range(MAX_LIVE_SHARES):
            later = text("clock_timestamp() + interval '1 hour'")
            row = Share(
                team="default", by="x", secret_sha256=str(number), evaluation_id=found, expires_at=later
            )
            session.add(row)
    told = problem_of(share(api.client, found), 429)
    assert (told["used"], told["allowed"]) == (MAX_LIVE_SHARES, MAX_LIVE_SHARES)


def test_the_secret_of_a_link_is_nowhere_but_in_its_answer(
    api: Served, anyone: httpx.Client, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with api.database.session() as session:
        found = done(session, ready_checkpoint(session), ready_dataset(session), {}).id
    secret = path_of(share(api.client, found)).removeprefix("/shared/")
    with api.database.session() as session:
        tables = session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        dump = "\n".join(
            str(row) for table in tables for row in session.execute(text(f'SELECT * FROM "{table}"'))
        )
    assert secret.removeprefix("vcs_") not in dump
    assert secret not in api.client.get("/v1/shares").text
    with api.database.session() as session:  # the database fails, and the log says where
        session.execute(text("ALTER TABLE share RENAME TO hidden"))
    assert anyone.get(f"/shared/{secret}").status_code >= 500
    with api.database.session() as session:
        session.execute(text("ALTER TABLE hidden RENAME TO share"))
    assert secret not in "".join(capfd.readouterr())


def test_guesses_are_counted_by_address_as_logins_are(settings: Settings) -> None:
    few = settings.model_copy(update={"requests_per_minute": 5})
    with serve(few) as api, open_http(api.url, headers=HTML) as anyone:
        statuses = [anyone.get(f"/shared/vcs_guess{number}").status_code for number in range(12)]
    assert statuses.count(429) >= 2
    assert set(statuses) <= {404, 429}  # the test before may have used up this minute


def test_a_link_has_no_worker_compare_anything(api: Served, anyone: httpx.Client) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session)
        one, other = (done(session, ready_checkpoint(session, name), dataset, {}).id for name in ("a", "b"))
    api.client.get("/v1/comparisons", params={"first": str(other), "second": str(one)})
    compare_waiting(api.database)
    path = path_of(share(api.client, one, against=str(other)))
    with api.database.session() as session:
        session.execute(text("DELETE FROM comparison"))  # as after a change of the rules
    answer = anyone.get(path)
    assert answer.status_code == 200
    assert "Not compared by this version yet" in Page.of(answer).text
    with api.database.session() as session:
        assert session.scalar(text("SELECT count(*) FROM comparison")) == 0
    assert anyone.get(f"{path}/chart.svg").status_code == 404


def test_an_installation_may_forbid_links_or_bound_their_days(
    settings: Settings,
    site: Site,  # noqa: F811
) -> None:
    path = path_of(share(site.api.client, site.best))
    body = {"evaluation": str(site.best), "days": 30}
    for most, says in ((7, "allows links for at most 7 days"), (0, "allows links not at all")):
        with serve(settings.model_copy(update={"share_links_days": most})) as strict:
            with open_http(strict.url, headers=dict(site.api.client.headers)) as client:
                assert says in problem_of(client.post("/v1/shares", json=body), 403)["detail"]
            with open_http(strict.url, headers=HTML) as reader:
                assert reader.get(path).status_code == (200 if most else 404)


def test_an_administrator_lists_and_revokes_the_links_of_any_team(site: Site) -> None:  # noqa: F811
    made = share(site.api.client, site.best)
    with site.api.client_of("vision", admin=True) as admin, site.api.client_of("ordinary") as other:
        (found,) = admin.get("/v1/shares", params={"team": "default"}).json()["items"]
        assert found["id"] == made.json()["id"]
        problem_of(other.get("/v1/shares", params={"team": "default"}), 403)
        assert admin.delete(f"/v1/shares/{found['id']}").status_code == 200
