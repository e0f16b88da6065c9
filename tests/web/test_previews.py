"""Previews on a page: by mouse, keyboard and finger, without scripts, and while a worker makes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi import Request
from fastapi.responses import HTMLResponse
from playwright.sync_api import Browser, expect
from sqlalchemy import delete, update

from records import storage
from records.models import DatasetRow, Media, MediaState
from records.settings import Settings
from records.storage import Storage
from service.media import addresses
from service.web.pages import ENVIRONMENT, HEADERS, theme
from tests.patience import DEADLINE_S, until
from tests.served import Served
from tests.service.finished import done, ready_checkpoint, ready_dataset
from tests.web.browser import NARROW, WIDE, Visitor, chromium
from vcp_core.catalog import previews
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.previews import encoding

SPEC = BACKBONES["r3d"]
QUICK = PROTOCOLS["quick-v1"]
PAGE = ENVIRONMENT.from_string(
    """{% extends "base.html" %}
{% from "_preview.html" import head, preview %}
{% block title %}Previews{% endblock %}
{% block head %}{{ head() }}{% endblock %}
{% block main %}<h1>Previews</h1>
<div class="beside">{% for one, label in shown %}{{ preview(one, label, label) }}{% endfor %}</div>
{% endblock %}"""
)


class Gallery:
    """A page with the previews of a video and of a question."""

    def __init__(self, api: Served, settings: Settings) -> None:
        self.api, self.store = api, Storage(settings.store_url)
        with api.database.session() as session:
            dataset = ready_dataset(session)
            dataset.summary = {"videos": {"train": 1, "test": 1}}
            done(session, ready_checkpoint(session), dataset, {})
            self.dataset_id = dataset.id
        with api.database.session() as session:
            session.execute(update(DatasetRow).values(fingerprint="f"))
        spec = BACKBONES["r3d_tiny"]
        self.shown = [
            (addresses.video(self.dataset_id, spec, "a.mp4"), "wave/a.mp4, a wave"),
            (
                addresses.question(self.dataset_id, spec, QUICK.hash, "a.mp4", 0, "rotation"),
                "Question 1 of wave/a.mp4 with rotation in the blank",
            ),
        ]
        self.spec = spec

    def show(self, request: Request) -> HTMLResponse:
        known = {"theme": theme(request), "logged_in": True, "administers": False}
        text = PAGE.render(here="/previews", shown=self.shown, **known)
        return HTMLResponse(text, headers=HEADERS)

    def make(self) -> None:
        """What a worker would make, of moving squares."""
        ramp = np.arange(56, dtype=np.uint8) * 4
        frames = np.stack([np.roll(np.stack([np.tile(ramp, (56, 1))] * 3, -1), 2 * t, 1) for t in range(24)])
        frames[..., 1] = 90
        clips = encoding.beside([frames[:16], np.rot90(frames[:16], axes=(1, 2)), frames[8:]], previews.GAP)
        key = previews.key_of("a.mp4")
        self._add(
            previews.frame_geometry(self.spec),
            "",
            {
                f"{key}.webp": encoding.strip(frames[::3], previews.VIDEO_TILES),
                f"{key}.webm": encoding.clip(frames),
            },
        )
        self._add(
            previews.clip_geometry(self.spec),
            QUICK.hash,
            {
                f"{key}/0/rotation.webp": encoding.picture(np.concatenate(clips[::4])),
                f"{key}/0/rotation.webm": encoding.clip(clips),
            },
        )

    def _add(self, geometry: str, protocol_hash: str, files: dict[str, bytes]) -> None:
        content, begin, places = b"".join(files.values()), 0, {}
        for name, one in files.items():
            places[name] = [begin, len(one), hashlib.sha256(one).hexdigest()]
            begin += len(one)
        sha256 = hashlib.sha256(content).hexdigest()
        self.store.put_bytes(storage.media_key(sha256), content)
        with self.api.database.session() as session:
            alike = (Media.geometry == geometry, Media.protocol_hash == protocol_hash)
            session.execute(delete(Media).where(*alike))
            session.add(
                Media(
                    dataset_id=self.dataset_id,
                    fingerprint="f",
                    geometry=geometry,
                    protocol_hash=protocol_hash,
                    number=0,
                    state=MediaState.MADE,
                    sha256=sha256,
                    files=places,
                    failed={},
                )
            )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def gallery(api: Served, settings: Settings) -> Iterator[Gallery]:
    found = Gallery(api, settings)
    api.app.add_api_route("/previews", found.show, include_in_schema=False)
    yield found
    api.app.router.routes.pop()


def visit(browser: Browser, gallery: Gallery, **options: Any) -> Visitor:
    context = browser.new_context(**{"viewport": WIDE, **options})
    context.set_default_timeout(DEADLINE_S * 1000)
    visitor = Visitor(context, gallery.api.url)
    secret = gallery.api.client.headers["Authorization"].removeprefix("Bearer ")
    context.add_cookies([{"name": "vcpbench_token", "value": secret, "url": gallery.api.url}])
    visitor.go("/previews")
    return visitor


def end(visitor: Visitor) -> None:
    visitor.context.close()
    assert visitor.faults == []


def expect_strips(visitor: Visitor) -> None:
    for image in visitor.page.locator(".preview img").all():
        expect(image).to_be_visible()
        visitor.page.wait_for_function("image => image.naturalWidth > 0", arg=image.element_handle())


def expect_playing(visitor: Visitor, number: int) -> None:
    video = visitor.page.locator(".preview").nth(number).locator("video")
    visitor.page.wait_for_function("video => video.currentTime > 0.2", arg=video.element_handle())
    assert video.evaluate("video => [video.muted, video.loop, video.paused]") == [True, True, False]
    assert video.evaluate("video => video.error") is None


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_previews_are_accessible_and_fit(
    browser: Browser, gallery: Gallery, scheme: str, viewport: Any
) -> None:
    gallery.make()
    visitor = visit(browser, gallery, viewport=viewport, color_scheme=scheme)
    expect_strips(visitor)
    assert visitor.violations() == []
    width = visitor.page.evaluate("document.documentElement.scrollWidth")
    assert width <= viewport["width"]
    end(visitor)


def test_a_clip_plays_while_the_mouse_is_over_it(browser: Browser, gallery: Gallery) -> None:
    gallery.make()
    visitor = visit(browser, gallery)
    expect_strips(visitor)
    boxes = visitor.page.locator(".preview-box")
    for number in range(2):
        boxes.nth(number).hover()
        expect_playing(visitor, number)
        expect(visitor.page.locator("video")).to_have_count(1)  # and the other has stopped
    visitor.page.mouse.move(5, 5)
    expect(visitor.page.locator("video")).to_have_count(0)
    end(visitor)


def test_a_click_holds_the_clip_that_the_pointer_began_and_a_second_one_stops_it(
    browser: Browser, gallery: Gallery
) -> None:
    gallery.make()
    visitor = visit(browser, gallery)
    expect_strips(visitor)
    boxes, button = visitor.page.locator(".preview-box"), visitor.page.locator(".preview-play").first
    boxes.first.hover()
    expect_playing(visitor, 0)
    expect(button).to_have_attribute("aria-pressed", "false")
    boxes.first.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    visitor.page.mouse.move(5, 5)
    expect_playing(visitor, 0)
    boxes.first.click()
    expect(visitor.page.locator("video")).to_have_count(0)
    expect(button).to_have_attribute("aria-pressed", "false")
    boxes.first.click()
    boxes.nth(1).hover()  # one clip at a time
    expect_playing(visitor, 1)
    expect(visitor.page.locator("video")).to_have_count(1)
    expect(button).to_have_attribute("aria-pressed", "false")
    end(visitor)


def test_a_clip_plays_by_keyboard(browser: Browser, gallery: Gallery) -> None:
    gallery.make()
    visitor = visit(browser, gallery)
    expect_strips(visitor)
    button = visitor.page.get_by_role("button", name="Play: wave/a.mp4, a wave")
    for _ in range(30):
        if button.evaluate("one => one === document.activeElement"):
            break
        visitor.page.keyboard.press("Tab")
    expect_playing(visitor, 0)
    expect(button).to_have_attribute("aria-pressed", "true")
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("video")).to_have_count(0)
    visitor.page.keyboard.press("Space")
    expect_playing(visitor, 0)
    visitor.page.keyboard.press("Tab")
    expect_playing(visitor, 1)
    expect(visitor.page.locator("video")).to_have_count(1)
    end(visitor)


def test_a_finger_starts_and_stops_a_clip(browser: Browser, gallery: Gallery) -> None:
    gallery.make()
    visitor = visit(browser, gallery, viewport=NARROW, has_touch=True)
    expect_strips(visitor)
    visitor.page.locator(".preview-box").first.tap()
    expect_playing(visitor, 0)
    visitor.page.locator(".preview-box").first.tap()
    expect(visitor.page.locator("video")).to_have_count(0)
    end(visitor)


def test_who_wants_less_motion_starts_clips_by_a_click_only(browser: Browser, gallery: Gallery) -> None:
    gallery.make()
    visitor = visit(browser, gallery, reduced_motion="reduce")
    expect_strips(visitor)
    box, button = visitor.page.locator(".preview-box").first, visitor.page.locator(".preview-play").first
    box.hover()
    button.focus()
    visitor.page.wait_for_timeout(300)
    expect(visitor.page.locator("video")).to_have_count(0)
    button.click()
    expect_playing(visitor, 0)
    button.click()
    expect(visitor.page.locator("video")).to_have_count(0)
    end(visitor)


def test_a_preview_that_a_worker_still_makes_appears_by_itself(browser: Browser, gallery: Gallery) -> None:
    visitor = visit(browser, gallery)
    notes = visitor.page.locator(".preview-note")
    expect(notes).to_have_text(2 * ["A worker makes this preview."])
    assert visitor.violations() == []
    gallery.make()
    expect(notes).to_have_count(0)
    expect_strips(visitor)
    visitor.page.locator(".preview-box").first.hover()
    expect_playing(visitor, 0)
    end(visitor)


def test_a_preview_that_cannot_be_shown_says_why(browser: Browser, gallery: Gallery) -> None:
    gallery.api.client.patch("/v1/datasets/gestures", json={"shows_media": False})
    visitor = visit(browser, gallery)
    expect(visitor.page.locator(".preview-note").first).to_contain_text("are switched off")
    visitor.context.close()
    assert all("404" in fault for fault in visitor.faults)  # which browsers print


def test_without_scripts_strips_are_there(browser: Browser, gallery: Gallery) -> None:
    gallery.make()
    visitor = visit(browser, gallery, java_script_enabled=False)
    for image in visitor.page.locator(".preview img").all():
        expect(image).to_be_visible()
        until(lambda image=image: image.evaluate("image => image.naturalWidth > 0"))  # type: ignore[misc]
    expect(visitor.page.locator("button.preview-play")).to_have_count(0)
    end(visitor)
