"""`vcpbench demo`: start the service here, upload two checkpoints, evaluate them, show the leaderboard."""

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
from urllib.parse import quote

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
SEED = 11  # of the untrained network; the leaderboard's controls have other seeds
TIMEOUT_S = 900.0
METRICS = ("recognition.top1", "retrieval.top1", "cloze.accuracy")


@plainly
def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="End once the leaderboard is there; exit code 0: all went well.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the page. If it is taken, the demo uses another.")
    ] = 8080,
    home: Annotated[
        Path | None, typer.Option(help="Folder of the demo's data, which is kept for the next demo.")
    ] = None,
) -> None:
    """Start the service, upload two checkpoints, evaluate them on small videos, and show the leaderboard.

    One network was pretrained by Video Cloze Procedure (`vcpbench sample`), the other is the same network
    untrained.

    At the end it prints two links: to the board, and to the videos that the trained network got wrong.

    Ctrl-C, or closing the terminal, stops the service and all its processes.

    **Example**

    `vcpbench demo --exit`
    """
    stack_home = Home((home or _default_home()).expanduser().absolute())
    begun = time.monotonic()
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup and background jobs of a shell ignore some
            signal.signal(number, _interrupt)
    with _running(stack_home, port) as state:
        from vcpbench_client import Client

        token = stack_home.token.read_text(encoding="utf-8").strip()
        with Client(state.url, token) as client:
            done = _evaluate(client, stack_home)
            _show(client.leaderboard(DATASET, PROTOCOL, sort=f"-{METRICS[0]}"))
        messages.print(f"{time.monotonic() - begun:.0f} s in all.", style="dim")
        if leave:
            return
        with contextlib.suppress(KeyboardInterrupt):
            wrong = f"/evaluations/{done[SAMPLE].id}/gallery?right=false"
            _line(f"\nThe board: {state.url}/login#token={token}")
            _line(f"What {SAMPLE} got wrong: {state.url}/login?next={quote(wrong, safe='/')}#token={token}")
            _line("Ctrl-C ends the demo.")
            while True:
                time.sleep(3600)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt once. Then ignore signals, so that no second one breaks off the stop."""
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
    """Run the demo's stack for as long as the block lasts. Do not stop a stack that ran before."""
    started = True
    try:
        try:
            with messages.status("Starting") as bar:
                state, started = control.start(
                    stack_home, "127.0.0.1", _free_port(port), lambda step: bar.update(step.capitalize())
                )
            messages.print(f"PostgreSQL, Valkey, the API and workers run at {state.url}.", highlight=False)
            yield state
        finally:  # nested: a signal that comes right here must still reach the outer `finally`
            _ignore_endings()
    finally:
        if started:
            _take_down(stack_home)


def _take_down(stack_home: Home) -> None:
    try:
        messages.print("Stopping.")
    finally:  # the print fails if the terminal is closed; stop all the same
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


def _evaluate(client: Client, stack_home: Home) -> dict[str, Evaluation]:
    """Upload both checkpoints, evaluate them, and show the progress. Return the evaluations by model."""
    asked: dict[str, Evaluation] = {}
    for model, path in _checkpoints(stack_home).items():
        uploaded = client.upload(path, model)
        asked[model] = client.evaluate(uploaded, DATASET, PROTOCOL)
        messages.print(f"Uploaded {model}, {path.stat().st_size / 1e6:.1f} MB.", highlight=False)
    columns = (TextColumn("{task.description:<52}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages) as bars:
        tasks = {model: bars.add_task(f"{model}: waiting", total=None) for model in asked}
        for model, evaluation in asked.items():
            tell = _teller(bars, tasks[model], model)
            asked[model] = client.wait(evaluation, on_progress=tell, timeout_s=TIMEOUT_S)
    return asked


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
    """Two checkpoints of one architecture: random weights, and the sample, which VCP pretrained."""
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
    """Print the leaderboard as a table."""
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
