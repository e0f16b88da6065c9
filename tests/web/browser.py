"""Debian's Chromium, driven by Playwright; what it must never do is counted in every test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect, sync_playwright

from tests.patience import DEADLINE_S

AXE = Path(__file__).parent / "assets" / "axe.min.js"
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
expect.set_options(timeout=DEADLINE_S * 1000)  # 5 s unless told: too few on a busy machine
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
ZOOMED = {"width": 720, "height": 450}  # WIDE at 200 %


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; a machine without one skips, CI fails."""
    path = shutil.which("chromium")
    if path is None:
        reason = "no chromium; apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Visitor:
    """Someone who looks at the pages; `faults` are errors of scripts and requests to other hosts."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.faults: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", lambda request: self._request(request.url))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console: {message.text}")

    def _request(self, address: str) -> None:
        if urlsplit(address).netloc not in ("", urlsplit(self.url).netloc):
            self.faults.append(f"another host: {address}")

    def go(self, path: str) -> Response:
        """Open a page, and wait until its charts are drawn."""
        response = self.page.goto(self.url + path)
        assert response is not None
        for chart in self.page.locator("[data-chart]").all():
            chart.locator("canvas").wait_for()
        return response

    def log_in(self, token: str) -> None:
        """By a link that brings the token."""
        self.page.goto(f"{self.url}/login#token={token}")
        self.page.wait_for_url(f"{self.url}/")

    def violations(self, *, but: Sequence[str] = ()) -> list[str]:
        """What axe-core finds that is serious, by all rules but those named."""
        self.page.evaluate(AXE.read_text())  # by the debugger: the policy lets no page load it
        rules = {name: {"enabled": False} for name in but}
        found = self.page.evaluate("rules => axe.run({resultTypes: ['violations'], rules})", rules)
        return [
            f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
