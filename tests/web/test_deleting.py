"""The page that deletes: it says what goes, and asks for the name."""

from __future__ import annotations

import httpx

from tests.web.conftest import Site
from tests.web.read import Page
from tests.web.test_pages import HTML
from tests.web.test_writing import browser as browser
from tests.web.test_writing import filled, forms


def test_a_page_leads_to_the_deletion_which_shows_what_goes_and_asks_for_the_name(
    site: Site, browser: httpx.Client
) -> None:
    path = f"/delete/evaluation/{site.best}"
    assert path in Page.of(browser.get(f"/evaluations/{site.best}")).links("Delete this evaluation…")
    asked = Page.of(browser.get(path))
    assert "What goes, for good" in asked.text
    (form,) = forms(asked, "/forms/delete/evaluation")
    data = filled(form)
    wrong = browser.post("/forms/delete/evaluation", data={**data, "name": "another"})
    assert wrong.status_code == 422
    assert "You typed “another”. Nothing was deleted." in wrong.text
    assert browser.get(f"/evaluations/{site.best}").status_code == 200
    done = browser.post("/forms/delete/evaluation", data={**data, "name": "r3d-vcp"})
    assert (done.status_code, done.headers["Location"]) == (303, "/evaluations")
    gone = browser.get(f"/evaluations/{site.best}")
    assert gone.status_code == 410
    assert "was deleted on" in Page.of(gone).text


def test_a_model_is_deleted_on_its_page_with_its_checkpoints(site: Site, browser: httpx.Client) -> None:
    page = Page.of(browser.get("/models/default/r3d-vcp"))
    (path,) = page.links("Delete this model…")
    (form,) = forms(Page.of(browser.get(path)), "/forms/delete/model")
    links = (one.attributes.get("href", "") for one in page.root.all("a"))
    checkpoints = [one for one in links if one.startswith("/delete/checkpoint/")]
    assert "uploaded files" in Page.of(browser.get(checkpoints[0])).text
    done = browser.post("/forms/delete/model", data={**filled(form), "name": "r3d-vcp"})
    assert (done.status_code, done.headers["Location"]) == (303, "/models")
    assert browser.get("/models/default/r3d-vcp").status_code == 404


def test_nobody_deletes_without_a_login_or_from_another_site(site: Site, browser: httpx.Client) -> None:
    path = f"/delete/evaluation/{site.best}"
    assert httpx.get(f"{site.api.url}{path}", headers=HTML).status_code == 401
    (form,) = forms(Page.of(browser.get(path)), "/forms/delete/evaluation")
    data = {**filled(form), "name": "r3d-vcp"}
    other = browser.post("/forms/delete/evaluation", data=data, headers={"Sec-Fetch-Site": "cross-site"})
    assert other.status_code == 403
    assert browser.post("/forms/delete/evaluation", data={**data, "key": "x"}).status_code == 403
    assert browser.get(f"/evaluations/{site.best}").status_code == 200
    assert browser.get("/delete/dataset/gestures").status_code == 422
