"""The forms of pages: who gets one, what it changes, and that no other site can send it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from service.auth import COOKIE, form_key
from tests.served import open_http
from tests.service.kit import every_route
from tests.web.conftest import Site
from tests.web.read import Element, Page
from tests.web.test_pages import HOSTILE, HTML


def secret_of(site: Site) -> str:
    return str(site.api.client.headers["Authorization"].removeprefix("Bearer "))


@pytest.fixture
def browser(site: Site) -> Iterator[httpx.Client]:
    """A browser that somebody of team "default" has logged in."""
    headers = {**HTML, "Cookie": f"{COOKIE}={secret_of(site)}", "Sec-Fetch-Site": "same-origin"}
    with open_http(site.api.url, headers=headers) as client:
        yield client


def forms(page: Page, action: str, **fields: str) -> list[Element]:
    """The forms of a page that send to an address, and have hidden fields or buttons of these values."""
    found = [one for one in page.root.all("form") if one.attributes.get("action") == action]
    return [one for one in found if fields.items() <= filled(one).items()]


def filled(form: Element) -> dict[str, str]:
    """What a browser sends of an untouched form, every button pressed."""
    inputs = [*form.all("input"), *form.all("button")]
    return {
        one.attributes["name"]: one.attributes.get("value", "") for one in inputs if "name" in one.attributes
    }


def send(browser: httpx.Client, path: str, action: str, drop: str = "", **typed: str) -> Page:
    """Load a page, fill in its first form of this action, send it, and follow where it leads."""
    form = forms(Page.of(browser.get(path)), action)[0]
    data = {name: value for name, value in {**filled(form), **typed}.items() if name != drop}
    answer = browser.post(action, data=data)
    if answer.status_code == 303:
        answer = browser.get(answer.headers["Location"])
    assert answer.status_code == 200, answer.text
    return Page.of(answer)


def test_a_note_is_written_changed_and_deleted_on_the_page(site: Site, browser: httpx.Client) -> None:
    path = f"/evaluations/{site.best}"
    page = send(browser, path, "/forms/note", text=f"first line\r\n{HOSTILE}")
    (note,) = page.root.all("p", class_="written")
    assert note.text == f"first line\n{HOSTILE}"
    assert "<script>alert" not in page.html
    assert re.search(r"test, 20\d\d-\d\d-\d\d \d\d:\d\d UTC", page.text)
    page = send(browser, path, "/forms/note", drop="delete", text="changed")
    (note,) = page.root.all("p", class_="written")
    assert note.text == "changed"
    assert "changed by test" in page.text
    page = send(browser, path, "/forms/note", text="x")  # with the button "Delete"
    assert list(page.root.all("p", class_="written")) == []


def test_a_model_is_made_private_and_public_on_its_page(site: Site, browser: httpx.Client) -> None:
    path = "/models/default/r3d-vcp"
    with site.api.client_of("others") as others:
        page = send(browser, path, "/forms/private")
        assert next(page.root.all("h1")).text.split() == ["r3d-vcp", "private"]
        assert "private" in next(Page.of(browser.get(f"/evaluations/{site.best}")).root.all("h1")).text
        assert others.get(path, headers=HTML).status_code == 404
        page = send(browser, path, "/forms/private")
        assert next(page.root.all("h1")).text.split() == ["r3d-vcp"]
        assert others.get(path, headers=HTML).status_code == 200


def test_a_model_is_renamed_and_tagged_on_its_page(site: Site, browser: httpx.Client) -> None:
    page = send(browser, "/models/default/r3d-vcp", "/forms/tags", tags="b, a")
    assert page.links("a") == ["/models?tag=a"]
    page = send(browser, "/models/default/r3d-vcp", "/forms/tags", tags="a c")
    assert (page.links("b"), page.links("c")) == ([], ["/models?tag=c"])
    page = send(browser, "/models/default/r3d-vcp", "/forms/rename", name="r3d/new")
    assert "formerly r3d-vcp" in page.text
    listed = Page.of(browser.get("/models?tag=a"))
    assert [row.text for row in listed.root.all("th", scope="row")] == ["r3d/new"]
    assert "No such model has this tag" in Page.of(browser.get("/models?tag=b")).text


def test_an_alias_is_pointed_and_removed_on_the_page_of_an_evaluation(
    site: Site, browser: httpx.Client
) -> None:
    path = f"/evaluations/{site.best}"
    page = send(browser, path, "/forms/alias", name="@champion")
    assert "@champion" in page.text
    assert "@champion" in Page.of(browser.get("/models/default/r3d-vcp")).text
    assert browser.get("/evaluations/@champion").headers["Location"] == path
    page = send(browser, path, "/forms/alias")  # the button of the alias
    assert "@champion" not in page.text


def test_a_link_is_shown_once_and_revoked_on_its_page(site: Site, browser: httpx.Client) -> None:
    for path in (f"/evaluations/{site.best}", f"/compare?first={site.second}&second={site.best}"):
        made = send(browser, path, "/forms/share", days="3")
        (field,) = made.root.all("input", class_="whole-line")
        address = field.attributes["value"]
        assert address.startswith(f"{site.api.url}/shared/vcs_")
        with open_http(site.api.url, headers=HTML) as anyone:
            assert anyone.get(address).status_code == 200
            page = Page.of(browser.get(path))
            assert address not in page.html
            (form,) = [one for one in forms(page, "/forms/share") if "share" in filled(one)]
            assert browser.post("/forms/share", data=filled(form)).status_code == 303
            assert anyone.get(address).status_code == 404


def test_a_view_is_saved_listed_on_its_page_and_deleted(site: Site, browser: httpx.Client) -> None:
    for path in ("/?latest=true", "/models?name=r3d", f"/compare?first={site.second}&second={site.best}"):
        page = send(browser, path, "/forms/view", name=f"mine {HOSTILE}")
        assert page.links(f"mine {HOSTILE}") == [path]
        assert "<script>alert" not in page.html
        page = send(browser, path, "/forms/view")  # the button of the view
        assert page.links(f"mine {HOSTILE}") == []
    with site.api.client_of("others") as others:
        send(browser, "/", "/forms/view", name="ours")
        assert Page.of(others.get("/", headers=HTML)).links("ours") == []


def test_who_may_not_write_gets_no_form(site: Site) -> None:
    with site.api.client_of("others") as others, open_http(site.api.url, headers=HTML) as client:
        client.cookies.set(COOKIE, others.headers["Authorization"].removeprefix("Bearer "))
        for path in (f"/evaluations/{site.best}", "/models/default/r3d-vcp"):
            page = Page.of(client.get(path))
            assert not [
                one for one in page.root.all("form") if one.attributes["action"].startswith("/forms/")
            ]
        assert forms(Page.of(client.get("/models")), "/forms/view")


def test_a_form_of_another_site_another_login_or_nobody_changes_nothing(
    site: Site, browser: httpx.Client
) -> None:
    text = {"evaluation": str(site.best), "text": "forged"}
    good = {**text, "key": form_key(secret_of(site))}
    actions = sorted({path for _, path, _ in every_route(site.api.app) if path.startswith("/forms/")})
    assert len(actions) == 16
    for action in actions:
        for data, headers, status in (
            (good, {"Sec-Fetch-Site": "cross-site"}, 403),
            (good, {"Sec-Fetch-Site": "same-site"}, 403),
            (text, {}, 403),
            ({**text, "key": form_key("vcp_other")}, {}, 403),
            ({**text, "key": "é"}, {}, 403),
            (good, {"Cookie": ""}, 401),
            (good, {"Cookie": f"{COOKIE}=vcp_wrong"}, 401),
        ):
            answer = browser.post(action, data=data, headers=headers)
            assert answer.status_code == status, (action, data, headers, answer.text)
    with open_http(site.api.url, headers={"Authorization": f"Bearer {secret_of(site)}"}) as program:
        assert program.post("/forms/note", data=good).status_code == 401  # programs have the API
    assert Page.of(browser.get(f"/evaluations/{site.best}")).text.count("forged") == 0
    assert secret_of(site) not in browser.get(f"/evaluations/{site.best}").text


@pytest.mark.parametrize(
    ("action", "data", "says"),
    [
        ("/forms/note", {"text": " "}, "Field 'text'"),
        ("/forms/note", {"note": "no-id", "text": "x"}, "'note' is no id"),
        ("/forms/rename", {"model": "r3d-vcp", "name": "a//b"}, "between slashes"),
        ("/forms/rename", {"model": "r3d-vcp", "name": "order!"}, "Field 'name'"),
        ("/forms/tags", {"model": "r3d-vcp", "tags": "Upper"}, "lower-case"),
        ("/forms/alias", {"name": "latest"}, "newest checkpoint"),
        ("/forms/share", {"days": "400"}, "Field 'days'"),
        ("/forms/share", {"days": "soon"}, "Field 'days'"),
        ("/forms/view", {"name": "x", "next": "//evil.example"}, "Field 'address'"),
    ],
    ids=["blank", "id", "path", "name", "tag", "latest", "days", "no number", "address"],
)
def test_a_field_that_is_wrong_is_told_on_a_page(
    site: Site, browser: httpx.Client, action: str, data: dict[str, str], says: str
) -> None:
    fields = {"evaluation": str(site.best), "key": form_key(secret_of(site)), **data}
    answer = browser.post(action, data=fields)
    assert answer.status_code == 422
    assert says in Page.of(answer).text
