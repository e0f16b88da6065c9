"""The supervisor itself, with small programs of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.home import Home
from stack.supervisor import MAX_LOG_BYTES, Program, Supervised
from tests.patience import DEADLINE_S, until
from tests.stack.kit import free_port
from tests.workers import alive, descendants

pytestmark = pytest.mark.slow

# A server that answers /v1/health with a file, and two that take their time to end, or never do.
SUPERVISE = """
import pathlib, signal, sys
from stack import supervisor
from stack.home import Home
from stack.supervisor import Program, Supervisor
supervisor.STOP_S = 4.0
home, port, health = Home(pathlib.Path(sys.argv[1])), sys.argv[2], sys.argv[3]
stubborn = (
    "import signal, time; told = lambda *_: print('asked', time.monotonic(), flush=True); "
    "signal.signal(signal.SIGTERM, told); print('deaf', flush=True); exec('while True: time.sleep(600)')"
)
def server(): return [Program(name="server", command=[sys.executable, "-m", "http.server", "-b", "127.0.0.1",
                                                      "-d", health, port], environment={})]
def workers(): return [Program(name=f"worker-{n}", command=[sys.executable, "-c", stubborn], environment={})
                       for n in range(3)]
with home.locked():
    Supervisor(home, f"http://127.0.0.1:{port}").run([("one", server), ("two", workers)])
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.make()
    (tmp_path / "health" / "v1").mkdir(parents=True)
    (tmp_path / "health" / "v1" / "health").write_text("ok")
    return found


@pytest.fixture
def supervised(home: Home, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", SUPERVISE, str(home.folder), str(free_port()), str(tmp_path / "health")]
    with (tmp_path / "said").open("wb") as said, subprocess.Popen(command, stderr=said) as process:
        until(lambda: (state := home.state()) is not None and state.phase == "ready")
        until(lambda: all("deaf" in (home.logs / f"worker-{n}.log").read_text() for n in range(3)))
        yield process
        process.kill()


def test_a_state_that_cannot_be_written_stops_nothing(
    home: Home, supervised: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    state = home.folder / "state.json"
    state.unlink()
    state.mkdir()  # as on a full disk: it cannot be written
    before = {pid for pid in descendants(supervised.pid) if alive(pid)}
    os.kill(min(before), signal.SIGKILL)
    until(lambda: len(before & set(filter(alive, descendants(supervised.pid)))) == 3)
    until(lambda: len([pid for pid in descendants(supervised.pid) if alive(pid)]) == 4)
    assert supervised.poll() is None
    assert "state.json cannot be written" in (tmp_path / "said").read_text()
    after = descendants(supervised.pid)
    supervised.terminate()
    assert supervised.wait(DEADLINE_S) == 0
    assert not [pid for pid in after if alive(pid)]


def test_programs_of_one_step_are_waited_for_together(
    home: Home, supervised: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    supervised.terminate()
    assert supervised.wait(DEADLINE_S) == 0
    logs = [(home.logs / f"worker-{n}.log").read_text() for n in range(3)]
    asked = [float(log.partition("asked ")[2].split()[0]) for log in logs]
    assert max(asked) - min(asked) < 4  # one after the other, each is asked 4 s after the one before it
    assert (tmp_path / "said").read_text().count("did not end in 4 s; killed") == 3
    state = home.state()
    assert state is not None
    assert [program.pid for program in state.programs] == [None] * 4


def test_a_program_that_cannot_be_started_again_is_tried_later(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    found = Supervised(Program(name="x", command=[str(program)], environment={}), tmp_path / "x.log")
    found.start()
    program.rename(tmp_path / "away")
    until(lambda: found.look() and found.restarts > 0)
    assert found.process is None
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    until(lambda: found.look() and found.process is not None)
    found.ask_to_end()
    found.wait_until_ended(time.monotonic() + DEADLINE_S)


def test_a_log_that_cannot_be_copied_is_cut_all_the_same(tmp_path: Path) -> None:
    found = Supervised(Program(name="x", command=["true"], environment={}), tmp_path / "x.log")
    found.log.write_bytes(b"x" * (MAX_LOG_BYTES + 1))
    found.rotate()
    assert (found.log.stat().st_size, (tmp_path / "x.log.1").stat().st_size) == (0, MAX_LOG_BYTES + 1)
    (tmp_path / "x.log.1").unlink()
    (tmp_path / "x.log.1").symlink_to(tmp_path / "nowhere" / "x")
    found.log.write_bytes(b"x" * (MAX_LOG_BYTES + 1))
    found.rotate()
    assert found.log.stat().st_size == 0
