"""`vcpbench` commands in processes of their own that need not load torch first: forks of one that has.

A command takes 0.3 s to load, one that evaluates takes 2 s, and the tests run hundreds. The real program
runs where its start, its end or an interruption is tested, and where Python reads a variable as it starts.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import NoReturn

from tests.patience import DEADLINE_S

VCPBENCH = str(Path(sys.executable).with_name("vcpbench"))
LOADED = ("vcpbench_client.cli", "vcpbench_client.client", "rich.table", "vcp_core.evaluation.evaluate")
AT_THE_START = ("PYTHON", "LC_", "LANG", "OMP_", "OPENBLAS_")  # prefixes of what is read once


class _Parent:
    """The process that has loaded everything, from the first command on; one command at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def run(self, words: Sequence[str], cwd: Path, env: Mapping[str, str], out: Path, err: Path) -> int:
        """Fork and wait for the command's exit code; minus a number is the signal that ended it."""
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.forked"],
                    cwd=Path(__file__).parents[1],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                atexit.register(self._process.kill)
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            request = {"words": words, "cwd": str(cwd), "env": dict(env), "out": str(out), "err": str(err)}
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())


_parent = _Parent()


def run_vcpbench(*words: str, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` of the program, with what it writes captured as text.

    Args:
        words: Of the command line, without the program's name.
        cwd: Its folder.
        env: All of its environment.
    """
    if _at_the_start(env) != _at_the_start(os.environ):
        return subprocess.run(
            [VCPBENCH, *words],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
    with tempfile.TemporaryDirectory() as temp:
        out, err = Path(temp, "out"), Path(temp, "err")
        code = _parent.run(words, cwd, env, out, err)
        return subprocess.CompletedProcess([VCPBENCH, *words], code, out.read_text(), err.read_text())


def _at_the_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(AT_THE_START)}


def _serve() -> None:
    """Load everything, then fork for every line on standard input."""
    for name in LOADED:
        importlib.import_module(name)
    for entry in entry_points(group="vcpbench.commands"):
        entry.load()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(request: dict[str, object]) -> NoReturn:
    """Be the program that was asked for, and end."""
    code = 1
    try:
        out, err = Path(str(request["out"])), Path(str(request["err"]))
        for number, path, flags in (
            (0, Path(os.devnull), os.O_RDONLY),
            (1, out, os.O_WRONLY | os.O_CREAT),
            (2, err, os.O_WRONLY | os.O_CREAT),
        ):
            opened = os.open(path, flags, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        os.environ.clear()
        os.environ.update(request["env"])  # type: ignore[call-overload]
        os.chdir(str(request["cwd"]))
        sys.argv = [VCPBENCH, *request["words"]]  # type: ignore[misc]
        sys.modules["__main__"].__package__ = None  # or click takes the program for `python -m`
        from vcpbench_client import start

        start.main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
