"""`vcpbench demo`: everything once, on this machine: stack, uploads, real evaluations, the board."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from stack import control
from stack.accounts import ROOTS_FOLDER
from stack.commands.common import console, messages, plainly
from stack.home import Home, StackState
from vcp_core.catalog.defaults import DEFAULT_DATASET, DEFAULT_PROTOCOL
from vcp_core.catalog.paths import data_dir

if TYPE_CHECKING:
    from vcpbench_client import Board, Client, Evaluation

DATASET, PROTOCOL = DEFAULT_DATASET, DEFAULT_PROTOCOL
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, `kill`, a closed terminal
SAMPLE, UNTRAINED = "r3d_tiny-vcp", "r3d_tiny-untrained"
SEED = 11  # of the untrained network, which is none of the board's own controls
TIMEOUT_S = 900.0
METRICS = ("recognition.top1", "retrieval.top1", "cloze.accuracy")


@plainly
def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="End by itself once the board is there; 0 if all went well.")
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the page, if it is free.")] = 8080,
    home: Annotated[
        Path | None, typer.Option(help="Folder of the demo's data; kept for the next one.")
    ] = None,
) -> None:
    """Show everything once: the service, two uploads, their evaluation on small videos, the board.

    One network was pretrained by Video Cloze Procedure (`vcpbench sample`), the other is the same network
    untrained.

    Ctrl-C, or closing the terminal, takes everything down; nothing stays running.

    **Example**

    `vcpbench demo --exit`
    """
    stack_home = Home((home or _default_home()).expanduser().absolute())
    begun = time.monotonic()
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and a shell's background have some
            signal.signal(number, _interrupt)
    with _running(stack_home, port) as state:
        from vcpbench_client import Client

        token = stack_home.token.read_text(encoding="utf-8").strip()
        with Client(state.url, token) as client:
            _evaluate(client, stack_home)
            _show(client.leaderboard(DATASET, PROTOCOL, sort=f"-{METRICS[0]}"))
        messages.print(f"{time.monotonic() - begun:.0f} s in all.", style="dim")
        if leave:
            return
        with contextlib.suppress(KeyboardInterrupt):
            _line(f"\nThe board: {state.url}/login#token={token}")
            _line("Ctrl-C ends the demo.")
            while True:
                time.sleep(3600)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """As Ctrl-C does, once: what follows is the take-down, and no second signal breaks it off."""
    _ignore_endings()
    raise KeyboardInterrupt


def _ignore_endings() -> None:
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)


def _line(text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _default_home() -> Path:
    return (ROOTS_FOLDER if os.getuid() == 0 else data_dir()) / "demo"


@contextmanager
def _running(stack_home: Home, port: int) -> Iterator[StackState]:
    """The demo's own stack, for as long as the block lasts, however it ends; another demo's is only used."""
    started = True
    try:
        try:
            with messages.status("Starting") as bar:
                state, started = control.start(
                    stack_home, "127.0.0.1", _free_port(port), lambda step: bar.update(step.capitalize())
                )
            messages.print(f"PostgreSQL, Valkey, the API and workers run at {state.url}.", highlight=False)
            yield state
        finally:  # one of its own: a signal may come just here
            _ignore_endings()
    finally:
        if started:
            _take_down(stack_home)


def _take_down(stack_home: Home) -> None:
    try:
        messages.print("Stopping.")
    finally:  # whatever has become of the terminal
        control.stop(stack_home)
    messages.print("Everything is stopped.")


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return wanted


def _evaluate(client: Client, stack_home: Home) -> None:
    """Upload both checkpoints, evaluate them, show how far they are."""
    asked: dict[str, Evaluation] = {}
    for model, path in _checkpoints(stack_home).items():
        uploaded = client.upload(path, model)
        asked[model] = client.evaluate(uploaded, DATASET, PROTOCOL)
        messages.print(f"Uploaded {model}, {path.stat().st_size / 1e6:.1f} MB.", highlight=False)
    columns = (TextColumn("{task.description:<52}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages) as bars:
        tasks = {model: bars.add_task(f"{model}: waiting", total=None) for model in asked}
        for model, evaluation in asked.items():
            client.wait(evaluation, on_progress=_teller(bars, tasks[model], model), timeout_s=TIMEOUT_S)


def _teller(bars: Progress, task: TaskID, model: str) -> Callable[[Evaluation], None]:
    def tell(now: Evaluation) -> None:
        progress = now.progress
        stage = progress.stage if progress and not now.ended else now.state
        bars.update(
            task,
            description=f"{model}: {stage}",
            completed=(progress.fraction or 0) if progress else 0,
            total=1 if progress else None,
        )

    return tell


def _checkpoints(stack_home: Home) -> dict[str, Path]:
    """A network as its initialisation left it, and the sample: the same one, pretrained by VCP."""
    from vcp_core.samples import sample_path

    untrained = stack_home.folder / f"{UNTRAINED}.pt"
    if not untrained.exists():
        with messages.status("Making a checkpoint"):
            import torch

            from vcp_core import build
            from vcp_core.catalog.files import whole

            with whole(untrained) as part:
                torch.save({"state_dict": build("r3d_tiny", seed=SEED).state_dict()}, part)
    return {UNTRAINED: untrained, SAMPLE: sample_path()}


def _show(board: Board) -> None:
    """The board as the terminal can show it."""
    table = Table(
        title=f"{DATASET}, {PROTOCOL}: percent, with 95 % intervals", box=None, title_justify="left"
    )
    table.add_column("model", no_wrap=True)
    for metric in METRICS:
        table.add_column(metric, justify="right", no_wrap=True)
    rows = [(row.model, row.scores) for row in board.rows]
    rows += [(row.title, row.scores) for row in board.controls]
    for name, scores in rows:
        found = [scores.get(metric) for metric in METRICS]
        cells = [
            f"{score.value:.1f} ({score.low:.0f} .. {score.high:.0f})" if score else "-" for score in found
        ]
        table.add_row(name, *cells)
    console.print(table)
