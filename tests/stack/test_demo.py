"""`vcpbench demo`: everything once, by the real stack."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import subprocess
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from stack.home import Home
from tests.patience import DEADLINE_S, until
from tests.stack.kit import VCPBENCH, free_port
from tests.workers import alive

SHOWN = ("r3d_tiny-vcp", "r3d_tiny-untrained", "random weights, seed 0", "recognition.top1")


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A new HOME; the demo of the first test stays for the others, which then have nothing to compute."""
    folder = tmp_path_factory.mktemp("user")
    yield folder
    clear(folder / "demo")


def clear(home: Path) -> None:
    """Root's data is elsewhere, where PostgreSQL's account may read."""
    state = Home(home).state()
    if state is not None and state.data.startswith("/var/lib/vcpbench/"):
        shutil.rmtree(state.data)


def start(user: Path, *words: str, home: Path | None = None, **options: Any) -> subprocess.Popen[str]:
    """The demo, as a terminal would start it."""
    place = home or user / "demo"
    return subprocess.Popen(
        [VCPBENCH, "demo", "--home", str(place), "--port", str(free_port()), *words],
        env={**os.environ, "HOME": str(user), "COLUMNS": "200"},
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "preexec_fn": interruptible, **options},
    )


def cloze_of(said: str, model: str) -> tuple[float, float]:
    """A model's cloze accuracy and the lower end of its interval: the last column of its row."""
    (found,) = re.findall(rf"^ *{model} .* ([\d.]+) \((\d+) \.\. \d+\)\s*$", said, re.MULTILINE)
    return float(found[0]), float(found[1])


def interruptible() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def left_of(user: Path) -> list[list[str]]:
    """Command lines of all processes that run with this HOME: every child of the demo has it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            words = (folder / "cmdline").read_text().split("\0")
        except OSError:  # gone, or another user's
            continue
        if f"HOME={user}".encode() in variables and alive(int(folder.name)):
            found.append(words)
    return found


def all_gone(user: Path) -> bool:
    """Whether nothing is left; the supervisor gives its home free a moment before it ends."""
    until(lambda: not left_of(user), else_say=lambda: left_of(user))
    return True


@pytest.mark.product
def test_a_demo_that_ends_by_itself_shows_a_board_exits_with_0_and_leaves_nothing_running(
    user: Path,
) -> None:
    process = start(user, "--exit")
    said, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, said
    assert all(words in said for words in SHOWN), said
    assert said.splitlines()[-1] == "Everything is stopped."
    # On six groups of test videos the two intervals overlap; the untrained score lies below the trained one.
    (_, low_of_trained), (untrained, _) = cloze_of(said, SHOWN[0]), cloze_of(said, SHOWN[1])
    assert low_of_trained > untrained, said
    assert all_gone(user)
    assert Home(user / "demo").running() is None


@pytest.mark.product
def test_ctrl_c_ends_a_demo_that_leaves_its_page_up(user: Path) -> None:
    process = start(user)
    alarm = threading.Timer(DEADLINE_S, process.kill)
    alarm.start()
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C ends the demo" in line:
            assert left_of(user)
            process.send_signal(signal.SIGINT)
    alarm.cancel()
    process.stdout.close()
    said = "".join(lines)
    assert process.wait() == 0, said
    assert all(words in said for words in (*SHOWN, "/login#token=vcp_", "Everything is stopped.")), said
    assert all_gone(user)


@pytest.mark.product
def test_closing_the_terminal_ends_the_demo_and_leaves_nothing_running(user: Path) -> None:
    terminal, side = pty.openpty()

    def adopt() -> None:
        interruptible()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's children have it ignored
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    all_of_it = {"stdin": side, "stdout": side, "stderr": side, "start_new_session": True}
    process = start(user, preexec_fn=adopt, **all_of_it)
    os.close(side)
    shown = b""
    while b"Ctrl-C ends the demo" not in shown:
        shown += os.read(terminal, 4096)
    os.close(terminal)
    process.wait(DEADLINE_S)
    assert all_gone(user)
    assert Home(user / "demo").running() is None


@pytest.mark.product
def test_a_demo_whose_evaluation_fails_says_which_and_why_and_takes_everything_down(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    home.mkdir()
    torch.save({"a": torch.zeros(2)}, home / "r3d_tiny-untrained.pt")
    process = start(tmp_path, home=home)
    said, _ = process.communicate(timeout=DEADLINE_S)
    clear(home)
    assert process.returncode == 2, said
    assert "rejected: none of its 1 tensors (a) is named as in any backbone known here" in said
    assert "Traceback" not in said
    assert all_gone(tmp_path)
