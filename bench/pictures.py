"""Take the pictures of README.md from a demo that runs.

    vcpbench demo                              # in another terminal; it prints the address and the token
    python -m bench.pictures URL TOKEN

Writes two files of docs/images: `board.png` is the board, and `wrong.png` shows what its best network got
wrong, with the first clip playing.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parents[1] / "docs" / "images"
SIZE = {"width": 1440, "height": 770}
MOST_MS = 120_000  # for a worker to make previews


def main() -> None:
    """Take both pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="address of the demo, such as http://127.0.0.1:8080")
    parser.add_argument("token", help="the token that the demo prints")
    asked = parser.parse_args()
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.set_default_timeout(MOST_MS)
        page.goto(f"{asked.url}/login#token={asked.token}")
        page.wait_for_url(f"{asked.url}/")
        page.set_viewport_size({**SIZE, "height": page.evaluate("() => document.body.scrollHeight")})
        page.screenshot(path=FOLDER / "board.png")
        page.set_viewport_size(SIZE)
        page.get_by_role("link", name="wrong answers of ").first.click()
        show_wrong(page)
        page.screenshot(path=FOLDER / "wrong.png")
        browser.close()


def show_wrong(page: Page) -> None:
    """Wait until the page's strips are there, and play the first clip."""
    page.locator(".preview-box").first.wait_for()
    strips = "[...document.querySelectorAll('.preview img')].slice(0, 10)"  # those of the picture
    page.wait_for_function(f"() => {strips}.every((image) => image.naturalWidth > 0)")
    page.wait_for_function("() => document.querySelector('.preview-note') === null")
    page.get_by_role("button", name="Play: ").first.click()
    video = page.locator(".preview video")
    page.wait_for_function("(video) => video.currentTime > 0.3", arg=video.element_handle())


if __name__ == "__main__":
    main()
