"""Ask an installation five questions in Chromium, and count the clicks from the board to each answer.

    python -m bench.questions URL TOKEN [--board "/?dataset=NAME&protocol=NAME"]

Prints a table in Markdown: the question, the clicks, the page that answers, and what the page says. The board
needs two rows or more. A worker must run, because it compares the two that the fourth question ticks.
`tests/web/test_questions.py` asks a board that has 20 checkpoints of one training run.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Browser, Locator, Page, sync_playwright

MOST_S = 300  # for a comparison to be made
LONGEST = 240  # letters of an answer that the table shows


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the pages answered.

    Attributes:
        question: As a person asks it.
        clicks: Clicks from the board; 0 if the board itself answers.
        path: The page that answers.
        said: Its words.
    """

    question: str
    clicks: int
    path: str
    said: str


class Walk:
    """A way from the board, with its clicks counted."""

    def __init__(self, page: Page, url: str, board: str) -> None:
        self.page, self.clicks = page, 0
        page.goto(url + board)

    def click(self, found: Locator) -> None:
        """Click once."""
        found.click()
        self.clicks += 1


def which_is_best(walk: Walk) -> str:
    """The sentence above the board."""
    return walk.page.locator("p.verdict").inner_text()


def did_training_help(walk: Walk) -> str:
    """The best row's page says how far its network is above random weights."""
    return next(one for one in _in_words(walk) if "random" in one)


def what_it_does_not_understand(walk: Walk) -> str:
    """The same page says which options the network does not find, and which class is the hardest."""
    options = [one for one in _in_words(walk) if one.startswith(("It finds", "Of "))]
    return " ".join([*options[:1], *walk.page.locator("p.hardest").all_inner_texts()])


def is_the_difference_real(walk: Walk) -> str:
    """Two ticks and a button compare the first two rows."""
    ticks = walk.page.get_by_role("checkbox", name="Compare ")
    walk.click(ticks.first)
    walk.click(ticks.nth(1))
    walk.click(walk.page.get_by_role("button", name="Compare the ticked"))
    verdict = walk.page.locator("p.verdict")
    verdict.wait_for(timeout=1000 * MOST_S)
    return verdict.inner_text()


def table_for_my_paper(walk: Walk) -> str:
    """A link under the board shows the table in LaTeX."""
    walk.click(walk.page.get_by_role("link", name="LaTeX"))
    return walk.page.locator("body").inner_text()


QUESTIONS: dict[str, Callable[[Walk], str]] = {
    "Which of my checkpoints is the best?": which_is_best,
    "Did training help?": did_training_help,
    "What does it not understand?": what_it_does_not_understand,
    "Is the difference real?": is_the_difference_real,
    "Give me the table for my paper.": table_for_my_paper,
}


def _in_words(walk: Walk) -> list[str]:
    walk.click(walk.page.locator("table.board tbody th a").first)
    sentences = walk.page.locator(".words li")
    sentences.first.wait_for()
    return sentences.all_inner_texts()


def ask(browser: Browser, url: str, token: str, board: str = "/") -> list[Answer]:
    """Ask all questions, each from the board anew."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{url}/login#token={token}")
    page.wait_for_url(f"{url}/")
    found = []
    for question, answer in QUESTIONS.items():
        walk = Walk(page, url, board)
        said = answer(walk)
        path = page.url.removeprefix(url)
        found.append(Answer(question=question, clicks=walk.clicks, path=path, said=said))
    context.close()
    return found


def table(answers: list[Answer]) -> str:
    """Write the answers in Markdown."""
    lines = ["| question | clicks | page | what the page says |", "|---|--:|---|---|"]
    for one in answers:
        said = " ".join(one.said.split())
        said = said if len(said) <= LONGEST else f"{said[:LONGEST]}..."
        page = one.path.partition("?")[0]
        lines.append(f"| {one.question} | {one.clicks} | `{page}` | {said.replace('|', ' ')} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Ask the installation that the arguments name."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="address of the installation, such as http://127.0.0.1:8080")
    parser.add_argument("token", help="a token, as `vcpbench up` and `vcpbench demo` print it")
    parser.add_argument("--board", default="/", help="address of the board on the installation")
    asked = parser.parse_args()
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        print(table(ask(browser, asked.url.rstrip("/"), asked.token, asked.board)), end="")
        browser.close()


if __name__ == "__main__":
    main()
