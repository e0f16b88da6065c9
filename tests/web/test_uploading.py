"""An upload by the browser: sent, resumed after a reload, refused with the way on, and by nobody else."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, expect

from records import flow
from records.models import Checkpoint, CheckpointState, Evaluation, EvaluationState
from records.repositories import tokens
from service.auth import ACTS, COOKIE
from tests.served import Served, open_http, sha256
from tests.service.finished import ready_dataset
from tests.service.kit import noise, problem_of
from tests.web.browser import NARROW, WIDE, Visitor, chromium
from vcp_core.catalog.errors import NotACheckpoint

PAGE = {ACTS: "submit"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def visitor(browser: Browser, api: Served) -> Iterator[Visitor]:
    with api.database.session() as session:
        ready_dataset(session, "gestures")
    found = Visitor(browser.new_context(viewport=WIDE), api.url)
    found.log_in(_secret(api))
    yield found
    found.context.close()


def _secret(api: Served) -> str:
    return str(api.client.headers["Authorization"]).removeprefix("Bearer ")


def _file(folder: Path, size: int, name: str = "night 3.pt") -> Path:
    path = folder / name
    path.write_bytes(b"PK\x03\x04" + noise(size - 4))
    return path


def _begin(visitor: Visitor, path: Path) -> None:
    visitor.page.get_by_label("Checkpoint", exact=True).set_input_files(path)
    visitor.page.get_by_role("button", name="Upload and evaluate").click()


def _only(api: Served) -> Checkpoint:
    (found,) = api.client.get("/v1/checkpoints").json()["items"]
    with api.database.session() as session:
        row = session.get_one(Checkpoint, UUID(found["id"]))
        session.expunge(row)
        return row


def test_a_file_is_hashed_sent_read_and_evaluated(visitor: Visitor, api: Served, tmp_path: Path) -> None:
    path = _file(tmp_path, 5_000_001)
    visitor.go("/submit")
    page = visitor.page
    expect(page.get_by_role("button", name="Upload and evaluate")).to_be_disabled()
    page.get_by_label("Checkpoint", exact=True).set_input_files(path)
    expect(page.get_by_text("night 3.pt, 5.0 MB")).to_be_visible()
    expect(page.get_by_role("textbox", name="Model")).to_have_value("night-3")
    page.get_by_text("More about the file").click()
    page.locator("input[name=step]").fill("12000")
    page.get_by_role("button", name="Upload and evaluate").click()
    expect(page.get_by_text("A worker reads the file now.")).to_be_visible()
    expect(page.get_by_text(sha256(path.read_bytes()))).to_be_visible()
    found = _only(api)
    assert (found.state, found.sha256, found.step) == (
        CheckpointState.INGESTING, sha256(path.read_bytes()), 12000,
    )  # fmt: skip
    with api.database.session() as session:
        row = session.get_one(Checkpoint, found.id)
        row.state, row.backbone = CheckpointState.READY, "r3d_tiny"
        (evaluation,) = session.query(Evaluation).all()
        evaluation.state = EvaluationState.RUNNING
    expect(page.get_by_text("You may close this page")).to_be_visible()
    assert visitor.violations() == []
    with api.database.session() as session:
        (evaluation,) = session.query(Evaluation).all()
        evaluation.state = EvaluationState.DONE
        wanted = f"/evaluations/{evaluation.id}"
    expect(page.get_by_text("The evaluation is done.")).to_be_visible()
    expect(page.get_by_role("link", name="See the result")).to_have_attribute("href", wanted)
    assert page.evaluate("Object.keys(localStorage).length") == 0
    assert visitor.faults == []


def test_a_refused_file_gets_its_reason_and_the_way_on(visitor: Visitor, api: Served, tmp_path: Path) -> None:
    visitor.go("/submit")
    _begin(visitor, _file(tmp_path, 1000))
    expect(visitor.page.get_by_text("A worker reads the file now.")).to_be_visible()
    with api.database.session() as session:
        flow.lock(session)
        row = session.get_one(Checkpoint, _only(api).id)
        row.state, row.reason = CheckpointState.REJECTED, NotACheckpoint("an archive of photographs.")
        flow.checkpoint_ended(session, row)
    expect(visitor.page.locator("[data-said]")).to_contain_text("an archive of photographs.")
    expect(visitor.page.locator("[data-said]")).to_contain_text("More about the file")
    expect(visitor.page.get_by_role("button", name="Upload and evaluate")).to_be_enabled()
    assert visitor.faults == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty"),
        (b"<!DOCTYPE html><title>Log in", "It is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\x1f\x8b\x08\x00", "Unpack it first"),
    ],
    ids=["empty", "page", "pointer", "gzip"],
)
def test_what_is_no_checkpoint_is_refused_before_it_is_sent(
    visitor: Visitor, api: Served, tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    visitor.go("/submit")
    _begin(visitor, tmp_path / "x.pt")
    expect(visitor.page.locator("[data-said]")).to_contain_text(said)
    assert api.client.get("/v1/checkpoints").json()["total"] == 0


def test_an_upload_that_a_reload_broke_goes_on_where_it_stopped(
    visitor: Visitor, api: Served, tmp_path: Path
) -> None:
    path = _file(tmp_path, 30_000_000)
    page = visitor.page
    visitor.go("/submit")
    slow = visitor.context.new_cdp_session(page)
    slow.send("Network.enable")
    slow.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 4_000_000},
    )
    _begin(visitor, path)
    expect(page.locator("[data-step=send]")).to_have_attribute("aria-current", "step")
    expect(page.locator("[data-numbers]")).to_contain_text("/s")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused.")).to_be_visible()
    slow.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    kept = _settled(api)
    assert 0 < kept < path.stat().st_size
    visitor.go("/submit")
    expect(page.locator("[data-unfinished]")).to_contain_text("Choose the same file again to go on.")
    starts: list[str] = []
    page.on("request", lambda one: starts.append(one.headers.get("content-range", "")))
    _begin(visitor, path)
    expect(page.get_by_text("A worker reads the file now.")).to_be_visible()
    assert f"bytes {kept}-{path.stat().st_size - 1}/{path.stat().st_size}" in starts
    assert _only(api).sha256 == sha256(path.read_bytes())


def _settled(api: Served) -> int:
    """The bytes that the server keeps, once it has noticed that the connection broke."""
    before = -1
    while True:
        (found,) = api.client.get("/v1/checkpoints").json()["items"]
        if found["received_bytes"] and found["received_bytes"] == before:
            return before
        before = int(found["received_bytes"])
        time.sleep(0.2)


def test_a_network_that_is_cut_is_waited_for(visitor: Visitor, api: Served, tmp_path: Path) -> None:
    page = visitor.page
    visitor.go("/submit")
    visitor.context.set_offline(True)
    _begin(visitor, _file(tmp_path, 1000))
    expect(page.locator("[data-said]")).to_contain_text("The connection to the server broke. Trying again")
    visitor.context.set_offline(False)
    expect(page.get_by_text("A worker reads the file now.")).to_be_visible()


def test_a_token_revoked_meanwhile_leads_to_the_login(visitor: Visitor, api: Served, tmp_path: Path) -> None:
    visitor.go("/submit")
    with api.database.session() as session:
        for token in tokens.every(session):
            tokens.revoke(session, token)
    _begin(visitor, _file(tmp_path, 1000))
    expect(visitor.page.locator("[data-said]")).to_contain_text("Log in with a token")
    expect(visitor.page.locator("#upload").get_by_role("link", name="Log in")).to_be_visible()


def test_two_tabs_that_send_one_file_make_one_checkpoint(
    visitor: Visitor, api: Served, tmp_path: Path
) -> None:
    path = _file(tmp_path, 20_000_000)
    second = Visitor(visitor.context, api.url)
    for one in (visitor, second):
        one.go("/submit")
    for one in (visitor, second):
        _begin(one, path)
    for one in (visitor, second):
        expect(one.page.get_by_text("A worker reads the file now.")).to_be_visible()
    assert _only(api).sha256 == sha256(path.read_bytes())
    assert api.client.get("/v1/evaluations").json()["total"] == 1


def test_a_file_that_changes_after_it_was_chosen_is_chosen_again(
    visitor: Visitor, api: Served, tmp_path: Path
) -> None:
    path = _file(tmp_path, 1_000_000)
    visitor.go("/submit")
    visitor.page.get_by_label("Checkpoint", exact=True).set_input_files(path)
    path.write_bytes(noise(999_999, seed=1))
    os.utime(path, (1, 1))
    visitor.page.get_by_role("button", name="Upload and evaluate").click()
    expect(visitor.page.locator("[data-said]")).to_contain_text("cannot be read")
    assert api.client.get("/v1/checkpoints").json()["total"] == 0


def test_the_page_fits_a_phone_and_the_keyboard_chooses_the_file(browser: Browser, api: Served) -> None:
    visitor = Visitor(browser.new_context(viewport=NARROW, color_scheme="dark"), api.url)
    # Long before the key: a browser that learns of it together with the key may open a window of its own.
    visitor.page.on("filechooser", lambda _: None)
    visitor.log_in(_secret(api))
    visitor.go("/submit")
    assert visitor.violations() == []
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    chooser = visitor.page.get_by_label("Checkpoint", exact=True)
    chooser.focus()
    with visitor.page.expect_file_chooser():
        visitor.page.keyboard.press("Space")
    visitor.context.close()


def test_without_javascript_the_page_says_how(browser: Browser, api: Served) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([{"name": COOKIE, "value": _secret(api), "url": api.url}])
    page = context.new_page()
    page.goto(f"{api.url}/submit")
    expect(page.locator("noscript p")).to_be_visible()  # which get_by_text passes over
    expect(page.get_by_role("button", name="Upload and evaluate")).to_be_hidden()
    context.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({**PAGE, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**PAGE, "Sec-Fetch-Site": "same-site"}, 403),
        ({**PAGE, "Sec-Fetch-Site": "same-origin"}, 422),
        (PAGE, 422),
    ],
    ids=["form", "cross-site", "another-port", "page", "page-over-http"],
)
def test_only_a_page_of_this_site_sends_by_a_login(api: Served, headers: dict[str, str], status: int) -> None:
    with open_http(api.url, cookies={COOKIE: _secret(api)}) as client:
        for path in ("/submit/checkpoints", "/submit/evaluations"):
            problem_of(client.post(path, json={}, headers=headers), status)
        sent = client.put(f"/submit/checkpoints/{UUID(int=1)}/content", content=b"x", headers=headers)
        problem_of(sent, 404 if status == 422 else status)


def test_another_sites_script_is_not_allowed_the_header(api: Served) -> None:
    asks = {"Origin": "https://evil.example", "Access-Control-Request-Headers": ACTS}
    with open_http(api.url) as client:
        answer = client.options("/submit/checkpoints", headers=asks)
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("cookie", [None, "vcp_wrong", ""], ids=["none", "wrong", "empty"])
def test_without_a_login_nobody_sends(api: Served, cookie: str | None) -> None:
    cookies = {} if cookie is None else {COOKIE: cookie}
    with open_http(api.url, cookies=cookies) as client:
        problem_of(client.post("/submit/checkpoints", json=_declaration(), headers=PAGE), 401)
        problem_of(client.post("/submit/evaluations", json=_wanted(), headers=PAGE), 401)
        problem_of(client.put(f"/submit/checkpoints/{UUID(int=1)}/content", headers=PAGE), 401)


def test_a_login_alone_changes_nothing_in_the_api(api: Served) -> None:
    with open_http(api.url, cookies={COOKIE: _secret(api)}) as client:
        for path, body in (("/v1/checkpoints", _declaration()), ("/v1/evaluations", _wanted())):
            problem_of(client.post(path, json=body, headers=PAGE), 401)


def _declaration() -> dict[str, object]:
    return {"model": "m", "size_bytes": 1, "sha256": sha256(b"x")}


def _wanted() -> dict[str, str]:
    return {"checkpoint": "m", "dataset": "gestures"}
