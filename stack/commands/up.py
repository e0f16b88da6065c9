"""`vcpbench up`, `down`, `status`: the whole service on this machine."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from stack.commands.common import HomeOption, JsonFlag, console, messages, plainly, print_json
from stack.home import Home, StackError, StackState

NOT_RUNNING = 3  # exit code of status, as of service managers
STOP_S = 90.0


@plainly
def up(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the API.")] = 8080,
    host: Annotated[str, typer.Option(help="Its address; 0.0.0.0 opens it to the network.")] = "127.0.0.1",
    home: HomeOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Start PostgreSQL, Valkey, the API and workers here, in the background; data stays between runs.

    **Examples**

    `vcpbench up`

    `vcpbench up --port 8081 --home /data/second`
    """
    place = Home.chosen(home)
    place.make()
    running = place.running()
    if running is not None and running.phase != "stopping":
        _wait(place, None, quiet=as_json)
        messages.print("It is running already.")
    else:
        if running is not None:
            _wait_until_gone(place)
        _check_port(host, port)
        _wait(place, _detach(place, host, port), quiet=as_json)
    state = place.state()
    assert state is not None
    if as_json:
        print_json(json.dumps({"url": state.url, "token_file": str(place.token), "logs": str(place.logs)}))
    else:
        _welcome(place, state)


@plainly
def down(home: HomeOption = None) -> None:
    """Stop what `vcpbench up` started; its data stays.

    **Example**

    `vcpbench down --home /data/second`
    """
    place = Home.chosen(home)
    state = place.running()
    if state is None:
        messages.print(f"Nothing is running in {place.folder}.")
        return
    if not state.pid:
        raise StackError(
            f"{place.folder} is held by a process that has not said which. Try again in a second."
        )
    os.kill(state.pid, signal.SIGTERM)
    with messages.status("Stopping"):
        _wait_until_gone(place)
    messages.print(f"Stopped. The data stays in {place.folder}.")


@plainly
def status(home: HomeOption = None, as_json: JsonFlag = False) -> None:
    """What runs here, since when, and where it logs; exit code 3 if nothing does.

    **Example**

    `vcpbench status --json`
    """
    place = Home.chosen(home)
    state = place.running()
    if as_json:
        facts = {"running": state is not None, "home": str(place.folder), "token_file": str(place.token)}
        print_json(json.dumps({**facts, **(asdict(state) if state else {})}))
    elif state is None:
        last = place.state()
        why = f" It failed last: {last.reason}" if last is not None and last.reason else ""
        messages.print(f"Nothing is running in {place.folder}.{why}", highlight=False, markup=False)
    else:
        _show(place, state)
    if state is None:
        raise typer.Exit(NOT_RUNNING)


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise StackError(f"{host}:{port} cannot be used ({reason}). Choose another: --port.") from None


def _detach(place: Home, host: str, port: int) -> subprocess.Popen[bytes]:
    with (place.logs / "supervisor.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [
                sys.executable,
                "-m",
                "stack.installation",
                str(place.folder),
                "--host",
                host,
                "--port",
                str(port),
            ],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait(place: Home, supervisor: subprocess.Popen[bytes] | None, *, quiet: bool) -> None:
    """Until the stack is ready; raises with the reason if it will not be."""
    with messages.status("Starting") as bar:
        while True:
            ended = supervisor is not None and supervisor.poll() is not None
            state = place.state()
            ours = state is not None and (supervisor is None or state.pid == supervisor.pid)
            if state is not None and ours:
                if state.phase == "failed":
                    raise StackError(f"{state.reason}\nLogs: {place.logs}")
                if state.phase == "ready":
                    return
                bar.update(state.step.capitalize() if state.step else "Starting")
            if ended:
                log = (place.logs / "supervisor.log").read_text(errors="replace").strip().splitlines()
                raise StackError("\n".join(["It ended at once:", *log[-5:]]))
            time.sleep(0.1)


def _wait_until_gone(place: Home) -> None:
    deadline = time.monotonic() + STOP_S
    while place.running() is not None:
        if time.monotonic() > deadline:
            raise StackError(f"It did not end in {STOP_S:.0f} s. Logs: {place.logs}")
        time.sleep(0.1)


def _welcome(place: Home, state: StackState) -> None:
    option = "" if place == Home.chosen(None) else f" --home {shlex.quote(str(place.folder))}"
    for line in (
        f"vcpbench runs at {state.url}, its reference at {state.url}/docs",
        f"  token   {place.token}",
        f"  logs    {place.logs}",
        f"  stop    vcpbench down{option}",
        "",
        "Try:",
        f"  URL={state.url}; TOKEN=$(cat {shlex.quote(str(place.token))})",
        '  curl -T model.pt "$URL/v1/checkpoints/upload?model=my-model" -H "Authorization: Bearer $TOKEN"',
    ):
        _line(line)


def _line(text: str) -> None:
    """As it is: a path may hold what rich would read as markup, and must not be wrapped."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _show(place: Home, state: StackState) -> None:
    step = f" ({state.step})" if state.step else ""
    _line(f"{state.url} is {state.phase}{step}")
    table = Table("", "process", "up for", "restarts", "log", box=None, pad_edge=False, header_style="dim")
    now = time.time()
    for program in state.programs:
        lives = program.pid is not None
        up_for = str(timedelta(seconds=int(now - program.started_at))) if lives else "-"
        log = Path(program.log)
        table.add_row(program.name, str(program.pid or "-"), up_for, str(program.restarts), log.name)
    console.print(table)
    _line(f"logs in {place.logs}, token in {place.token}")
    _line(f"data in {place.folder}, PostgreSQL's in {state.data}")
