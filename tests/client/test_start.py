"""Ctrl-C while a command starts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import vcpbench_client

from tests.forked import VCPBENCH
from tests.patience import DEADLINE_S

pytestmark = pytest.mark.slow

PACKAGE = str(Path(vcpbench_client.__file__).parent)
MOMENTS_MS = (0, 50, 100, 150, 200, 300, 400, 500, 600, 700, 800)
IN_TORCH_MS = (0, 100, 200, 300, 800)  # `local` is slow to start: Ctrl-C waits for the end of an import


def interrupted(moment_ms: int, *words: str) -> tuple[int, str]:
    """Exit code and standard error of a command that gets SIGINT after so long."""
    process = subprocess.Popen(
        [VCPBENCH, *words],
        env={**os.environ, "VCPBENCH_URL": "http://127.0.0.1:1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs with SIGINT ignored, and children inherit that; a terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    time.sleep(moment_ms / 1000)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=DEADLINE_S)
    return process.returncode, stderr


@pytest.mark.parametrize("words", [("datasets",), ("inspect", "/dev/null"), ("local", "/dev/null")])
def test_ctrl_c_at_the_start_is_at_most_a_line(words: tuple[str, ...]) -> None:
    codes = []
    for moment_ms in IN_TORCH_MS if words[0] == "local" else MOMENTS_MS:
        code, stderr = interrupted(moment_ms, *words)
        # Before Python has run the first line of ours, its own traceback is out of our hands.
        ours = PACKAGE in stderr.replace(f"{PACKAGE}/start.py", "", 1) or "Traceback" not in stderr
        assert "Traceback" not in stderr or not ours, f"after {moment_ms} ms: {stderr}"
        # Interrupted in its first milliseconds, Python exits with 1, with or without a traceback. No command
        # exits with 1.
        if "Traceback" not in stderr and not (code == 1 and stderr.endswith("KeyboardInterrupt\n")):
            codes.append(code)
            assert code in (130, 2, -signal.SIGINT), stderr  # 2: it had failed by then, as it must
            # rich says a line again when it is interrupted between writing it and forgetting it.
            assert len(set(stderr.splitlines())) <= 1, f"after {moment_ms} ms: {stderr}"
    assert 130 in codes


def test_a_shell_that_ignores_the_signal_is_obeyed() -> None:
    script = f"trap '' INT; {VCPBENCH} protocols & sleep 0.3; kill -INT $!; wait $!"
    found = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "VCPBENCH_URL": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (found.returncode, "cannot be reached" in found.stderr) == (2, True)
