"""`vcpbench up`, `down`, `status`: run the whole service on this machine."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from stack import control
from stack.commands import installed, options
from stack.commands.common import console, messages, plainly, print_json
from stack.home import Home, StackState

NOT_RUNNING = 3  # exit code of `status`, as service managers have it


@plainly
def up(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the API.")] = 8080,
    host: Annotated[
        str, typer.Option(help="Address that the API listens on; 0.0.0.0 opens the API to the network.")
    ] = "127.0.0.1",
    home: options.HomeOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Start PostgreSQL, Valkey, the API and workers here, in the background. Data stays between runs.

    **Examples**

    `vcpbench up`

    `vcpbench up --port 8081 --home /data/second`
    """
    stack_home = Home.chosen(home)
    try:
        with messages.status("Starting") as bar:
            state, started = control.start(stack_home, host, port, lambda step: bar.update(step.capitalize()))
    except KeyboardInterrupt:
        stop = shlex.join(["vcpbench", "down", "--home", str(stack_home.folder)])
        said = f"The start goes on in the background. To stop it: {stop}"
        messages.print(said, soft_wrap=True, highlight=False, markup=False)
        raise
    if not started:
        messages.print("The service is running already.")
    if as_json:
        print_json(
            json.dumps({"url": state.url, "token_file": str(stack_home.token), "logs": str(stack_home.logs)})
        )
    else:
        _welcome(stack_home, state)


@plainly
def down(home: options.HomeOption = None) -> None:
    """Stop the service that `vcpbench up` started. Its data stays.

    **Example**

    `vcpbench down --home /data/second`
    """
    stack_home = Home.chosen(home)
    with messages.status("Stopping"):
        stopped = control.stop(stack_home)
    if not stopped:
        messages.print(f"Nothing is running in {stack_home.folder}.", highlight=False, markup=False)
        return
    messages.print(f"Stopped. The data stays in {stack_home.folder}.", highlight=False, markup=False)


@plainly
def status(
    evaluation: Annotated[
        str | None,
        typer.Argument(help="An evaluation's id. If left out: the server that you are logged in to."),
    ] = None,
    follow_it: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow the evaluation until it ends.")
    ] = False,
    home: options.HomeOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Show the state of an evaluation, of a server, or of the service on this machine.

    Without an evaluation, the server that you are logged in to shows its queues and workers. If that server
    is the one on this machine, or you are logged in to none, its processes and logs are shown, and the exit
    code is 3 if it does not run. `--home` always means the service on this machine.

    **Examples**

    `vcpbench status --json`

    `vcpbench status --home /data/second`

    `vcpbench status 0d9c2c0e-5b9c-4d0e-9d6b-1b0c5f5f3c11 --follow`
    """
    if evaluation is not None:
        from vcpbench_client.commands import evaluations

        evaluations.status(evaluation, follow_it=follow_it, as_json=as_json)
        return
    stack_home = Home.chosen(home)
    state = stack_home.running()
    if home is None and installed.names_other_server(stack_home):
        from vcpbench_client.commands import evaluations

        evaluations.status(as_json=as_json)
        if state is not None:
            also = shlex.join(["vcpbench", "status", "--home", str(stack_home.folder)])
            messages.print(f"A service runs on this machine, too: {also}", soft_wrap=True, highlight=False)
        return
    if as_json:
        facts = {
            "running": state is not None,
            "home": str(stack_home.folder),
            "token_file": str(stack_home.token),
        }
        print_json(json.dumps({**facts, **(asdict(state) if state else {})}))
    elif state is None:
        last = stack_home.state()
        why = f" The last start failed: {last.reason}" if last is not None and last.reason else ""
        messages.print(f"Nothing is running in {stack_home.folder}.{why}", highlight=False, markup=False)
    else:
        _show(stack_home, state)
    if state is None:
        raise typer.Exit(NOT_RUNNING)


def _walls() -> str:
    """Which walls this machine offers, and which it lacks. A worker may have less (`_gaps`)."""
    from vcp_core.walls import offered

    walls = offered()
    lacking = [f"no {name} ({why})" for name, why in walls.lacking.items()]
    return ", ".join([*walls.standing, *lacking])


def _gaps(stack_home: Home, state: StackState) -> list[str]:
    """What the API says of workers that lack a wall. Nothing if it does not answer."""
    from vcpbench_client import Client, ClientError
    from vcpbench_client.tables import gaps

    try:
        with Client(state.url, stack_home.token.read_text().strip(), patience_s=0) as client:
            return gaps(client.status())
    except (ClientError, OSError):  # it starts or stops
        return []


def _welcome(stack_home: Home, state: StackState) -> None:
    option = "" if stack_home == Home.chosen(None) else f" --home {shlex.quote(str(stack_home.folder))}"
    for line in (
        f"vcpbench runs at {state.url}, its reference at {state.url}/docs",
        f"  log in  {state.url}/login, with the token in the next file",
        f"  token   {stack_home.token}",
        f"  logs    {stack_home.logs}",
        f"  stop    vcpbench down{option}",
        "",
        "By curl:",
        f"  URL={state.url}; TOKEN=$(cat {shlex.quote(str(stack_home.token))})",
        '  curl -T model.pt "$URL/v1/checkpoints/upload?model=my-model" -H "Authorization: Bearer $TOKEN"',
        "Or log in once, for vcpbench evaluate and all other commands:",
        f"  vcpbench login {state.url} --token-file {shlex.quote(str(stack_home.token))}",
    ):
        _line(line)


def _line(text: str) -> None:
    """Print text unchanged. Rich must not wrap a path, nor read its brackets as markup."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _show(stack_home: Home, state: StackState) -> None:
    step = f" ({state.step})" if state.step else ""
    _line(f"{state.url or stack_home.folder} is {state.phase}{step}")
    table = Table("", "process", "up for", "restarts", "log", box=None, pad_edge=False, header_style="dim")
    now = time.time()
    for program in state.programs:
        lives = program.pid is not None
        up_for = str(timedelta(seconds=int(now - program.started_at))) if lives else "-"
        log = Path(program.log)
        table.add_row(program.name, str(program.pid or "-"), up_for, str(program.restarts), log.name)
    console.print(table)
    _line(f"walls around foreign files: {_walls()}")
    for gap in _gaps(stack_home, state):
        _line(gap)
    _line(f"logs in {stack_home.logs}, token in {stack_home.token}")
    _line(f"data in {stack_home.folder}, PostgreSQL's in {state.data}")
