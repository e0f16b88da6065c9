"""Starting and stopping while others do, and behind whoever died or hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stack import control
from stack.home import Home, StackError, StackState
from tests.patience import DEADLINE_S
from tests.stack.kit import VCPBENCH, Stack

pytestmark = pytest.mark.slow


@contextmanager
def holder(home: Home) -> Iterator[subprocess.Popen[str]]:
    """A process that has a home's lock, says nothing, and ends with the block."""
    code = (
        "import pathlib, sys, time; from stack.home import Home\n"
        "with Home(pathlib.Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(home.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.make()
    return found


def start_beside(stack: Stack, **options: Any) -> subprocess.Popen[str]:
    command = [VCPBENCH, "up", "--port", str(stack.port), "--home", str(stack.home)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **pipes, **options)


def supervisor_of(stack: Stack) -> int:
    """Its process id, as soon as it has said so."""

    def known() -> bool:
        running = Home(stack.home).running()
        return running is not None and running.pid != 0

    stack.wait_until(known)
    running = Home(stack.home).running()
    assert running is not None
    return running.pid


@pytest.mark.product
def test_whoever_waits_for_a_start_that_dies_starts_it_itself(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    first = start_beside(stack)
    supervisor = supervisor_of(stack)
    os.kill(supervisor, signal.SIGSTOP)  # so that it does not get ready meanwhile
    code = (
        "import pathlib, sys; from stack import control; from stack.home import Home\n"
        "home, port = Home(pathlib.Path(sys.argv[1])), int(sys.argv[2])\n"
        "tell = lambda step: print(step, flush=True)\n"
        "state, _ = control.start(home, '127.0.0.1', port, tell, step_s=60); print(state.pid, state.phase)"
    )
    command = [sys.executable, "-c", code, str(stack.home), str(stack.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline()  # it follows
        os.kill(supervisor, signal.SIGKILL)
        said, _ = follower.communicate(timeout=DEADLINE_S)
    pid, phase = said.splitlines()[-1].split()
    assert (phase, pid != str(supervisor)) == ("ready", True)
    assert stack.health() == 200
    # The first one's supervisor was killed: it says so, unless the other's was there in time.
    _, why = first.communicate(timeout=DEADLINE_S)
    assert first.returncode == 0 or "The supervisor ended by SIGKILL while it started" in why


def test_two_starts_at_once_give_one_stack(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    starts = [start_beside(stack) for _ in range(3)]
    said = [start.communicate(timeout=DEADLINE_S) for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], said
    assert sum("The service is running already" in words for _, words in said) == 2
    assert stack.health() == 200


def test_a_stack_that_is_still_starting_can_be_stopped(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    starting = start_beside(stack)
    supervisor_of(stack)
    assert stack.run("down").returncode == 0
    _, said = starting.communicate(timeout=DEADLINE_S)
    assert starting.returncode == 2
    assert "supervisor was stopped while it started" in said or "ended by SIGTERM while it started" in said
    assert stack.run("status").returncode == 3


def test_ctrl_c_while_a_stack_starts_says_that_it_goes_on_and_how_to_stop_it(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack()
    starting = start_beside(stack, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    supervisor_of(stack)
    starting.send_signal(signal.SIGINT)
    _, said = starting.communicate(timeout=DEADLINE_S)
    assert starting.returncode == 130, said
    assert f"The start goes on in the background. To stop it: vcpbench down --home {stack.home}" in said
    assert stack.run("down").returncode == 0
    assert stack.run("status").returncode == 3


def test_a_start_behind_something_that_never_gets_ready_ends_with_what_to_do(home: Home) -> None:
    with holder(home):
        with pytest.raises(StackError, match=r"The process that holds .*home/lock .*for 1 s.*vcpbench down"):
            control.start(home, "127.0.0.1", 1, lambda step: None, step_s=1)
        with pytest.raises(StackError, match=r"The process that holds .*home/lock .* did not end in 1 s"):
            control.stop(home, stop_s=1)


def test_nobody_is_signalled_for_a_number_that_an_earlier_run_left(home: Home) -> None:
    with subprocess.Popen(["sleep", "600"]) as bystander:
        home.write(StackState(pid=bystander.pid, url="http://127.0.0.1:1", phase="ready"))
        try:
            with holder(home):
                home.lock.write_text(f"{bystander.pid}\n")
                running = home.running()
                assert running is not None
                assert (running.pid, running.phase) == (0, "starting")
                with pytest.raises(StackError):
                    control.stop(home, stop_s=1)
            assert control.stop(home) is False
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_looking_whether_something_runs_keeps_nobody_from_starting(home: Home) -> None:
    looks = [threading.Thread(target=lambda: [home.running() for _ in range(500)]) for _ in range(3)]
    for look in looks:
        look.start()
    for _ in range(50):
        with home.locked():
            assert home.running() is not None
    for look in looks:
        look.join()
    assert home.running() is None


def test_a_state_of_another_version_is_no_state(home: Home) -> None:
    for content in ("[]", "{}", '{"programs": [], "pid": 1, "of_a_later_version": 2}', '{"programs": [{}]}'):
        (home.folder / "state.json").write_text(content)
        assert home.state() is None
