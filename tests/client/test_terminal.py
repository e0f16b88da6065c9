"""Tables in a terminal: no line is wider than it, so that no number is wrapped."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from vcpbench_client import tables
from vcpbench_client.answers import Difference

from tests.client.conftest import Run, token_of
from tests.client.test_papers import RANDOM, TOP1, on_board, row, score
from tests.forked import VCPBENCH
from tests.patience import DEADLINE_S
from tests.served import Served
from tests.service.finished import compare_waiting, ready_dataset
from tests.web import played

OPTIONS = ("adjacent", "original", "permutation", "remote", "rotation")
InTerminal = Callable[..., list[str]]


def lines_of(table: object) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=1000).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.fixture
def in_terminal(api: Served, tmp_path: Path) -> InTerminal:
    """Runs a command whose standard output is a terminal, and returns its lines."""

    def run(*words: str, width: int) -> list[str]:
        ours, theirs = pty.openpty()
        said = bytearray()

        def listen() -> None:
            try:
                while part := os.read(ours, 65536):
                    said.extend(part)
            except OSError:  # EIO: the other end is closed
                return

        thread = threading.Thread(target=listen)
        thread.start()
        login = {"VCPBENCH_URL": api.url, "VCPBENCH_TOKEN": token_of(api)}
        found = subprocess.run(
            [VCPBENCH, *words],
            cwd=tmp_path,
            env={**os.environ, **login, "COLUMNS": str(width), "TERM": "dumb"},
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE_S,
        )
        os.close(theirs)
        thread.join(DEADLINE_S)
        os.close(ours)
        assert found.returncode == 0, found.stderr
        text = re.sub(r"\x1b\[[0-9;]*m", "", said.decode())
        return [line.rstrip() for line in text.splitlines()]

    return run


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal(api: Served, in_terminal: InTerminal, width: int) -> None:
    names = ["r3d-cloze-2026-11-lr0.1", "r3d-cloze-2026-11-lr0.01", "a"]
    with api.database.session() as session:
        dataset = ready_dataset(session, "playground-136")
        for n, name in enumerate(names):
            played.finished(session, dataset, name, seed=n, skill=0.3 * n, step=1000 * n)
    first, second = (f"{name}@latest" for name in names[:2])
    boards = in_terminal("leaderboard", width=width)
    for words in (("status", first), ("results", first)):
        lines = in_terminal(*words, width=width)
        assert max(map(len, lines[1:])) <= width, lines  # the first line is a sentence
        assert any(re.search(r"recall\.rotation +\d+\.\d +\d+\.\d \.\. \d+\.\d", line) for line in lines)
    api.client.get("/v1/comparisons", params={"first": first, "second": second})
    api.client.post("/v1/comparisons", json={"evaluations": [f"{name}@latest" for name in names]})
    compare_waiting(api.database)
    two = in_terminal("compare", first, second, "--all", width=width)
    many = in_terminal("compare", *(f"{name}@latest" for name in names), width=width)
    for lines in (boards, two, many):
        assert max(map(len, lines)) <= width, lines


def test_columns_that_tell_nothing_apart_make_room(api: Served, run: Run, in_terminal: InTerminal) -> None:
    with api.database.session() as session:
        dataset = ready_dataset(session, "playground-136")
        for n in range(2):
            played.finished(session, dataset, f"r3d-{n}", seed=n, skill=0.3 * n)
    title, _, heading, *_ = in_terminal("leaderboard", width=80)
    assert title.endswith("quick-v1, r3d_tiny")
    assert heading.split()[:2] == ["rank", "model"]
    assert "backbone" not in heading
    assert {"backbone", "step"} <= set(run("leaderboard").stdout.split()), "a pipe gets all columns"


@pytest.mark.parametrize("width", [80, 60])
def test_names_are_cut_where_nothing_else_can_be_left_out(width: int) -> None:
    long = "r3d-cloze-2026-11-weight-decay-0.0005-learning-rate-"
    found = on_board(*(row(f"{long}{n}", score(TOP1, 80 - n)) for n in (1, 2)), controls=(RANDOM,))
    lines = lines_of(tables.board(found, width=width)[0])
    assert max(map(len, lines)) <= width
    for n in (1, 2):
        assert any(re.search(rf"r3d-c\S*…\S*-rate-{n} ", line) for line in lines), lines
    assert any(f"{long}1" in line for line in lines_of(tables.board(found)[0]))


@pytest.mark.parametrize("width", [100, 81, 80, 74, 60])
def test_scores_leave_out_columns_and_name_them(width: int) -> None:
    rows = [score(f"cloze.recall.{name}", 40) for name in OPTIONS] + [score(TOP1, 80)]
    lines = lines_of(tables.scores(rows, headline=False, width=width))
    assert max(map(len, lines)) <= width
    left_out = [line for line in lines if line.startswith("Not shown for want of width: ")]
    assert bool(left_out) == ("pixels" not in lines[0])
    assert all(f"{value} .. " in "\n".join(lines) for value in ("38.0", "78.0"))
    assert "pixels" in lines_of(tables.scores(rows, headline=False))[0]


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(81, []), (80, ["found in 80 %"]), (67, ["found in 80 %"]), (66, ["found in 80 %", "p"])],
    ids=["81", "80", "67", "66"],  # a table with all columns is 81 wide, and one without the first is 67
)
def test_differences_leave_out_the_least_that_is_needed(width: int, left_out: list[str]) -> None:
    one = Difference(
        metric="cloze.recall.permutation",
        first=50.0,
        second=51.0,
        difference=1.0,
        low=-10.0,
        high=12.0,
        p_value=0.3,
        detectable=10.0,
        headline=True,
        num_units=40,
    )
    lines = lines_of(tables.differences([one], headline=True, width=width))
    assert max(map(len, lines)) <= width
    said = [f"Not shown for want of width: {', '.join(left_out)}."] if left_out else []
    assert lines[3:] == said
    every = ["percent", "first", "second", "difference", "95 % interval", "found in 80 %", "p"]
    assert lines[0].split() == " ".join(one for one in every if one not in left_out).split()
