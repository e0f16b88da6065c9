"""`vcpbench demo`: everything once, by the real stack."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

from stack.home import Home
from tests.stack.kit import VCPBENCH, free_port


def test_the_demo_shows_a_board_and_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    process = subprocess.Popen(
        [VCPBENCH, "demo", "--home", str(home), "--port", str(free_port())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    alarm = threading.Timer(280, process.kill)
    alarm.start()
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C ends the demo" in line:
            process.send_signal(signal.SIGINT)
    alarm.cancel()
    process.stdout.close()
    said = "".join(lines)
    assert process.wait() == 0, said
    for words in (
        "r3d_tiny-a",
        "r3d_tiny-b",
        "random weights, seed 0",
        "recognition.top1",
        "/login#token=vcp_",
    ):
        assert words in said
    assert "Everything is stopped." in said
    assert Home(home).running() is None
    state = Home(home).state()
    assert state is not None
    assert all(program.pid is None for program in state.programs)
    if state.data.startswith("/var/lib/vcpbench/"):
        shutil.rmtree(state.data)
