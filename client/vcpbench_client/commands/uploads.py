"""`vcpbench upload`, and the upload step of every command that takes a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import INTERRUPTED, connect, plainly, print_json, say, show
from vcpbench_client.commands.steps import step_in_name

if TYPE_CHECKING:
    from vcpbench_client.answers import Checkpoint, Evaluation
    from vcpbench_client.client import Client


@plainly
@options.option_groups()
def upload(
    file: Annotated[Path, typer.Argument(help="The checkpoint: a file, or a Hugging Face folder.")],
    model: options.ModelOption,
    *,
    facts: options.Facts,
    wait: Annotated[bool, typer.Option(help="Wait until the server has read the file.")] = True,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Seconds to wait. The server then goes on.")
    ] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Upload a checkpoint, and say which backbone the server found in it.

    If the server refuses the file, the exit code is 2. If the connection breaks, run the command again. The
    upload then goes on where it stopped.

    **Examples**

    `vcpbench upload model.pt --model my-model --run vcp-2026-11 --step 12000`

    `vcpbench upload model.pt --model my-model --no-wait`

    `vcpbench upload model.pt --model not-yet-published --private`
    """
    with connect() as client:
        if not wait:
            facts["step"] = facts["step"] if facts["step"] is not None else declared_by_name(file)
        found = send(client, file, model, quiet=as_json, **facts)
        if wait:
            found = until_read(client, found, timeout_s=timeout_s, quiet=as_json)
            found = complete(client, found, file) or found
    _tell(found, as_json=as_json)


def send(
    client: Client, file: Path, model: str, *, quiet: bool, **facts: Unpack[options.Facts]
) -> Checkpoint:
    """Upload with progress. On Ctrl-C, say that the sent bytes stay. `facts` go to `Client.upload`."""
    from vcpbench_client.commands.progress import uploading
    from vcpbench_client.folders import source_of

    if taken := source_of(file).taken():
        say(taken)
    try:
        with uploading(quiet) as tell:
            return client.upload(file, model, on_progress=tell, **facts)
    except KeyboardInterrupt:
        say("Interrupted. The server keeps the bytes that were sent. Run the same command again to go on.")
        raise typer.Exit(INTERRUPTED) from None


def until_read(client: Client, checkpoint: Checkpoint, *, timeout_s: float | None, quiet: bool) -> Checkpoint:
    """Wait with progress until the server has read the file. After Ctrl-C the server goes on."""
    from vcpbench_client.commands.progress import reading

    try:
        with reading(quiet, lambda: _nobody_reads(client)) as tell:
            return client.wait_ready(checkpoint, on_progress=tell, timeout_s=timeout_s)
    except KeyboardInterrupt:
        say(f"Checkpoint {checkpoint.id} is uploaded. The server goes on reading it without you.")
        say(f"  look at it  vcpbench checkpoints --model {checkpoint.model}")
        raise typer.Exit(INTERRUPTED) from None


def complete(client: Client, checkpoint: Checkpoint, file: Path) -> Checkpoint | None:
    """Add the step in the file's name to the checkpoint. Return None if there is nothing to add.

    A step that the user gave comes first. Then comes the step inside the file, which the server has read by
    now. The name comes last.
    """
    from vcpbench_client.errors import Conflict

    step = step_in_name(file)
    counted = (checkpoint.report or {}).get("training") or {}
    is_epoch = counted.get("step") is None and counted.get("epoch") == checkpoint.step
    if step is None or (checkpoint.step is not None and not is_epoch):
        return None
    try:
        found = client.describe(checkpoint, step=step)
    except Conflict:  # another user has added another step meanwhile
        return None
    say(f"Step {step}, by the name of {file.name}.")
    return found


def completed(client: Client, evaluation: Evaluation, file: Path) -> Evaluation:
    """The evaluation, with the step in the file's name if the checkpoint has no other step."""
    if step_in_name(file) in (None, evaluation.checkpoint.step):
        return evaluation
    added = complete(client, client.checkpoint(evaluation.checkpoint.id), file)
    return client.evaluation(evaluation.id) if added else evaluation


def declared_by_name(file: Path) -> int | None:
    """The step in the file's name, for `--no-wait`: the client never learns the step inside the file."""
    step = step_in_name(file)
    if step is not None:
        say(f"Step {step}, by the name of {file.name}.")
    return step


def _nobody_reads(client: Client) -> str | None:
    """A message if no worker reads checkpoints, else None."""
    if any("cpu" in worker.queues for worker in client.status().workers):
        return None
    return "No worker of the server takes the queue cpu, which reads checkpoints. Start one: vcpbench worker."


def _tell(found: Checkpoint, *, as_json: bool) -> None:
    """Print the outcome of an upload.

    The upload has succeeded. So if standard output cannot be written, print a message and exit with 0.
    """
    if found.state == "rejected":  # already rejected: with --no-wait, or by an earlier upload
        from vcpbench_client.errors import Rejected

        raise Rejected(found)
    try:
        if as_json:
            print_json(found)
        else:
            show(_sentence(found))
        sys.stdout.flush()
    except OSError as error:
        say(f"Checkpoint {found.id} is uploaded. Standard output cannot be written: {error.strerror}.")
    if not as_json:
        say(f"Evaluate it: vcpbench evaluate {found.id}")


def _sentence(found: Checkpoint) -> str:
    said = f"{found.model}: checkpoint {found.id}, {found.state}"
    facts = [found.backbone] if found.state == "ready" and found.backbone else []
    facts += [f"run {found.run}"] if found.run is not None else []
    facts += [f"step {found.step}"] if found.step is not None else []
    return ", ".join([said, *facts])
