"""From the board to a video of a wrong answer that plays, in two clicks: a real worker makes the preview."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.datasets_on_disk import make_folder
from tests.e2e.test_way import register
from tests.patience import DEADLINE_S
from tests.served import Served
from tests.web.browser import NARROW, WIDE, Visitor, chromium
from tests.workers import WorkerProcess


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


class Person(Visitor):
    """Somebody who is logged in, and whose clicks are counted."""

    def __init__(self, browser: Browser, api: Served, *, touch: bool = False) -> None:
        context = browser.new_context(viewport=NARROW if touch else WIDE, has_touch=touch)
        context.set_default_timeout(DEADLINE_S * 1000)
        super().__init__(context, api.url)
        self.clicks, self._touch = 0, touch
        self.log_in(api.client.headers["Authorization"].removeprefix("Bearer "))

    def click(self, name: str, role: str = "link") -> None:
        """Click or tap the first link or button whose name begins so, once."""
        found = self.page.get_by_role(role, name=name).first  # type: ignore[arg-type]
        found.tap() if self._touch else found.click()
        self.clicks += 1

    def sees_it_play(self) -> None:
        """A clip is there, runs, and goes on running."""
        video = self.page.locator(".answer video")
        expect(video).to_have_count(1)
        handle = video.element_handle()
        self.page.wait_for_function("video => video.currentTime > 0.1", arg=handle)
        begun = video.evaluate("video => video.currentTime")
        self.page.wait_for_function("([video, begun]) => video.currentTime !== begun", arg=[handle, begun])
        assert video.evaluate("video => [video.paused, video.error, video.videoWidth]") == [False, None, 56]


@pytest.mark.product
def test_two_clicks_lead_from_the_board_to_a_wrong_answer_that_plays(
    api: Served,
    start_worker: Callable[..., WorkerProcess],
    checkpoint: Path,
    browser: Browser,
    tmp_path: Path,
) -> None:
    start_worker()
    register(api, make_folder(tmp_path / "eight", per_class=(2, 4)))
    asked = api.evaluate(api.upload(checkpoint)["id"], "small", "light")
    api.follow(asked["id"])
    wrong = api.client.get(f"/v1/evaluations/{asked['id']}/answers", params={"right": "false"}).json()
    assert wrong["total"] > 0
    board = "/?dataset=small&protocol=light"
    for touch in (False, True):
        person = Person(browser, api, touch=touch)
        person.go(board)
        person.click("wrong answers of tiny")
        expect(person.page.get_by_role("heading", level=1)).to_contain_text("got wrong")
        strip = person.page.locator(".answer img").first
        person.page.wait_for_function("image => image.naturalWidth > 0", arg=strip.element_handle())
        expect(person.page.locator(".preview-box").first).to_have_class("preview-box")  # nothing waits
        person.click("Play: ", "button")
        assert person.clicks == 2
        person.sees_it_play()
        person.click("Play: ", "button")
        expect(person.page.locator("video")).to_have_count(0)
        assert person.faults == []
        person.context.close()
