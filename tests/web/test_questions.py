"""Five questions about 20 checkpoints of a run, each answered by a page within three clicks of the board."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from bench import questions
from service.leaderboard.schemas import BoardRow
from service.web import lead
from tests.served import Served
from tests.service.finished import ready_dataset
from tests.web import played
from tests.web.browser import chromium
from vcp_core.catalog.scores import Score

NUM_CHECKPOINTS = 20


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def run(api: Served) -> Served:
    """20 checkpoints of one training run, which gets better, and then no better; and random weights."""
    with api.database.session() as session:
        dataset = ready_dataset(session, "playground", "cd" * 32)
        played.random_weights(session, dataset)
        for number in range(NUM_CHECKPOINTS):
            skill = min(0.15 + 0.06 * number, 0.8)
            facts = {"step": 1000 * (number + 1), "run": "night-3"}
            played.finished(
                session, dataset, "r3d-vcp", seed=number, skill=round(skill, 2), tilt=-0.3, **facts
            )
    return api


def test_every_question_has_an_answer_within_three_clicks(
    browser: Browser, run: Served, comparer: None
) -> None:
    token = run.client.headers["Authorization"].removeprefix("Bearer ")
    answers = questions.ask(browser, run.url, token)
    best, helped, weak, real, paper = answers
    assert [one.clicks for one in answers] == [0, 1, 1, 3, 1]
    assert best.said.startswith("Best by Recognition top-1: r3d-vcp at step ")
    assert "inside this interval" in best.said
    assert "above random weights" in helped.said
    assert "Of remote (+5.8) and adjacent (+5.0) it cannot tell" in weak.said
    assert "The hardest class is " in weak.said
    assert real.said.startswith("Of ")
    assert "better" in real.said
    assert real.path.startswith("/compare?")
    assert paper.said.count("r3d-vcp &") == NUM_CHECKPOINTS
    assert r"\begin{tabular}" in paper.said
    _, _, *lines = questions.table(answers).splitlines()
    for line, question, one in zip(lines, questions.QUESTIONS, answers, strict=True):
        assert line.startswith(f"| {question} | {one.clicks} | `{one.path.partition('?')[0]}` | ")


def row(value: float, rank: int | None = 1, **facts: int) -> BoardRow:
    score = Score(
        metric="recognition.top1",
        value=value,
        low=value - 5,
        high=value + 5,
        num_videos=90,
        num_units=90,
        units="video",
    )
    return BoardRow.model_construct(
        rank=rank, model="m", step=facts.get("step"), scores={score.metric: score}
    )


@pytest.mark.parametrize(
    ("rows", "total", "says"),
    [
        ([row(80, step=7), row(60, 2)], 2, "m at step 7, 80.0 (75.0 to 85.0). No other score lies inside"),
        ([row(80), row(77), row(60, 3)], 3, "m, 80.0 (75.0 to 85.0). 1 other score lies inside"),
        ([row(80), row(77), row(76)], 9, "2 or more other scores lie inside"),
    ],
    ids=["alone", "tied", "tied-beyond-the-page"],
)
def test_the_best_row_is_told_with_those_that_may_be_as_good(
    rows: list[BoardRow], total: int, says: str
) -> None:
    assert says in (lead.sentence(rows, "recognition.top1", total) or "")


def test_no_row_is_called_the_best_if_it_has_no_rank_or_no_other() -> None:
    assert lead.sentence([row(80)], "recognition.top1", 1) is None
    assert lead.sentence([row(60, 2), row(80)], "recognition.top1", 2) is None  # the worst first
    assert lead.sentence([row(80, None), row(60, None)], "step", 2) is None
    assert lead.sentence([], "recognition.top1", 0) is None
