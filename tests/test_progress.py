"""The line that shows how far a long call is: where it stands, what it says, what it leaves behind."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.datasets_on_disk import make_folder
from vcp_core.progress import Line, counted, counting, shown


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    """A terminal of one line: what was written after the last carriage return, over what stood there."""

    @property
    def line(self) -> str:
        cells: list[str] = []
        at = 0
        for character in self.getvalue():
            if character == "\r":
                at = 0
                continue
            cells[at : at + 1] = character
            at += 1
        return "".join(cells).rstrip()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_line_says_stage_share_count_and_once_there_is_a_pace_an_estimate(clock: Clock) -> None:
    screen = Screen()
    line = Line(screen, clock=clock)
    line("forwarding clips", 8, 648)
    assert screen.line == "forwarding clips  1 %, 8 of 648"
    clock.now = 10
    line("forwarding clips", 328, 648)
    assert screen.line == "forwarding clips  50 %, 328 of 648, about 10 s left"
    clock.now = 20
    line("forwarding clips", 648, 648)
    assert screen.line == "forwarding clips  100 %, 648 of 648"


def test_what_was_there_before_the_stage_began_does_not_count_for_the_pace(clock: Clock) -> None:
    screen = Screen()
    line = Line(screen, clock=clock)
    line("making videos", 300, 344)
    clock.now = 10
    line("making videos", 322, 344)
    assert screen.line.endswith("about 10 s left")


def test_a_shorter_line_leaves_nothing_of_a_longer_one_and_clear_leaves_nothing(clock: Clock) -> None:
    screen = Screen()
    line = Line(screen, clock=clock)
    line("calibrating control 0", 16, 256)
    line("reading the checkpoint", 0, 1)
    assert screen.line == "reading the checkpoint"
    line.clear()
    assert screen.line == ""
    assert screen.getvalue().endswith("\r")


def test_many_calls_in_no_time_draw_the_first_and_the_last(clock: Clock) -> None:
    screen = Screen()
    line = Line(screen, clock=clock)
    for done in range(1, 101):
        line("indexing videos", done, 100)
    assert screen.getvalue().count("\r") == 2


def test_a_line_never_wraps(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    screen = Screen()
    Line(screen, clock=clock)("forwarding clips of control 0", 1, 2)
    assert len(screen.line) == 19


def test_a_function_is_told_and_false_is_silence(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[str, int, int]] = []
    with shown(lambda *what: told.append(what)) as tell:
        count = counting(tell, "fitting probes", 3)
        count(2)
        count(1)
    assert told == [("fitting probes", 2, 3), ("fitting probes", 3, 3)]
    with shown(False) as tell:
        tell("fitting probes", 1, 2)
    with counted("indexing videos", None) as counts:
        assert counts is None
    assert capsys.readouterr() == ("", "")


def test_a_pipe_gets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(True) as tell, counted("indexing videos", True) as counts:
        assert counts is not None
        tell("forwarding clips", 1, 2)
        counts(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_notebook_is_told_though_its_standard_error_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shell:
        kernel = "ipykernel's"

    class IPython:
        @staticmethod
        def get_ipython() -> Shell:
            return Shell()

    monkeypatch.setitem(sys.modules, "IPython", IPython)  # type: ignore[arg-type]
    with shown(True) as tell:
        tell("forwarding clips", 1, 2)
    assert "forwarding clips  50 %, 1 of 2" in capsys.readouterr().err


def in_a_terminal(code: str, cache: Path) -> tuple[bytes, bytes]:
    """Standard output, and what a terminal that is standard error was sent."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "VCPBENCH_CACHE": str(cache), "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        assert process.stdout is not None
        seen = b""
        try:
            while part := os.read(ours, 4096):
                seen += part
        except OSError:  # Linux: the other end is closed
            pass
        os.close(ours)
        return process.stdout.read(), seen


def test_loading_a_dataset_shows_a_line_in_a_terminal_and_wipes_it(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "small")
    code = f"import vcp_core; print(len(vcp_core.load_dataset({str(folder)!r}).videos))"
    out, seen = in_a_terminal(code, tmp_path / "cache")
    assert out == b"6\n"
    assert b"indexing videos  100 %, 6 of 6" in seen
    assert seen.endswith(b" \r")


def test_an_error_begins_on_a_line_of_its_own(tmp_path: Path) -> None:
    code = "from vcp_core.progress import shown\nwith shown(True) as tell:\n tell('a stage', 1, 2)\n 1 / 0"
    _, seen = in_a_terminal(code, tmp_path)
    assert seen.replace(b"\r\n", b"\n").rpartition(b"\r")[2].startswith(b"Traceback")
